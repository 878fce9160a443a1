"""Timelock: the governor of a deployment, which makes announced calls once a delay is over.

An operation is one call or several; its id is the hash of all that it does. Times are Unix seconds,
delays seconds, amounts wei.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from workdeed.chain.bindings.codec import Call, Contract, Event, flag, integer, nothing
from workdeed.protocol.hashing import keccak

ROLES: Final = ("proposer", "canceller", "executor")
"""Who may schedule, cancel and execute."""
UNSET: Final = 0
"""When an operation is ready that was never scheduled, or was cancelled."""
DONE: Final = 1
"""When an operation is ready that was executed."""
MAX_PAYLOAD: Final = 1_024
"""Bytes of a call."""
NO_OPERATION: Final = bytes(32)
"""The predecessor of an operation that waits for none."""


class TimelockCall(NamedTuple):
    """A call of an operation: whom it calls, with how much ether (wei), with what input."""

    target: str
    amount: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class RoleGranted(Event):
    """An account became a member of a role."""

    role: bytes
    account: str
    sender: str


@dataclass(frozen=True, slots=True)
class RoleRevoked(Event):
    """An account lost a role."""

    role: bytes
    account: str
    sender: str


@dataclass(frozen=True, slots=True)
class MinimumDelayChange(Event):
    """The delay was set; said at the deployment."""

    old_duration: int
    new_duration: int


@dataclass(frozen=True, slots=True)
class CallScheduled(Event):
    """A call of an operation was announced; `index` counts from 0."""

    id: bytes
    index: int
    target: str
    amount: int
    payload: bytes
    predecessor: bytes
    delay: int


@dataclass(frozen=True, slots=True)
class CallSalt(Event):
    """An operation was announced with a salt other than zero."""

    id: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class Cancelled(Event):
    """An operation was taken back."""

    id: bytes


@dataclass(frozen=True, slots=True)
class CallExecuted(Event):
    """A call of an operation was made."""

    id: bytes
    index: int
    target: str
    amount: int
    payload: bytes


def role_id(role: str) -> bytes:
    """Return what the contract calls one of `ROLES`."""
    return keccak(f"{role.upper()}_ROLE".encode())


def operation_id(call: TimelockCall, predecessor: bytes, salt: bytes) -> bytes:
    """Return the id of an operation of a single call."""
    return _hash(("address", "uint256", "bytes"), call, predecessor, salt)


def batch_id(calls: Sequence[TimelockCall], predecessor: bytes, salt: bytes) -> bytes:
    """Return the id of an operation that was scheduled as a batch, of one call or several."""
    columns = [[call[column] for call in calls] for column in range(3)]
    return _hash(("address[]", "uint256[]", "bytes[]"), columns, predecessor, salt)


class Timelock(Contract):
    """The timelock, which governs every chain but local ones."""

    NAME = "Timelock"
    EVENTS = (
        RoleGranted,
        RoleRevoked,
        MinimumDelayChange,
        CallScheduled,
        CallSalt,
        Cancelled,
        CallExecuted,
    )

    def minimum_delay(self) -> Call[int]:
        """Read the least delay of an operation, in seconds."""
        return self._call(integer, "get_minimum_delay")

    def ready_at(self, operation: bytes) -> Call[int]:
        """Read from when on an operation can be executed, or `UNSET` or `DONE`."""
        return self._call(integer, "get_timestamp", operation)

    def has_role(self, role: str, account: str) -> Call[bool]:
        """Read whether an account has one of `ROLES`; as an executor, zero stands for anyone."""
        return self._call(flag, "hasRole", role_id(role), account)

    def member_count(self, role: str) -> Call[int]:
        """Read how many members one of `ROLES` has."""
        return self._call(integer, "member_count", role_id(role))

    def schedule(
        self, call: TimelockCall, predecessor: bytes, salt: bytes, delay: int
    ) -> Call[None]:
        """Announce a call; for proposers."""
        return self._call(nothing, "schedule", *call, predecessor, salt, delay)

    def execute(self, call: TimelockCall, predecessor: bytes, salt: bytes) -> Call[None]:
        """Make an announced call; for executors."""
        return self._call(nothing, "execute", *call, predecessor, salt)

    def execute_batch(
        self, calls: Sequence[TimelockCall], predecessor: bytes, salt: bytes
    ) -> Call[None]:
        """Make all calls of an announced batch; for executors."""
        columns = [[call[column] for call in calls] for column in range(3)]
        return self._call(nothing, "execute_batch", *columns, predecessor, salt)

    def cancel(self, operation: bytes) -> Call[None]:
        """Take an operation back; for cancellers."""
        return self._call(nothing, "cancel", operation)

    def grant_role(self, role: str, account: str) -> Call[None]:
        """Give one of `ROLES` to an account; for the timelock itself."""
        return self._call(nothing, "grantRole", role_id(role), account)

    def revoke_role(self, role: str, account: str) -> Call[None]:
        """Take one of `ROLES` from an account; for the timelock itself."""
        return self._call(nothing, "revokeRole", role_id(role), account)

    def renounce_role(self, role: str, account: str) -> Call[None]:
        """Give up one of `ROLES`; `account` is the sender."""
        return self._call(nothing, "renounceRole", role_id(role), account)


def _hash(kinds: Sequence[str], values: Sequence[object], predecessor: bytes, salt: bytes) -> bytes:
    from eth_abi.abi import encode

    return keccak(encode([*kinds, "bytes32", "bytes32"], [*values, predecessor, salt]))
