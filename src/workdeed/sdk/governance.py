"""What the governor decides, whoever holds the role, and the operations of the timelock.

On chains with a timelock that is the governor: a decision is announced, waits for the delay, and is
then executed. Elsewhere the governor acts at once. Times are Unix seconds, delays seconds.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from workdeed.chain.bindings.codec import Call, Event, read
from workdeed.chain.bindings.licenses import ZERO_ADDRESS
from workdeed.chain.bindings.timelock import (
    DONE,
    MAX_PAYLOAD,
    NO_OPERATION,
    ROLES,
    UNSET,
    RoleGranted,
    Timelock,
    TimelockCall,
    operation_id,
    role_id,
)
from workdeed.chain.logs import find_events, topic_of
from workdeed.chain.rpc import RevertError
from workdeed.sdk.errors import NotPermittedError, RefusedError, SdkError
from workdeed.sdk.operations import Announced, Operation, check_executable, execution, replay
from workdeed.sdk.reasons import in_words
from workdeed.sdk.session import Session
from workdeed.sdk.words import utc

IDLE_SECONDS: Final = 60
"""How long a chain may make no block past the end of a delay before waiting gives up."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of something that only the governor may do.

    Attributes:
        transaction: what was sent, or is to be sent by whoever may.
        operation_id: the timelock's operation; None where it takes effect at once.
        ready_at: from when on that can be executed; None likewise, and where nothing was sent.

    """

    transaction: Call[Any]
    operation_id: bytes | None = None
    ready_at: int | None = None


@dataclass(frozen=True, slots=True)
class RolesView:
    """Who governs; the members of the timelock's roles are empty where there is none."""

    governor: str
    pending_governor: str
    guardian: str
    treasury: str
    timelock: str | None
    delay: int
    proposers: tuple[str, ...]
    cancellers: tuple[str, ...]
    executors: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the view for JSON."""
        return {
            "governor": self.governor,
            "pending_governor": self.pending_governor,
            "guardian": self.guardian,
            "treasury": self.treasury,
            "timelock": self.timelock,
            "delay": self.delay,
            "proposers": list(self.proposers),
            "cancellers": list(self.cancellers),
            "executors": list(self.executors),
        }


class Governance:
    """Decisions of the governor, and operations of the timelock; reading needs no key."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def timelock(self) -> Timelock:
        """The timelock; raises `SdkError` if this deployment has none."""
        if self._session.suite.timelock is None:
            raise SdkError(
                "timelock: this deployment has none; its governor acts at once, without operations"
            )
        return self._session.suite.timelock

    async def act(self, call: Call[Any], *, check: bool = True, send: bool = True) -> Decision:
        """Do what only the governor may do: at once, or by an operation of the timelock.

        What the timelock alone may do, such as to name its proposers, always is an operation.

        Args:
            call: what to do, of the bindings in `Session.suite`.
            check: whether an operation is refused that the contract would refuse today.
            send: whether it is sent; else it is only prepared, for an account that signs elsewhere,
                such as a multisig.

        Raises:
            NotPermittedError: if the sender neither is the governor nor may propose to it.
            SdkError: if the contract refuses, or the operation is announced already.

        """
        suite = self._session.suite
        if suite.timelock is not None and call.to == suite.timelock.address:
            return await self.propose(call, check=check, send=send)
        governor = await self._session.read(suite.registry.governor())
        return await self._act_as(governor, call, check=check, send=send)

    async def accept_role(self, *, send: bool = True) -> Decision:
        """Take the governor's role over, as the account that it was offered to.

        Raises:
            NotPermittedError: if it was offered to another account.
            SdkError: if it was offered to nobody.

        """
        registry = self._session.suite.registry
        successor = await self._session.read(registry.pending_governor())
        if successor == ZERO_ADDRESS:
            raise SdkError("governor: the role is offered to nobody; the governor must offer it")
        return await self._act_as(successor, registry.accept_governor(), check=True, send=send)

    async def propose(
        self,
        call: Call[Any],
        *,
        salt: bytes | None = None,
        predecessor: bytes = NO_OPERATION,
        check: bool = True,
        send: bool = True,
    ) -> Decision:
        """Announce a call, which can be executed once the timelock's delay is over.

        Args:
            call: what the timelock shall do.
            salt: what tells the operation from another with the same call. By default the first
                number whose operation was not executed yet, so that nothing is announced twice.
            predecessor: an operation that must be executed before.
            check: whether it is refused if the contract would refuse the call today.
            send: as in `act`.

        Raises:
            NotPermittedError: if the sender is no proposer.
            SdkError: if it is announced already, or the contract refuses.

        """
        timelock = self.timelock
        _check_length(call)
        if send:
            await self._require("proposer")
        if check:
            await self._simulate(timelock, call)
        announced = TimelockCall(call.to, 0, call.data)
        if salt is None:
            salt = await self._free_salt(timelock, announced, predecessor)
        delay = await self._session.read(timelock.minimum_delay())
        transaction = timelock.schedule(announced, predecessor, salt, delay)
        made = operation_id(announced, predecessor, salt)
        if not send:
            return Decision(transaction, made)
        await self._session.sender.send(transaction)
        ready_at = await self._session.read(timelock.ready_at(made))
        return Decision(transaction, made, ready_at)

    async def delay(self) -> int:
        """Return how long a decision waits before it can take effect; 0 where it acts at once."""
        suite = self._session.suite
        governor = await self._session.read(suite.registry.governor())
        if suite.timelock is None or governor != suite.timelock.address:
            return 0
        return await self._session.read(suite.timelock.minimum_delay())

    async def takes_effect_at(self) -> int:
        """Return from when on what is decided now can take effect."""
        return await self.now() + await self.delay()

    async def now(self) -> int:
        """Return the time of the chain."""
        return (await self._session.rpc.head()).timestamp

    async def roles(self) -> RolesView:
        """Return who governs, and who proposes, cancels and executes where a timelock does."""
        suite = self._session.suite
        registry, timelock = suite.registry, suite.timelock
        holders = [
            registry.governor(),
            registry.pending_governor(),
            registry.guardian(),
            registry.treasury(),
        ]
        governor, pending, guardian, treasury = await self._session.read_all(holders)
        members = {role: await self.members(role) if timelock else () for role in ROLES}
        return RolesView(
            governor=governor,
            pending_governor=pending,
            guardian=guardian,
            treasury=treasury,
            timelock=timelock.address if timelock else None,
            delay=await self.delay(),
            proposers=members["proposer"],
            cancellers=members["canceller"],
            executors=members["executor"],
        )

    async def members(self, role: str) -> tuple[str, ...]:
        """Return who has one of the timelock's roles; the zero address stands for anyone."""
        timelock = self.timelock
        granted = await self._events([[topic_of(Timelock, RoleGranted)], [role_id(role)]])
        accounts = list(
            dict.fromkeys(one.account for one in granted if isinstance(one, RoleGranted))
        )
        held = await self._session.read_all([timelock.has_role(role, one) for one in accounts])
        return tuple(account for account, has in zip(accounts, held, strict=True) if has)

    async def operations(self) -> list[Operation]:
        """Return all operations that were ever announced, in the order of that.

        Raises:
            SdkError: if this deployment has no timelock.

        """
        return await self._with_state(replay(await self._events([])))

    async def operation(self, operation: bytes) -> Operation:
        """Return an operation; raises `SdkError` if there is none with this id."""
        found = await self._with_state(replay(await self._events([[], [operation]])))
        if not found:
            raise SdkError(
                f"operation 0x{operation.hex()}: it was never announced; "
                "`workdeed governance list` shows those that were"
            )
        return found[0]

    async def execute(self, operation: bytes) -> Operation:
        """Do what was announced; return the operation as it stood before.

        Raises:
            NotPermittedError: if only some accounts may, and the sender is none of them.
            SdkError: if its delay is not over, it ended already, or a contract refuses.

        """
        timelock = self.timelock
        found = await self.operation(operation)
        check_executable(found)
        await self._check_predecessor(timelock, found)
        if not await self._session.read(timelock.has_role("executor", ZERO_ADDRESS)):
            await self._require("executor")
        await self._session.sender.send(execution(timelock, found))
        return found

    async def cancel(self, operation: bytes) -> Operation:
        """Take back what was announced; return the operation as it stood before.

        Raises:
            NotPermittedError: if the sender is no canceller.
            SdkError: if it ended already.

        """
        found = await self.operation(operation)
        if not found.is_open:
            raise SdkError(f"operation 0x{operation.hex()}: it is {found.state} already")
        await self._require("canceller")
        await self._session.sender.send(self.timelock.cancel(operation))
        return found

    async def wait(self, operation: bytes, *, poll_seconds: float = 1.0) -> None:
        """Wait until the chain's clock lets an operation be executed; not for one that ended.

        Raises:
            SdkError: if it was never announced, or the chain makes no blocks meanwhile.

        """
        ready_at = (await self.operation(operation)).ready_at
        if ready_at is None:
            return
        now = await self.now()
        give_up = time.monotonic() + max(0, ready_at - now) + IDLE_SECONDS
        while now < ready_at:
            if time.monotonic() > give_up:
                raise SdkError(
                    f"operation 0x{operation.hex()}: the chain's clock stands at {utc(now)}; "
                    f"execute it once there is a block from {utc(ready_at)} on"
                )
            await asyncio.sleep(poll_seconds)
            now = await self.now()

    async def _act_as(self, holder: str, call: Call[Any], *, check: bool, send: bool) -> Decision:
        """Send as the account that a contract wants, or propose it to the timelock if it is that.

        Raises:
            NotPermittedError: if the sender is neither that account nor may propose to it.

        """
        timelock, sender = self._session.suite.timelock, self._session.sender
        if timelock is not None and holder == timelock.address:
            return await self.propose(call, check=check, send=send)
        if send:
            if holder != sender.address:
                raise NotPermittedError(
                    f"{_function(call)}: only {holder} may do this, not {sender.address}; "
                    "send with its key"
                )
            await sender.send(call)
        return Decision(call)

    async def _require(self, role: str) -> None:
        sender = self._session.sender.address
        if await self._session.read(self.timelock.has_role(role, sender)):
            return
        members = ", ".join(await self.members(role))
        raise NotPermittedError(
            f"timelock: only its {role}s may do this ({members}), not {sender}; "
            "send with the key of one"
        )

    async def _simulate(self, timelock: Timelock, call: Call[Any]) -> None:
        """Raise `RefusedError` if the contract would refuse a call of the timelock today."""
        try:
            await read(self._session.rpc, call, sender=timelock.address)
        except RevertError as error:
            raise RefusedError(
                f"{_function(call)}: it would be refused today, {in_words(error.reason)}; "
                "if that will change in time, propose it unchecked",
                error.reason,
            ) from error

    async def _free_salt(self, timelock: Timelock, call: TimelockCall, predecessor: bytes) -> bytes:
        number = 0
        while True:
            salt = number.to_bytes(32, "big")
            made = operation_id(call, predecessor, salt)
            ready_at = await self._session.read(timelock.ready_at(made))
            if ready_at == UNSET:
                return salt
            if ready_at != DONE:
                raise SdkError(
                    f"operation 0x{made.hex()}: this very call is announced already; execute or "
                    "cancel it, or propose it with another salt"
                )
            number += 1

    async def _check_predecessor(self, timelock: Timelock, operation: Operation) -> None:
        before = operation.predecessor
        if before == NO_OPERATION:
            return
        if await self._session.read(timelock.ready_at(before)) != DONE:
            raise SdkError(
                f"operation 0x{operation.operation_id.hex()}: it waits for 0x{before.hex()}; "
                "execute that first"
            )

    async def _with_state(self, announced: Sequence[Announced]) -> list[Operation]:
        timelock = self.timelock
        standing = [one for one in announced if one.ended is None]
        times = await self._session.read_all(
            [timelock.ready_at(one.operation_id) for one in standing]
        )
        ready = {one.operation_id: at for one, at in zip(standing, times, strict=True)}
        now = await self.now()
        return [
            one.seen(self._session.suite, ready.get(one.operation_id, UNSET), now)
            for one in announced
        ]

    async def _events(self, topics: Sequence[Sequence[bytes]]) -> list[Event]:
        session = self._session
        return await find_events(
            session.rpc,
            session.suite,
            [self.timelock],
            topics,
            first=session.deployment.start_block,
            last=(await session.rpc.head()).number,
        )


def _function(call: Call[Any]) -> str:
    return call.name.partition(".")[2]


def _check_length(call: Call[Any]) -> None:
    if len(call.data) > MAX_PAYLOAD:
        raise SdkError(
            f"{_function(call)}: it has {len(call.data)} bytes, the timelock takes {MAX_PAYLOAD}; "
            "make it smaller"
        )
