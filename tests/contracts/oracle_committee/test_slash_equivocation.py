"""A member that signs two roots in one turn: who proves it, and what can never be taken for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.oracle_committee.members import (
    KEY,
    REPORTS_PER_SETTLEMENT,
    add_seat,
    fund,
    issue_oracle,
    lanes,
    remove_seat,
    sign_final,
    sign_next,
)
from tests.contracts.system import (
    DATA_HASH,
    BondTerms,
    System,
    account,
    deploy_system,
    event,
    events,
    private_key,
    refuses_signatures,
)
from workdeed.protocol.eip712 import placement_digest, report_digest
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import CURVE_ORDER, address_of, sign_digest

ROOT_A, ROOT_B = keccak(b"one root"), keccak(b"another root")
WINDOW, TURN, EPOCH = 3, 1, 4
BOND = 10_001
SLASH_CAP_BPS = 5_000


@pytest.fixture(scope="module")
def bonded() -> System:
    """A committee of four whose first license has a bond."""
    system = deploy_system(bond_terms=BondTerms(slash_cap_bps=SLASH_CAP_BPS))
    system.post_bond(1, BOND)
    return system


def sign(system: System, root: bytes, key: bytes | None = None, **changes: Any) -> bytes:
    """Return a member's signature under a report."""
    said = {"window": WINDOW, "turn": TURN, "data_hash": DATA_HASH, "epoch": EPOCH} | changes
    domain = said.pop("domain", system.committee_domain)
    digest = report_digest(
        domain, said["window"], said["turn"], root, said["data_hash"], said["epoch"]
    )
    return sign_digest(key or system.oracle_keys[0], digest)


def prove_of(system: System, key: bytes, epoch: int = EPOCH, turn: int = TURN) -> int:
    """Send the proof of an equivocation of a key in an epoch."""
    said = {"epoch": epoch, "turn": turn}
    return prove(
        system,
        **said,
        signature_a=sign(system, ROOT_A, key, **said),
        signature_b=sign(system, ROOT_B, key, **said),
    )


def prove(system: System, **changes: Any) -> int:
    """Send the proof of an equivocation of member 0, changed as said."""
    proof = {
        "window": WINDOW,
        "turn": TURN,
        "epoch": EPOCH,
        "root_a": ROOT_A,
        "data_hash_a": DATA_HASH,
        "signature_a": sign(system, ROOT_A),
        "root_b": ROOT_B,
        "data_hash_b": DATA_HASH,
        "signature_b": sign(system, ROOT_B),
    } | changes
    return int(system.committee.slash_equivocation(*proof.values(), sender=system.stranger))


def test_anybody_proves_that_a_member_signed_two_roots(bonded: System) -> None:
    """O19: the seat ends, and part of the bond goes to burn and treasury."""
    offender = address_of(bonded.oracle_keys[0])

    slashed = prove(bonded)

    logs = {type(entry).__name__ for entry in bonded.committee.get_logs()}
    assert {"EquivocationSlashed", "SeatRemoved", "Slashed", "Booked"} <= logs
    evidence = keccak(
        bytes(12)
        + bytes.fromhex(offender[2:])
        + b"".join(word.to_bytes(32, "big") for word in (WINDOW, TURN, EPOCH))
    )
    assert event(bonded.committee, "EquivocationSlashed") == {
        "signer": offender,
        "license_id": 1,
        "window": WINDOW,
        "turn": TURN,
        "epoch": EPOCH,
        "evidence_hash": evidence,
        "amount": slashed,
    }
    assert slashed == BOND * SLASH_CAP_BPS // 10_000
    assert bonded.licenses.bond_of(1)[0] == BOND - slashed
    assert sum(bonded.vault.pots()) == slashed
    assert bonded.licenses.is_slashed(evidence)
    assert bonded.committee.seat_of_signer(offender) == 0
    assert bonded.committee.seat_count() == 3


def test_one_offence_slashes_once(bonded: System) -> None:
    prove(bonded)

    with evm.reverts("license: evidence used"):
        prove(bonded)
    other = keccak(b"a third root")
    with evm.reverts("license: evidence used"):
        prove(bonded, root_b=other, signature_b=sign(bonded, other))
    with evm.reverts("license: evidence used"):
        prove(
            bonded,
            root_a=ROOT_B,
            root_b=ROOT_A,
            signature_a=sign(bonded, ROOT_B),
            signature_b=sign(bonded, ROOT_A),
        )


