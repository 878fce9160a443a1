"""A token that calls back in the middle of a transfer: every call of the escrow is shut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.system import JOB_LEAF, PRICE, UNIT, System, deploy_system, deployer


@pytest.fixture
def system() -> System:
    """A system whose token calls back."""
    return deploy_system(oracles=1, token=deployer("testing/HookToken").deploy(6))


@pytest.fixture
def job_id(system: System) -> int:
    """A job of two licenses, half served, reported and not closed."""
    nodes = [system.issue_node(operator) for operator in system.operators[:2]]
    job_id = system.start_job(nodes, windows=2)
    system.to_window(4)
    units = {(job_id, license_id): UNIT for license_id in nodes}
    system.report(units | {(job_id, JOB_LEAF): 2 * UNIT})
    return job_id


def attempts(system: System, job_id: int) -> dict[str, bytes]:
    """Return the data of every call that writes, and of two that read, as an attacker sends it."""
    escrow, report = system.escrow, system.reports[-1]
    license_id = next(iter(system.node_keys))
    proof, closing = report.proof(job_id, license_id), report.proof(job_id, JOB_LEAF)
    entry = (job_id, license_id, UNIT, proof)
    return {
        "open_job": escrow.open_job.prepare_calldata(bytes(32), 1, 0, 1, 1, 1, PRICE),
        "place": escrow.place.prepare_calldata(*system.placement(job_id, [license_id])),
        "claim": escrow.claim.prepare_calldata(*entry),
        "claim_many": escrow.claim_many.prepare_calldata(system.operators[0], [entry]),
        "extend_job": escrow.extend_job.prepare_calldata(job_id, 1),
        "revise_job": escrow.revise_job.prepare_calldata(job_id, bytes(32)),
        "cancel_job": escrow.cancel_job.prepare_calldata(job_id),
        "close_job": escrow.close_job.prepare_calldata(job_id, 2 * UNIT, closing),
        "request_close": escrow.request_close.prepare_calldata(job_id),
        "close_unattested": escrow.close_unattested.prepare_calldata(job_id),
        "set_class": escrow.set_class.prepare_calldata(1, (1, 1, 1, 1)),
        "retire_class": escrow.retire_class.prepare_calldata(1),
        "add_policy": escrow.add_policy.prepare_calldata((0, 0, 0, 0, 0)),
        "job": escrow.job.prepare_calldata(job_id),
        "liabilities": escrow.liabilities.prepare_calldata(),
    }


def pull(system: System, job_id: int) -> None:
    """Make the escrow pull a deposit."""
    system.open_job()


def pay(system: System, job_id: int) -> None:
    """Make the escrow pay an operator."""
    system.claim(job_id, max(system.node_keys))


def refund(system: System, job_id: int) -> None:
    """Make the escrow refund the payer."""
    system.close(job_id)


def test_every_call_that_writes_is_tried(system: System, job_id: int) -> None:
    writing = {
        entry["name"]
        for entry in system.escrow.abi
        if entry["type"] == "function" and entry["stateMutability"] == "nonpayable"
    }

    assert writing <= attempts(system, job_id).keys()


@pytest.mark.parametrize("transfer", [pull, pay, refund])
def test_no_call_gets_in_during_a_transfer(
    system: System, job_id: int, transfer: Callable[[System, int], None]
) -> None:
    for name, data in attempts(system, job_id).items():
        escrow, sender = system.escrow.address, system.token.address
        outside = evm.env.execute_code(escrow, sender=sender, data=data, simulate=True)
        assert not outside.is_error or outside.output, f"{name} is malformed and proves nothing"
        system.token.set_hook(escrow, data)

        with evm.env.anchor():
            transfer(system, job_id)

            assert system.token.calls() == 1
            assert not system.token.succeeded(), name
            # The lock gives no reason; whatever gets past it gives one.
            assert system.token.response() == b"", name


def test_hook_itself_works(system: System, job_id: int) -> None:
    """Else the refusals above would prove nothing: a call to another contract gets through."""
    other = deployer("testing/PlainToken").deploy(6)
    system.token.set_hook(other.address, other.mint.prepare_calldata(system.stranger, 5))

    pay(system, job_id)

    assert system.token.succeeded()
    assert other.balanceOf(system.stranger) == 5


def test_what_money_waits_for_may_be_read_meanwhile(system: System, job_id: int) -> None:
    reading = system.committee.final_report.prepare_calldata()
    system.token.set_hook(system.committee.address, reading)

    pay(system, job_id)

    assert system.token.succeeded()
    window, root = system.committee.final_report()
    assert system.token.response() == window.to_bytes(32, "big") + root
