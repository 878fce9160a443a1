"""Accepting reports: order, challenge time, what was signed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    DATA_HASH,
    System,
    account,
    deploy_system,
    event,
    private_key,
    refuses_signatures,
    sign,
)
from workdeed.protocol.eip712 import Domain, placement_digest
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of

ROOT, OTHER_ROOT = keccak(b"root"), keccak(b"another root")


def submit(system: System, root: bytes = ROOT, **options: Any) -> None:
    """Submit a report, of the latest window that is over unless told."""
    system.committee.submit_report(*system.report_arguments(root, **options))


def test_anyone_submits_what_a_quorum_signed(system: System) -> None:
    system.to_window(3)
    arguments = system.report_arguments(ROOT, turn=7, keys=system.oracle_keys[1:])

    system.committee.submit_report(*arguments, sender=system.stranger)

    accepted_at = evm.env.timestamp
    assert event(system.committee, "ReportSubmitted") == {
        "window": 2,
        "submitter": system.stranger,
        "turn": 7,
        "root": ROOT,
        "data_hash": DATA_HASH,
        "signers": 0b1110,
        "final_at": accepted_at + system.challenge,
    }
    assert tuple(system.committee.latest_report()) == (2, ROOT, accepted_at, 0, 0)


def test_report_is_final_once_its_challenge_time_is_over(system: System) -> None:
    system.to_window(2)
    submit(system)
    assert tuple(system.committee.final_report()) == (0, bytes(32))
    system.wait(system.challenge - 1)
    assert tuple(system.committee.final_report()) == (0, bytes(32))

    system.wait(1)

    assert tuple(system.committee.final_report()) == (1, ROOT)


def test_previous_report_stays_final_meanwhile(system: System) -> None:
    for window, root in ((1, ROOT), (2, OTHER_ROOT), (3, ROOT)):
        system.to_window(window + 1)
        before = tuple(system.committee.final_report())
        submit(system, root)
        assert tuple(system.committee.final_report()) == before
        system.wait(system.challenge)
        assert tuple(system.committee.final_report()) == (window, root)


def test_windows_may_be_skipped(system: System) -> None:
    system.to_window(2)
    submit(system)
    system.to_window(9)

    submit(system, OTHER_ROOT)
    system.wait(system.challenge)

    assert tuple(system.committee.final_report()) == (8, OTHER_ROOT)


def test_none_is_accepted_while_one_is_pending(system: System) -> None:
    system.to_window(3)
    submit(system, window=1)
    system.wait(system.challenge - 1)

    with evm.reverts("committee: report pending"):
        submit(system, window=2)
    system.wait(1)
    submit(system, window=2)

    assert system.committee.latest_report()[0] == 2


@pytest.mark.parametrize("window", [0, 1, 2])
def test_window_must_be_later_than_the_last(system: System, window: int) -> None:
    system.to_window(4)
    submit(system, window=2)
    system.wait(system.challenge)

    with evm.reverts("committee: window not later"):
        submit(system, OTHER_ROOT, window=window)


def test_window_0_is_never_reported(system: System) -> None:
    system.to_window(2)

    with evm.reverts("committee: window not later"):
        submit(system, window=0)


@pytest.mark.parametrize("window", [3, 4, 1_000])
def test_window_must_be_over(system: System, window: int) -> None:
    system.to_window(3)
    with evm.reverts("committee: window not over"):
        submit(system, window=window)

    system.wait(system.window - 1)
    with evm.reverts("committee: window not over"):
        submit(system, window=window)


def test_window_that_ends_now_is_over(system: System) -> None:
    system.to_window(4)

    submit(system, window=3)

    assert system.committee.latest_report()[0] == 3


def test_without_challenge_time_a_report_is_final_at_once() -> None:
    system = deploy_system(challenge=0)
    system.to_window(3)
    submit(system, window=1)
    assert tuple(system.committee.final_report()) == (1, ROOT)

    submit(system, OTHER_ROOT, window=2)

    assert tuple(system.committee.final_report()) == (2, OTHER_ROOT)


def test_too_few_signatures_are_refused(system: System) -> None:
    system.to_window(2)

    with evm.reverts("committee: too few signatures"):
        submit(system, keys=system.oracle_keys[:2])


def test_stranger_in_the_quorum_is_refused(system: System) -> None:
    system.to_window(2)

    with evm.reverts("committee: not a member"):
        submit(system, keys=[*system.oracle_keys[:2], private_key("no member")])


@pytest.mark.parametrize(
    "tampered",
    [
        {"window": 1},
        {"turn": 1},
        {"root": OTHER_ROOT},
        {"data_hash": keccak(b"other data")},
    ],
)
def test_every_field_is_signed(system: System, tampered: dict[str, Any]) -> None:
    system.to_window(3)
    arguments = system.report_arguments(ROOT)._replace(**tampered)

    with refuses_signatures():
        system.committee.submit_report(*arguments)


@pytest.mark.parametrize("epoch", [3, 5])
def test_other_epochs_never_count(system: System, epoch: int) -> None:
    system.to_window(2)

    with refuses_signatures():
        submit(system, epoch=epoch)


def test_change_of_the_seats_voids_what_was_signed(system: System) -> None:
    system.to_window(2)
    signed = system.report_arguments(ROOT, keys=system.oracle_keys[:3])
    system.committee.remove_seat(3, sender=system.governor)

    with refuses_signatures():
        system.committee.submit_report(*signed)
    submit(system, keys=system.oracle_keys[:3])

    assert system.committee.latest_report()[1] == ROOT


def test_epoch_does_not_come_back_with_the_seat(system: System) -> None:
    key = system.oracle_keys[3]
    system.to_window(2)
    signed = system.report_arguments(ROOT)
    system.committee.remove_seat(3, sender=system.governor)
    system.link(4, key)
    system.committee.add_seat(4, address_of(system.oracle_keys[3]), sender=system.governor)
    assert system.committee.seat(3)[1] == account("oracle 3")

    with refuses_signatures():
        system.committee.submit_report(*signed)


def test_signatures_for_another_chain_never_count(system: System) -> None:
    system.to_window(2)
    foreign = replace(system.committee_domain, chain_id=system.chain_id + 1)

    with refuses_signatures():
        submit(system, domain=foreign)


def test_signatures_from_another_chain_never_count_at_the_same_address() -> None:
    with evm.env.other_chain(1):
        here = deploy_system()
        here.to_window(2)
        signed = here.report_arguments(ROOT)
    with evm.env.other_chain(2):
        there = deploy_system()
        there.to_window(2)
        assert there.committee.address == here.committee.address

        with refuses_signatures():
            there.committee.submit_report(*signed)
        submit(there)

        assert there.committee.latest_report()[1] == ROOT


def test_signatures_for_another_contract_never_count(system: System) -> None:
    system.to_window(2)
    foreign = replace(system.committee_domain, contract=account("another committee"))

    with refuses_signatures():
        submit(system, domain=foreign)


def test_signatures_of_another_version_never_count(system: System) -> None:
    system.to_window(2)

    with refuses_signatures():
        submit(system, domain=replace(system.committee_domain, version="2"))


def test_signatures_of_another_type_never_count(system: System) -> None:
    """A placement has as many static words as a report; its signatures are for other eyes."""
    system.to_window(2)
    domain = Domain("JobEscrow", system.chain_id, system.committee.address)
    digest = placement_digest(domain, 1, 0, 1, 0, [], [1], 4)
    arguments = system.report_arguments(ROOT)._replace(
        signatures=sign(digest, system.quorum_keys())
    )

    with refuses_signatures():
        system.committee.submit_report(*arguments)


def test_empty_root_is_a_report_without_leaves(system: System) -> None:
    system.to_window(2)

    submit(system, bytes(32))
    system.wait(system.challenge)

    assert tuple(system.committee.final_report()) == (1, bytes(32))