def test_every_turn_is_an_offence_of_its_own(bonded: System) -> None:
    prove(bonded)
    before = bonded.licenses.bond_of(1)[0]

    slashed = prove_of(bonded, bonded.oracle_keys[0], turn=2)

    assert slashed == before * SLASH_CAP_BPS // 10_000
    assert not events(bonded.committee, "SeatRemoved")


def test_both_data_hashes_may_differ_with_the_roots(bonded: System) -> None:
    data = keccak(b"other data")

    assert prove(bonded, data_hash_b=data, signature_b=sign(bonded, ROOT_B, data_hash=data))


class TestAnHonestMemberIsNeverSlashable:
    """O19: whatever leaders, restarts and vetoes do, one root a window, turn and epoch is safe."""

    def test_same_root_with_other_data(self, bonded: System) -> None:
        data = keccak(b"other data")

        with evm.reverts("committee: same root"):
            prove(
                bonded,
                root_b=ROOT_A,
                data_hash_b=data,
                signature_b=sign(bonded, ROOT_A, data_hash=data),
            )

    @pytest.mark.parametrize("field", ["window", "turn", "epoch"])
    def test_roots_of_two_windows_turns_or_epochs(self, bonded: System, field: str) -> None:
        """A stalling leader makes honest members sign anew in the next turn."""
        now = {"window": WINDOW, "turn": TURN, "epoch": EPOCH}[field]

        with evm.reverts("committee: two signers"):
            prove(bonded, signature_b=sign(bonded, ROOT_B, **{field: now + 1}))

    def test_roots_signed_by_two_members(self, bonded: System) -> None:
        with evm.reverts("committee: two signers"):
            prove(bonded, signature_b=sign(bonded, ROOT_B, bonded.oracle_keys[1]))

    @pytest.mark.parametrize("where", ["chain", "contract", "version"])
    def test_root_signed_for_elsewhere(self, bonded: System, where: str) -> None:
        domain = bonded.committee_domain
        foreign = {
            "chain": replace(domain, chain_id=domain.chain_id + 1),
            "contract": replace(domain, contract=account("another committee")),
            "version": replace(domain, version="2"),
        }[where]

        with evm.reverts("committee: two signers"):
            prove(bonded, signature_b=sign(bonded, ROOT_B, domain=foreign))

    def test_signature_under_a_placement(self, bonded: System) -> None:
        digest = placement_digest(bonded.escrow_domain, 1, 0, 1, 0, [], [1], EPOCH)

        with evm.reverts("committee: two signers"):
            prove(bonded, signature_b=sign_digest(bonded.oracle_keys[0], digest))

    def test_malleated_twin_of_its_own_signature(self, bonded: System) -> None:
        signature = sign(bonded, ROOT_B)
        high = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
        twin = signature[:32] + high.to_bytes(32, "big") + bytes([55 - signature[64]])

        with evm.reverts("signature: high s"):
            prove(bonded, signature_b=twin)

    @pytest.mark.parametrize("side", ["signature_a", "signature_b"])
    @pytest.mark.parametrize("length", [0, 64])
    def test_signature_of_another_length(self, bonded: System, side: str, length: int) -> None:
        with evm.reverts("committee: signature length"):
            prove(bonded, **{side: bytes(length)})

    def test_signature_that_recovers_nobody(self, bonded: System) -> None:
        with evm.reverts("signature: invalid"):
            prove(bonded, signature_b=sign(bonded, ROOT_B)[:64] + bytes([29]))


def test_stranger_has_no_bond_to_lose(bonded: System) -> None:
    key = private_key("stranger to the committee")

    with evm.reverts("committee: never a member"):
        prove_of(bonded, key)


@pytest.mark.parametrize("epoch", [0, EPOCH + 1])
def test_nobody_answers_for_epochs_without_a_seat(bonded: System, epoch: int) -> None:
    with evm.reverts("committee: no member then"):
        prove_of(bonded, bonded.oracle_keys[0], epoch)


def test_removed_member_answers_for_its_epochs_as_long_as_its_bond_is_there(
    bonded: System,
) -> None:
    bonded.committee.remove_seat(0, sender=bonded.governor)
    with evm.reverts("committee: no member then"):
        prove_of(bonded, bonded.oracle_keys[0], EPOCH + 1)
    bonded.wait(bonded.committee.UNBOND_DELAY() - 1)

    with evm.env.anchor():
        bonded.wait(1)
        with evm.reverts("committee: record expired"):
            prove(bonded)

    assert prove(bonded) > 0


