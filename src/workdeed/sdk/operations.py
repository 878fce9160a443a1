"""Operations of the timelock: what its log tells of them, and what can be done with each.

Times are Unix seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from workdeed.chain.bindings.codec import Call, Event
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.bindings.timelock import (
    DONE,
    NO_OPERATION,
    UNSET,
    CallExecuted,
    CallSalt,
    CallScheduled,
    Cancelled,
    Timelock,
    TimelockCall,
    operation_id,
)
from workdeed.sdk.errors import SdkError
from workdeed.sdk.words import describe, utc

WAITING: Final = "waiting"
READY: Final = "ready"
EXECUTED: Final = "done"
CANCELLED: Final = "cancelled"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that was announced.

    Attributes:
        operation_id: its id.
        calls: what it does, in order.
        predecessor: the operation that must be executed before; zeros for none.
        salt: what tells it from another one with the same calls.
        state: `WAITING`, `READY`, `EXECUTED` or `CANCELLED`.
        ready_at: from when on it can be executed; None once it is done or cancelled.
        words: what each call does, for people.

    """

    operation_id: bytes
    calls: tuple[TimelockCall, ...]
    predecessor: bytes
    salt: bytes
    state: str
    ready_at: int | None
    words: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether it can still be executed or cancelled."""
        return self.ready_at is not None

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "operation_id": "0x" + self.operation_id.hex(),
            "state": self.state,
            "ready_at": self.ready_at,
            "predecessor": "0x" + self.predecessor.hex(),
            "salt": "0x" + self.salt.hex(),
            "calls": [
                {
                    "target": call.target,
                    "amount": str(call.amount),
                    "payload": "0x" + call.payload.hex(),
                    "words": words,
                }
                for call, words in zip(self.calls, self.words, strict=True)
            ],
        }


@dataclass
class Announced:
    """An operation as the log tells of it; `ended` is how it ended, None while it stands."""

    operation_id: bytes
    predecessor: bytes
    calls: list[TimelockCall] = field(default_factory=list)
    salt: bytes = NO_OPERATION
    ended: str | None = None

    def seen(self, suite: Suite, ready_at: int, now: int) -> Operation:
        """Return it with its state.

        Args:
            suite: the contracts that it may call.
            ready_at: what the timelock says of it; it is newer than the log.
            now: the time of the chain.

        """
        state = self.ended or _state(ready_at, now)
        return Operation(
            operation_id=self.operation_id,
            calls=tuple(self.calls),
            predecessor=self.predecessor,
            salt=self.salt,
            state=state,
            ready_at=ready_at if state in (WAITING, READY) else None,
            words=tuple(describe(suite, call) for call in self.calls),
        )


def replay(events: Sequence[Event]) -> list[Announced]:
    """Return the operations that a timelock's log tells of, in the order of their announcement.

    One that was cancelled may be announced again; it then counts once, as the later one.
    """
    found: dict[bytes, Announced] = {}
    for event in events:
        if isinstance(event, CallScheduled):
            if event.index == 0:
                found.pop(event.id, None)  # so that it moves to the end
                found[event.id] = Announced(event.id, event.predecessor)
            found[event.id].calls.append(TimelockCall(event.target, event.amount, event.payload))
        elif isinstance(event, CallSalt | Cancelled | CallExecuted) and event.id in found:
            _apply(found[event.id], event)
    return list(found.values())


def _apply(announced: Announced, event: CallSalt | Cancelled | CallExecuted) -> None:
    if isinstance(event, CallSalt):
        announced.salt = event.salt
    else:
        announced.ended = CANCELLED if isinstance(event, Cancelled) else EXECUTED


def _state(ready_at: int, now: int) -> str:
    """Return the state by what the timelock says of an operation that was announced."""
    if ready_at == UNSET:
        return CANCELLED
    if ready_at == DONE:
        return EXECUTED
    return READY if ready_at <= now else WAITING


def check_executable(operation: Operation) -> None:
    """Raise `SdkError` unless the delay of an operation is over and it did not end."""
    name = f"operation 0x{operation.operation_id.hex()}"
    if operation.ready_at is None:
        raise SdkError(f"{name}: it is {operation.state} already")
    if operation.state == WAITING:
        raise SdkError(
            f"{name}: its delay is not over; execute it from {utc(operation.ready_at)} on"
        )
    if any(call.amount for call in operation.calls):
        raise SdkError(f"{name}: it sends ether, which this does not; call the timelock yourself")


def execution(timelock: Timelock, operation: Operation) -> Call[None]:
    """Return the call that executes an operation."""
    frame = operation.predecessor, operation.salt
    first = operation.calls[0]
    # A batch of one call has another id than that call alone; the log does not tell them apart.
    if len(operation.calls) == 1 and operation_id(first, *frame) == operation.operation_id:
        return timelock.execute(first, *frame)
    return timelock.execute_batch(operation.calls, *frame)
