"""An operation's way: scheduled, waiting, ready, executed or cancelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.system import System, deployer, event, events
from tests.contracts.timelock.operations import (
    DELAY,
    MISSING_ROLE,
    NO_HASH,
    NOT_READY,
    Governed,
    Operation,
    deploy_timelock,
    operation,
)

UNSET, WAITING, READY, DONE = 1, 2, 4, 8
"""The states, as snekmate's flag counts them."""


@pytest.fixture
def minting(system: System) -> Operation:
    """An operation whose effect shows: it mints 7."""
    return operation(system.token, "mint", system.stranger, 7)


def minted(governed: Governed) -> int:
    """Return what operations have minted."""
    return int(governed.system.token.balanceOf(governed.system.stranger))


def test_operation_goes_its_way(governed: Governed, minting: Operation) -> None:
    timelock = governed.timelock
    one = governed.id_of(minting)
    states = [timelock.get_operation_state(one)]

    governed.schedule(minting)
    (told,) = events(timelock, "CallScheduled")
    assert (told.id, told.index, told.payload, told.delay) == (one, 0, minting.payload, DELAY)
    assert timelock.get_timestamp(one) == evm.env.timestamp + DELAY
    states.append(timelock.get_operation_state(one))
    governed.system.wait(DELAY)
    states.append(timelock.get_operation_state(one))
    assert timelock.is_operation_pending(one)
    governed.execute(minting)
    (told,) = events(timelock, "CallExecuted")
    assert (told.id, told.index, told.payload) == (one, 0, minting.payload)
    states.append(timelock.get_operation_state(one))

    assert states == [UNSET, WAITING, READY, DONE]
    assert timelock.is_operation(one)
    assert timelock.is_operation_done(one)
    assert minted(governed) == 7


def test_nothing_happens_a_second_before_the_delay_is_over(
    governed: Governed, minting: Operation
) -> None:
    """G26."""
    one = governed.schedule(minting)
    governed.system.wait(DELAY - 1)

    assert not governed.timelock.is_operation_ready(one)
    with evm.reverts(NOT_READY):
        governed.execute(minting, sender=governed.proposer)
    governed.system.wait(1)
    governed.execute(minting)

    assert minted(governed) == 7


@given(delay=st.integers(0, 3 * DELAY), waited=st.integers(0, 3 * DELAY))
def test_operation_happens_once_its_own_delay_is_over_and_not_before(
    deployed: System, delay: int, waited: int
) -> None:
    """G26: whatever delay is asked for, none below the least works."""
    governed = deploy_timelock(deployed)
    minting = operation(deployed.token, "mint", deployed.stranger, 7)
    if delay < DELAY:
        with evm.reverts("timelock_controller: insufficient delay"):
            governed.schedule(minting, delay)
        return
    governed.schedule(minting, delay)
    deployed.wait(waited)
    if waited < delay:
        with evm.reverts(NOT_READY):
            governed.execute(minting)
    else:
        governed.execute(minting)

    assert minted(governed) == 7 * (waited >= delay)


def test_what_was_never_scheduled_is_not_executed(governed: Governed, minting: Operation) -> None:
    with evm.reverts(NOT_READY):
        governed.execute(minting, sender=governed.proposer)


@pytest.mark.parametrize("change", ["target", "amount", "payload", "predecessor", "salt"])
def test_what_differs_from_what_was_scheduled_is_not_executed(
    governed: Governed, minting: Operation, change: str
) -> None:
    governed.schedule(minting)
    governed.system.wait(DELAY)
    other = {
        "target": governed.system.trust,
        "amount": 1,
        "payload": minting.payload[:-1] + b"\xff",
        "predecessor": bytes(31) + b"\x01",
        "salt": bytes(31) + b"\x01",
    }

    with evm.reverts(NOT_READY):
        governed.execute(minting._replace(**{change: other[change]}))


def test_operation_is_executed_once(governed: Governed, minting: Operation) -> None:
    governed.carry_out(minting)

    with evm.reverts(NOT_READY):
        governed.execute(minting)
    with evm.reverts("timelock_controller: operation already scheduled"):
        governed.schedule(minting)
    governed.carry_out(minting._replace(salt=bytes(31) + b"\x01"))

    assert minted(governed) == 14


@pytest.mark.parametrize("role", ["guardian", "issuer", "treasury", "deployer", "stranger"])
def test_only_proposers_schedule_and_cancel(
    governed: Governed, minting: Operation, role: str
) -> None:
    sender = getattr(governed.system, role)
    with evm.reverts(MISSING_ROLE):
        governed.schedule(minting, sender=sender)
    one = governed.schedule(minting)

    with evm.reverts(MISSING_ROLE):
        governed.timelock.cancel(one, sender=sender)