def test_license_that_moved_is_slashed_all_the_same(bonded: System) -> None:
    """The bond answers for the license: it does not leave with a sale."""
    owner = bonded.oracle_owners[0]
    bonded.licenses.transferFrom(owner, bonded.operators[0], 1, sender=owner)

    assert prove(bonded) == BOND * SLASH_CAP_BPS // 10_000


def test_last_seat_is_slashed_and_stays() -> None:
    system = deploy_system(oracles=1, bond_terms=BondTerms(slash_cap_bps=SLASH_CAP_BPS))
    system.post_bond(1, BOND)

    slashed = prove_of(system, system.oracle_keys[0], epoch=1)

    assert slashed == BOND * SLASH_CAP_BPS // 10_000
    assert system.committee.is_seated(1)
    assert system.committee.seat_count() == 1
    assert prove_of(system, system.oracle_keys[0], epoch=1, turn=2) > 0


def test_member_without_a_bond_loses_its_seat(system: System) -> None:
    assert prove(system) == 0
    assert system.committee.seat_count() == 3


def test_new_member_answers_from_its_first_epoch_on(bonded: System) -> None:
    license_id = issue_oracle(bonded)
    bonded.post_bond(license_id, BOND)
    add_seat(bonded, license_id)
    assert bonded.committee.committee_epoch() == EPOCH + 1

    with evm.reverts("committee: no member then"):
        prove_of(bonded, KEY, EPOCH)
    assert prove_of(bonded, KEY, EPOCH + 1) > 0


def test_coming_back_for_the_same_license_wipes_no_offence(bonded: System) -> None:
    remove_seat(bonded, 0)
    key = bonded.oracle_keys[0]
    bonded.link(1, key)
    add_seat(bonded, 1, key)

    assert prove(bonded) > 0

    assert bonded.committee.seat_of_signer(address_of(key)) == 0


def test_coming_back_after_the_record_expired_revives_no_offence(bonded: System) -> None:
    """By then the bond could have left: what could no longer be slashed stays so."""
    remove_seat(bonded, 0)
    key = bonded.oracle_keys[0]
    bonded.link(1, key)
    bonded.wait(bonded.committee.UNBOND_DELAY())
    add_seat(bonded, 1, key)

    with evm.reverts("committee: no member then"):
        prove(bonded)


def test_relinked_license_answers_for_the_key_of_its_seat(bonded: System) -> None:
    bonded.link(1, private_key("another node of license 1"))

    assert prove(bonded) == BOND * SLASH_CAP_BPS // 10_000


def test_next_on_the_seat_is_not_removed_for_its_predecessor(bonded: System) -> None:
    """O19."""
    prove(bonded)
    license_id = issue_oracle(bonded)
    assert add_seat(bonded, license_id) == 0

    prove_of(bonded, bonded.oracle_keys[0], turn=2)

    assert bonded.committee.is_seated(license_id)
    assert bonded.committee.seat_count() == 4


def test_offender_keeps_what_was_due_and_loses_what_was_not(bonded: System) -> None:
    sign_final(bonded, range(4), REPORTS_PER_SETTLEMENT)
    fund(bonded, 400)
    sign_next(bonded, range(4))

    prove(bonded)

    assert bonded.committee.reward_of(1) == 100
    bonded.wait(bonded.challenge)
    bonded.committee.settle_rewards()
    assert lanes(bonded) == [0, 1, 1, 1, 0]


def test_offender_s_requested_bond_is_slashed_too(bonded: System) -> None:
    """L25: asking for the bond back, before or after the seat ends, saves nothing of it."""
    bonded.licenses.request_unbond(1, BOND, sender=bonded.oracle_owners[0])
    remove_seat(bonded, 0)
    bonded.wait(bonded.committee.UNBOND_DELAY() - 1)

    assert prove(bonded) == BOND * SLASH_CAP_BPS // 10_000


def test_quorum_of_those_left_goes_on(bonded: System) -> None:
    """O16: the offender's signatures stop counting with its seat."""
    bonded.to_window(2)
    signed = bonded.report_arguments(ROOT_A)
    prove(bonded)

    with refuses_signatures():
        bonded.committee.submit_report(*signed)
    bonded.committee.submit_report(*bonded.report_arguments(ROOT_A, keys=bonded.oracle_keys[1:]))

    assert bonded.committee.latest_window() == 1
