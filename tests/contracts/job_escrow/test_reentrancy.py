"""A token that calls back in the middle of a transfer: every call of the escrow is shut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.system import JOB_LEAF, PRICE, UNIT, System, deploy_system, deployer

Calls = dict[str, bytes]


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


def calls(system: System, job_id: int) -> Calls:
    """Return the data of every call that writes, as an attacker would send it."""
    escrow, report = system.escrow, system.reports[-1]
    license_id = next(iter(system.node_keys))
    proof = report.proof(job_id, license_id)
    closing = report.proof(job_id, JOB_LEAF)
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


def open_one(system: System, job_id: int) -> None:
    """Make the escrow pull tokens."""
    system.open_job()


def claim(system: System, job_id: int) -> None:
    """Make the escrow pay a payee."""
    system.claim(job_id, max(system.node_keys))


def close(system: System, job_id: int) -> None:
    """Make the escrow refund the payer."""
    system.close(job_id)


@pytest.mark.parametrize("transfer", [open_one, claim, close])
def test_no_call_gets_in_during_a_transfer(
    system: System, job_id: int, transfer: Callable[[System, int], None]
) -> None:
    attempts = calls(system, job_id)
    with_writes = {
        name for name, f in vars(system.escrow).items() if getattr(f, "is_mutable", False)
    }
    for tried, (name, data) in enumerate(attempts.items(), start=1):
        with_writes.discard(name)
        system.token.set_hook(system.escrow.address, data)
        if transfer is open_one or tried == 1:
            transfer(system, job_id)
            assert system.token.calls() == tried, name
            assert not system.token.succeeded(), name
            assert system.token.response() == b"", f"{name} was refused for another reason"


def test_hook_itself_works(system: System, job_id: int) -> None:
    """Else the refusals above would prove nothing: a call to another contract gets through."""
    system.token.set_hook(
        system.token.address, system.token.mint.prepare_calldata(system.stranger, 5)
    )

    claim(system, job_id)

    assert system.token.succeeded()
    assert system.token.balanceOf(system.stranger) == 5


def test_reads_of_other_contracts_are_settled_during_a_transfer(
    system: System, job_id: int
) -> None:
    """What money waits for may be read meanwhile: nothing of it is in the middle of a change."""
    system.token.set_hook(
        system.committee.address, system.committee.final_report.prepare_calldata()
    )

    claim(system, job_id)

    assert system.token.succeeded()
    window, root = system.committee.final_report()
    assert system.token.response() == window.to_bytes(32, "big") + root


def test_state_is_written_before_tokens_move(system: System, job_id: int) -> None:
    """A token that burns the escrow's own balance mid-transfer meets books that are done."""
    license_id = max(system.node_keys)
    owed = system.escrow.liabilities()

    amount = system.claim(job_id, license_id)

    assert system.escrow.liabilities() == owed - amount