@pytest.mark.parametrize("waited", [0, DELAY], ids=["waiting", "ready"])
def test_cancelled_operation_is_not_executed(
    governed: Governed, minting: Operation, waited: int
) -> None:
    one = governed.schedule(minting)
    governed.system.wait(waited)

    governed.timelock.cancel(one, sender=governed.proposer)

    assert event(governed.timelock, "Cancelled") == {"id": one}
    assert governed.timelock.get_operation_state(one) == UNSET
    governed.system.wait(DELAY)
    with evm.reverts(NOT_READY):
        governed.execute(minting)
    governed.carry_out(minting)


def test_what_does_not_wait_is_not_cancelled(governed: Governed, minting: Operation) -> None:
    with evm.reverts("timelock_controller: operation cannot be cancelled"):
        governed.timelock.cancel(governed.id_of(minting), sender=governed.proposer)
    governed.carry_out(minting)

    with evm.reverts("timelock_controller: operation cannot be cancelled"):
        governed.timelock.cancel(governed.id_of(minting), sender=governed.proposer)


def test_predecessor_comes_first(governed: Governed, minting: Operation) -> None:
    first = governed.schedule(minting)
    second = minting._replace(predecessor=first)
    governed.schedule(second)
    governed.system.wait(DELAY)

    with evm.reverts("timelock_controller: missing dependency"):
        governed.execute(second)
    governed.execute(minting)
    governed.execute(second)

    assert minted(governed) == 14


def test_failure_of_the_call_is_told_and_leaves_the_operation_ready(governed: Governed) -> None:
    system = governed.system
    failing = operation(system.trust, "set_guardian", system.stranger)
    one = governed.schedule(failing)
    system.wait(DELAY)

    with evm.reverts("ownable: caller is not the owner"):
        governed.execute(failing)
    assert governed.timelock.is_operation_ready(one)

    governed.hand_over()
    governed.execute(failing)
    assert system.trust.guardian() == system.stranger


def test_batch_happens_together_or_not_at_all(governed: Governed, minting: Operation) -> None:
    system, timelock = governed.system, governed.timelock
    failing = operation(system.trust, "set_guardian", system.stranger)
    batch = (
        [system.token, system.trust],
        [0, 0],
        [minting.payload, failing.payload],
        NO_HASH,
        bytes(31) + b"\x01",
    )
    timelock.schedule_batch(*batch, DELAY, sender=governed.proposer)
    told = events(timelock, "CallScheduled")
    assert [(one.index, one.payload) for one in told] == [
        (0, minting.payload),
        (1, failing.payload),
    ]
    assert {one.id for one in told} == {timelock.hash_operation_batch(*batch)}
    system.wait(DELAY - 1)
    with evm.reverts(NOT_READY):
        timelock.execute_batch(*batch)
    system.wait(1)

    with evm.reverts("ownable: caller is not the owner"):
        timelock.execute_batch(*batch)
    assert minted(governed) == 0
    governed.hand_over()
    timelock.execute_batch(*batch)

    assert [one.index for one in events(timelock, "CallExecuted")] == [0, 1]
    assert minted(governed) == 7
    assert system.trust.guardian() == system.stranger


def test_batch_of_unequal_lists_is_refused(governed: Governed, minting: Operation) -> None:
    with evm.reverts("timelock_controller: length mismatch"):
        governed.timelock.schedule_batch(
            [governed.system.token] * 2,
            [0],
            [minting.payload],
            NO_HASH,
            NO_HASH,
            DELAY,
            sender=governed.proposer,
        )


def test_operation_that_executes_itself_in_its_middle_does_not_happen_twice(
    governed: Governed,
) -> None:
    """Reentrancy: snekmate checks after the call that the operation is still pending."""
    system = governed.system
    token = deployer("testing/BurnToken").deploy()
    token.mint(system.payer, 10)
    burning = operation(token, "burn_from", system.payer, 1)
    governed.schedule(burning)
    system.wait(DELAY)
    token.set_hook(governed.timelock, governed.timelock.execute.prepare_calldata(*burning))

    with evm.reverts(NOT_READY):
        governed.execute(burning)
    assert token.balanceOf(system.payer) == 10
    token.set_hook(system.stranger, b"")
    governed.execute(burning)

    assert token.balanceOf(system.payer) == 9
