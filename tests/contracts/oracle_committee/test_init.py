"""The first seats and the calendar."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import (
    CHALLENGE,
    NODE,
    WINDOW,
    ZERO_ADDRESS,
    System,
    account,
    deploy_system,
    deployer,
    events,
)
from workdeed.protocol.signing import address_of


def deploy(system: System, **changes: Any) -> Contract:
    """Deploy a committee of license 1 over `system`'s licenses, with `changes` to its arguments."""
    arguments = {
        "trust": system.trust,
        "licenses": system.licenses,
        "genesis": evm.env.timestamp,
        "window": WINDOW,
        "challenge": CHALLENGE,
        "seats": [(1, account("signer"))],
    } | changes
    return deployer("OracleCommittee").deploy(*arguments.values())


def test_first_seats_and_calendar(system: System) -> None:
    signers = [account(f"signer {index}") for index in range(3)]
    genesis = evm.env.timestamp - 5 * WINDOW - 1

    committee = deploy(system, genesis=genesis, seats=[(i + 1, s) for i, s in enumerate(signers)])

    added = events(committee, "SeatAdded")
    assert [entry.seat for entry in added] == [0, 1, 2]
    assert [entry.license_id for entry in added] == [1, 2, 3]
    assert [entry.signer for entry in added] == signers
    assert [entry.epoch for entry in added] == [1, 2, 3]
    assert [tuple(committee.seat(index)) for index in range(4)] == [
        (1, signers[0]),
        (2, signers[1]),
        (3, signers[2]),
        (0, ZERO_ADDRESS),
    ]
    assert [committee.seat_of_signer(signer) for signer in signers] == [1, 2, 3]
    assert [committee.is_seated(license_id) for license_id in range(5)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert (committee.seat_count(), committee.quorum(), committee.committee_epoch()) == (3, 3, 3)
    assert (committee.GENESIS(), committee.WINDOW(), committee.CHALLENGE()) == (
        genesis,
        WINDOW,
        CHALLENGE,
    )
    assert committee.LICENSES() == system.licenses.address
    assert committee.TRUST() == system.trust.address
    assert committee.current_window() == 6
    assert tuple(committee.final_report()) == (0, bytes(32))
    assert tuple(committee.latest_report()) == (0, bytes(32), 0, 0, 0)
    assert committee.participation() == 0


def test_domain_is_what_signers_use(system: System) -> None:
    _, name, version, chain_id, contract, _, _ = system.committee.eip712Domain()

    assert (name, version) == ("OracleCommittee", "1")
    assert (chain_id, contract) == (system.chain_id, system.committee.address)


@pytest.mark.parametrize(("oracles", "quorum"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (32, 22)])
def test_quorum_is_more_than_two_thirds(oracles: int, quorum: int) -> None:
    assert deploy_system(oracles=oracles).committee.quorum() == quorum


@pytest.mark.parametrize(
    ("offset", "window"), [(0, 1), (WINDOW - 1, 1), (WINDOW, 2), (10 * WINDOW, 11)]
)
def test_windows_count_from_1(system: System, offset: int, window: int) -> None:
    committee = deploy(system)
    system.wait(offset)

    assert committee.current_window() == window


def test_genesis_in_the_future_is_refused(system: System) -> None:
    with evm.reverts("clock: genesis in the future"):
        deploy(system, genesis=evm.env.timestamp + 1)


def test_window_without_length_is_refused(system: System) -> None:
    with evm.reverts("clock: zero window"):
        deploy(system, window=0, challenge=0)


@pytest.mark.parametrize("challenge", [WINDOW, WINDOW + 1])
def test_challenge_as_long_as_a_window_is_refused(system: System, challenge: int) -> None:
    with evm.reverts("committee: challenge too long"):
        deploy(system, challenge=challenge)


def test_committee_of_none_is_refused(system: System) -> None:
    with evm.reverts("committee: no seats"):
        deploy(system, seats=[])


def test_more_first_seats_than_lanes_are_refused(system: System) -> None:
    seats = [(index + 1, account(f"signer {index}")) for index in range(33)]

    with evm.reverts():
        deploy(system, seats=seats)


def test_node_license_takes_no_seat(system: System) -> None:
    license_id = system.issue(system.operators[0], NODE)

    with evm.reverts("committee: not an oracle license"):
        deploy(system, seats=[(license_id, account("signer"))])


def test_license_takes_one_seat(system: System) -> None:
    with evm.reverts("committee: license seated"):
        deploy(system, seats=[(1, account("signer")), (1, account("another signer"))])


def test_signer_takes_one_seat(system: System) -> None:
    with evm.reverts("committee: signer seated"):
        deploy(system, seats=[(1, account("signer")), (2, account("signer"))])


def test_zero_signer_takes_no_seat(system: System) -> None:
    with evm.reverts("committee: zero signer"):
        deploy(system, seats=[(1, ZERO_ADDRESS)])


def test_seats_are_not_in_signer_order(system: System) -> None:
    """Else a test could not tell a mix-up of seats and positions."""
    signers = [address_of(key).lower() for key in system.oracle_keys]

    assert signers != sorted(signers)
