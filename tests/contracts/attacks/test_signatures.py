"""Attempts with messages that were signed for something else."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    BATCH,
    RESULT_HASH,
    System,
    deploy_system,
    private_key,
    refuses_signatures,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import CURVE_ORDER, address_of

ROOT = keccak(b"root")


def test_replay_across_chains() -> None:
    """O18, P14: the same contracts at the same addresses of another chain take none of it."""
    with evm.env.other_chain(1):
        here = deploy_system()
        placement = here.placement(here.open_job(), [here.issue_node()])
        batch = here.start_job([here.issue_node()], kind=BATCH)
        result = here.result_signatures(batch)
    with evm.env.other_chain(2):
        there = deploy_system()
        assert there.escrow.address == here.escrow.address
        there.open_job()
        there.issue_node()
        with refuses_signatures():
            there.escrow.place(*placement)
        assert there.start_job([there.issue_node()], kind=BATCH) == batch
        with refuses_signatures():
            there.desk.attest_result(batch, RESULT_HASH, result)


def test_replay_across_epochs(system: System) -> None:
    """O18, O19: what was signed before a seat changed counts no more."""
    job_id, license_id = system.open_job(), system.issue_node()
    placement = system.placement(job_id, [license_id])
    system.advance_windows()
    report = system.report_arguments(ROOT)
    system.committee.remove_seat(3, sender=system.governor)

    with refuses_signatures():
        system.committee.submit_report(*report)
    with evm.reverts("escrow: wrong window"):
        system.escrow.place(*placement)
    late = system.placement(job_id, [license_id], epoch=4)
    with refuses_signatures():
        system.escrow.place(*late)


@pytest.mark.parametrize("field", ["job", "round", "window"])
def test_placement_signed_for_another_job_round_or_window(system: System, field: str) -> None:
    """P14."""
    first, second = system.open_job(slots=2, min_slots=1), system.open_job(slots=2, min_slots=1)
    nodes = [system.issue_node() for _ in range(2)]
    signed = system.placement(first, nodes[:1])
    if field == "job":
        with refuses_signatures():
            system.escrow.place(*signed._replace(job_id=second))
        return
    if field == "round":
        system.escrow.place(*signed)
        with evm.reverts("escrow: wrong round"):
            system.escrow.place(*signed)
        return
    system.advance_windows()
    with evm.reverts("escrow: wrong window"):
        system.escrow.place(*signed)


def test_signature_malleation(system: System) -> None:
    """O18: the high twin of a signature adds no signer."""
    system.advance_windows()
    arguments = system.report_arguments(ROOT)
    first = arguments.signatures[:65]
    high = CURVE_ORDER - int.from_bytes(first[32:64], "big")
    twin = first[:32] + high.to_bytes(32, "big") + bytes([55 - first[64]])

    with evm.reverts("signature: high s"):
        system.committee.submit_report(
            *arguments._replace(signatures=twin + arguments.signatures[65:])
        )
    with evm.reverts("committee: signer order"):
        system.committee.submit_report(
            *arguments._replace(signatures=first + arguments.signatures[:130])
        )


def test_frame_up_of_an_honest_oracle_by_a_stalling_leader(system: System) -> None:
    """O19: signing anew in the next turn, with another root, is what honest members do."""
    key = system.oracle_keys[0]
    system.advance_windows()
    stalled = system.report_arguments(ROOT, turn=0, keys=[key])
    anew = system.report_arguments(keccak(b"late observations"), turn=1, keys=[key])
    window, epoch = stalled.window, system.committee.committee_epoch()

    for turn in (stalled.turn, anew.turn):
        with evm.reverts("committee: two signers"):
            system.committee.slash_equivocation(
                window,
                turn,
                epoch,
                stalled.root,
                stalled.data_hash,
                stalled.signatures,
                anew.root,
                anew.data_hash,
                anew.signatures,
            )


def test_veto_exhausted_in_a_block(system: System) -> None:
    """O17, O19: a veto uses up every window so far: what was signed before can't follow it."""
    system.advance_windows(5)
    signed = [system.report_arguments(ROOT, window=window) for window in (1, 2, 3, 4)]
    system.committee.submit_report(*signed[0])
    system.committee.veto_report(bytes(32), sender=system.guardian)

    for later in signed[1:]:
        with evm.reverts("committee: window vetoed"):
            system.committee.submit_report(*later)
    # The next report is for a window that begins after the veto.
    system.advance_windows(2)
    system.report({})
    assert system.committee.latest_report()[4] == 0


def test_node_consent_given_to_one_owner_serves_no_other(system: System) -> None:
    """L21."""
    key = private_key("sought after node")
    mine = system.issue(system.operators[0])
    signature = system.link_signature(mine, key)
    system.licenses.transferFrom(
        system.operators[0], system.operators[1], mine, sender=system.operators[0]
    )

    with evm.reverts("license: wrong node signature"):
        system.licenses.link_node(
            mine, address_of(key), 2**40, signature, sender=system.operators[1]
        )
