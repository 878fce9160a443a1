"""What the log of a timelock tells of its operations."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from governance_support import NOW, SUITE, TIMELOCK, address
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings.codec import Event
from workdeed.chain.bindings.timelock import (
    DONE,
    NO_OPERATION,
    UNSET,
    CallExecuted,
    CallSalt,
    CallScheduled,
    Cancelled,
    TimelockCall,
    batch_id,
    operation_id,
)
from workdeed.sdk.errors import SdkError
from workdeed.sdk.operations import (
    CANCELLED,
    EXECUTED,
    READY,
    WAITING,
    Operation,
    check_executable,
    execution,
    replay,
)

CALLS = tuple(
    TimelockCall(SUITE.registry.address, 0, SUITE.registry.set_guardian(address(one)).data)
    for one in range(2)
)
SALT = (7).to_bytes(32, "big")


def scheduled(calls: tuple[TimelockCall, ...], name: bytes, salt: bytes = SALT) -> list[Event]:
    """Return what a timelock logs of an announcement."""
    events: list[Event] = [
        CallScheduled(name, index, *call, predecessor=NO_OPERATION, delay=9)
        for index, call in enumerate(calls)
    ]
    return [*events, CallSalt(name, salt)] if any(salt) else events


def operation(calls: tuple[TimelockCall, ...], name: bytes, ready_at: int = NOW) -> Operation:
    (found,) = replay(scheduled(calls, name))
    return found.seen(SUITE, ready_at, NOW)


@pytest.mark.parametrize(
    ("ready_at", "state", "shown"),
    [
        (NOW + 1, WAITING, NOW + 1),
        (NOW, READY, NOW),
        (DONE, EXECUTED, None),
        (UNSET, CANCELLED, None),
    ],
)
def test_the_timelock_itself_tells_how_far_an_operation_is(
    ready_at: int, state: str, shown: int | None
) -> None:
    found = operation(CALLS, SALT, ready_at)
    assert (found.state, found.ready_at, found.is_open) == (state, shown, shown is not None)
    assert (found.calls, found.salt, found.predecessor) == (CALLS, SALT, NO_OPERATION)
    assert json.loads(json.dumps(found.to_json()))["calls"][1]["words"] == found.words[1]


def test_the_log_tells_how_it_ended() -> None:
    done, gone, kept = (bytes(31) + bytes([one]) for one in range(1, 4))
    events = [
        *scheduled(CALLS[:1], done),
        *scheduled(CALLS[:1], gone, salt=bytes(32)),
        *scheduled(CALLS, kept),
        CallExecuted(done, 0, *CALLS[0]),
        Cancelled(gone),
        # Nothing that this log began.
        Cancelled(bytes(31) + b"\x09"),
    ]
    assert [one.ended for one in replay(events)] == [EXECUTED, CANCELLED, None]
    assert [one.salt for one in replay(events)] == [SALT, bytes(32), SALT]


def test_what_is_announced_anew_after_it_was_cancelled_stands_again() -> None:
    first, other = bytes(31) + b"\x01", bytes(31) + b"\x02"
    events = [
        *scheduled(CALLS, first),
        *scheduled(CALLS, other),
        Cancelled(first),
        *scheduled(CALLS, first),
    ]
    found = replay(events)
    assert [(one.operation_id, one.ended) for one in found] == [(other, None), (first, None)]
    assert found[1].calls == list(CALLS)


@given(count=st.integers(1, 2), as_batch=st.booleans())
def test_an_operation_is_executed_as_it_was_announced(count: int, as_batch: bool) -> None:
    """A single call and a batch of one have different ids, and look alike in the log."""
    calls = CALLS[:count]
    if as_batch or count > 1:
        found = operation(calls, batch_id(calls, NO_OPERATION, SALT))
        assert execution(TIMELOCK, found) == TIMELOCK.execute_batch(calls, NO_OPERATION, SALT)
    else:
        found = operation(calls, operation_id(calls[0], NO_OPERATION, SALT))
        assert execution(TIMELOCK, found) == TIMELOCK.execute(calls[0], NO_OPERATION, SALT)


@pytest.mark.parametrize(
    ("ready_at", "text"),
    [
        (NOW + 60, "its delay is not over; execute it from 2027-01-15T08:01:00Z on"),
        (DONE, "it is done already"),
        (UNSET, "it is cancelled already"),
    ],
)
def test_what_is_not_ready_is_not_executed(ready_at: int, text: str) -> None:
    with pytest.raises(SdkError, match=text):
        check_executable(operation(CALLS, SALT, ready_at))


def test_nobody_sends_ether_with_an_operation_by_mistake() -> None:
    check_executable(operation(CALLS, SALT))
    costly = replace(operation(CALLS, SALT), calls=(CALLS[0], CALLS[1]._replace(amount=1)))
    with pytest.raises(SdkError, match="it sends ether"):
        check_executable(costly)
