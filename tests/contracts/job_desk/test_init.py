"""What the constructor fixes, and whom the desk is bound to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.system import CLOSE_GRACE, ZERO_ADDRESS, System, deployer, event


def deploy(system: System, **changes: Any) -> evm.Contract:
    """Deploy a desk beside `system`'s, with `changes` to its arguments."""
    arguments = {
        "committee": system.committee,
        "token": system.token,
        "close_grace": CLOSE_GRACE,
    } | changes
    return deployer("JobDesk").deploy(*arguments.values(), sender=system.deployer)


def test_calendar_comes_from_the_committee(system: System) -> None:
    system.advance_windows(3)

    desk = deploy(system)

    assert desk.GENESIS() == system.committee.GENESIS()
    assert desk.WINDOW() == system.committee.WINDOW()
    assert desk.current_window() == system.committee.current_window() == 4


def test_what_it_rests_on_is_public(system: System) -> None:
    desk = deploy(system)

    assert desk.COMMITTEE() == system.committee.address
    assert desk.TOKEN() == system.token.address
    assert desk.CLOSE_GRACE() == CLOSE_GRACE
    assert desk.escrow() == ZERO_ADDRESS


def test_zero_close_grace_is_refused(system: System) -> None:
    with evm.reverts("desk: zero close grace"):
        deploy(system, close_grace=0)

    assert deploy(system, close_grace=1).CLOSE_GRACE() == 1


def test_domain_is_what_signers_use(system: System) -> None:
    _, name, version, chain_id, contract, _, _ = system.desk.eip712Domain()

    assert (name, version) == ("JobDesk", "1")
    assert (chain_id, contract) == (system.chain_id, system.desk.address)


def test_deployer_binds_the_escrow_once(system: System) -> None:
    desk = deploy(system)

    desk.bind_escrow(system.escrow, sender=system.deployer)

    assert event(desk, "EscrowBound") == {"escrow": system.escrow.address}
    assert desk.escrow() == system.escrow.address
    with evm.reverts("desk: already bound"):
        desk.bind_escrow(system.stranger, sender=system.deployer)


def test_zero_escrow_is_refused(system: System) -> None:
    desk = deploy(system)

    with evm.reverts("desk: zero escrow"):
        desk.bind_escrow(ZERO_ADDRESS, sender=system.deployer)


@pytest.mark.parametrize("role", ["governor", "guardian", "payer", "stranger"])
def test_only_the_deployer_binds(system: System, role: str) -> None:
    desk = deploy(system)

    with evm.reverts("desk: not the deployer"):
        desk.bind_escrow(system.escrow, sender=getattr(system, role))


def test_deployer_keeps_nothing_once_the_escrow_is_bound(system: System) -> None:
    """G26: every other call of the desk asks who pays, not who deployed."""
    job_id = system.open_job()

    with evm.reverts("desk: already bound"):
        system.desk.bind_escrow(system.escrow, sender=system.deployer)
    with evm.reverts("desk: not granted"):
        system.desk.cancel_job(job_id, sender=system.deployer)
    with evm.reverts("desk: not the payer"):
        system.desk.request_close(job_id, sender=system.deployer)
