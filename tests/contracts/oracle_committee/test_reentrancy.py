"""A token that calls back during a reward's transfer: nothing is booked or taken twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.oracle_committee.members import ROOT, rewards, share
from tests.contracts.system import System, deploy_system, deployer
from workdeed.protocol.eip712 import report_digest
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import sign_digest

NO_SIGNATURE = bytes(65)


@pytest.fixture
def system() -> System:
    """A system whose token calls back; each of the four members has a reward of 100."""
    system = deploy_system(token=deployer("testing/HookToken").deploy(6))
    system.post_bond(1, 1_000)
    share(system, 400)
    return system


def attempts(system: System) -> dict[str, bytes]:
    """Return the data of every call that writes, and of some that read, as an attacker sends it."""
    committee = system.committee
    proof = (1, 0, 4, ROOT, ROOT, NO_SIGNATURE, ROOT, ROOT, NO_SIGNATURE)
    return {
        "add_seat": committee.add_seat.prepare_calldata(1, system.stranger),
        "remove_seat": committee.remove_seat.prepare_calldata(0),
        "end_seat_of": committee.end_seat_of.prepare_calldata(1),
        "submit_report": committee.submit_report.prepare_calldata(1, 0, ROOT, ROOT, b""),
        "veto_report": committee.veto_report.prepare_calldata(ROOT),
        "slash_equivocation": committee.slash_equivocation.prepare_calldata(*proof),
        "book_rewards": committee.book_rewards.prepare_calldata(),
        "settle_rewards": committee.settle_rewards.prepare_calldata(),
        "claim_reward": committee.claim_reward.prepare_calldata(1),
        "forfeit_reward": committee.forfeit_reward.prepare_calldata(1),
        "reward_of": committee.reward_of.prepare_calldata(1),
        "latest_report": committee.latest_report.prepare_calldata(),
    }


def claim(system: System) -> None:
    """Make the committee pay a reward."""
    assert system.committee.claim_reward(1) == 100


def forfeit(system: System) -> None:
    """Make it pay the vault."""
    system.blacklist(1)
    assert system.committee.forfeit_reward(1) == 100


transfers = pytest.mark.parametrize("transfer", [claim, forfeit])


def test_every_call_that_writes_is_tried(system: System) -> None:
    writing = {
        entry["name"]
        for entry in system.committee.abi
        if entry["type"] == "function" and entry["stateMutability"] != "view"
    }

    assert writing <= attempts(system).keys()


@transfers
def test_no_call_gets_in_during_a_transfer(
    system: System, transfer: Callable[[System], None]
) -> None:
    """R33: a token in transit must not be booked as a new reward."""
    for name, data in attempts(system).items():
        committee = system.committee.address
        outside = evm.env.probe(committee, sender=system.stranger, data=data)
        assert outside.succeeded or outside.output, f"{name} is malformed and proves nothing"
        system.token.set_hook(committee, data)

        with evm.env.anchor():
            transfer(system)

            assert system.token.calls() > 0
            assert not system.token.succeeded(), name
            # The lock gives no reason; whatever gets past it gives one.
            assert system.token.response() == b"", name
            assert rewards(system) == [0, 100, 100, 100]
            assert system.committee.rewards_held() == 300


@transfers
@pytest.mark.parametrize("view", ["final_report", "committee_epoch", "latest_window"])
def test_what_the_escrow_waits_for_may_be_read_meanwhile(
    system: System, transfer: Callable[[System], None], view: str
) -> None:
    reading = getattr(system.committee, view).prepare_calldata()
    system.token.set_hook(system.committee.address, reading)

    transfer(system)

    assert system.token.succeeded()


def test_seat_is_gone_before_the_bond_of_an_equivocator_moves(system: System) -> None:
    """O19: whoever runs during the transfer finds the new epoch."""
    reading = system.committee.committee_epoch.prepare_calldata()
    system.token.set_hook(system.committee.address, reading)
    key, roots = system.oracle_keys[0], (keccak(b"one root"), keccak(b"another root"))
    proof: list[bytes] = []
    for root in roots:
        digest = report_digest(system.committee_domain, 1, 0, root, ROOT, 4)
        proof += [root, ROOT, sign_digest(key, digest)]

    slashed = system.committee.slash_equivocation(1, 0, 4, *proof)

    assert slashed > 0
    assert int.from_bytes(system.token.response(), "big") == 5
