"""Leases: of several keepers on one PostgreSQL database, one alone reads a chain or sends.

A lease is a row with a holder, a time at which it expires by the database's clock, and a token that
grows with every new holder. No clock of this machine takes part. The holder renews it in the
background; one that was stopped for longer than that, or that lost sight of the database, finds the
token of another and can write nothing: a `Fence` runs in the very transaction of each write, and
locks the row until that is done.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from sqlalchemy import DateTime, func, select, type_coerce
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from workdeed.chain.errors import ChainError, StoreUnavailableError
from workdeed.chain.store import Store
from workdeed.chain.tables import LeaseRow

TTL: Final = 15.0
"""Seconds for which a lease holds if nobody says."""

RENEWALS: Final = 3
"""How often a lease is renewed in the time in which it would expire."""

Fence = Callable[[Session], None]
"""Lets a transaction go on, or raises `LeaseLostError`."""

_NOBODY: Final = ""
# The time of the transaction's begin would be too early after a wait for a lock.
_NOW: Final = type_coerce(func.clock_timestamp(), DateTime(timezone=True))


class LeaseLostError(ChainError):
    """Another keeper holds the lease: nothing was written, and nothing may be sent."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease as the database has it.

    Attributes:
        name: what it is for.
        holder: who has it, or had it last; empty if it was released.
        token: how many holders there have been.
        seconds: how long it holds yet; below zero once it expired.

    """

    name: str
    holder: str
    token: int
    seconds: float

    @property
    def is_free(self) -> bool:
        """Whether anybody may take it."""
        return self.holder == _NOBODY or self.seconds <= 0


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a look found: our token or None, who has it, and whom it was taken from."""

    token: int | None
    holder: str
    taken_from: str | None = None


def _unobserved(_: "Lease") -> None:
    """Take no note of a change."""


def sender_lease(chain_id: int, sender: str) -> str:
    """Return the name of the lease on a sender's nonces."""
    return f"sender:{chain_id}:{sender}"


def follower_lease(chain_id: int) -> str:
    """Return the name of the lease on a chain's cursor."""
    return f"follower:{chain_id}"


def member_lease(chain_id: int, member: str) -> str:
    """Return the name of the lease on acting for a committee member."""
    return f"member:{chain_id}:{member}"


def new_holder() -> str:
    """Return a name for this process that no other has, nor it itself after a restart."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"


def lease_states(session: Session) -> list[LeaseState]:
    """Return every lease, by name."""
    query = select(LeaseRow, _NOW).order_by(LeaseRow.name)
    return [
        LeaseState(row.name, row.holder, row.token, (row.expires_at - now).total_seconds())
        for row, now in session.execute(query)
    ]


class Lease:
    """One lease as one process sees it: enter it to take it, or to stand by until it is free.

    Args:
        store: the PostgreSQL database.
        name: what it is for.
        holder: who takes it: a name that nobody else has, see `new_holder`.
        ttl: seconds after which others may take it from a holder that renews it no more.
        observer: told when it was taken or lost.
        along: a lease of this process that it goes along with: it is taken only while that one is
            held, and given back once that is another's. So both end up in one process.

    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        holder: str,
        ttl: float = TTL,
        observer: Callable[["Lease"], None] = _unobserved,
        along: "Lease | None" = None,
    ) -> None:
        self.name = name
        self._store = store
        self._holder = holder
        self._ttl = timedelta(seconds=ttl)
        self._observe = observer
        self._along = along
        self._kept_at = 0.0
        self._standing = _Standing(None, _NOBODY)
        self._keeping: asyncio.Task[None] | None = None
        self._trouble = ""

    @property
    def token(self) -> int | None:
        """The fencing token; None while another has the lease, as far as this process knows."""
        return self._standing.token

    @property
    def held(self) -> bool:
        """Whether it was ours at the last look; only a fence can tell whether it is."""
        return self._standing.token is not None

    @property
    def is_fresh(self) -> bool:
        """Whether it is ours and cannot have expired yet, by this machine's count of seconds.

        For what does no harm if it is wrong, as it is on a machine that was suspended. Nothing that
        must not happen twice may rest on it: that takes a fence.
        """
        return self.held and time.monotonic() < self._kept_at + self._ttl.total_seconds()

    @property
    def entered(self) -> bool:
        """Whether this process tries to have it."""
        return self._keeping is not None

    @property
    def holder(self) -> str:
        """Who had it at the last look."""
        return self._standing.holder

    @property
    def trouble(self) -> str:
        """Why it could not be renewed at the last try, one sentence; empty if it could."""
        return self._trouble

    @property
    def taken_from(self) -> str | None:
        """Whom it was taken from after it had expired, None if it was free or is not ours."""
        return self._standing.taken_from

    async def __aenter__(self) -> Self:
        """Take it if it is free, and try to keep or get it from now on.

        Raises:
            StoreUnavailableError: if the database does not answer.

        """
        await self.keep()
        self._keeping = asyncio.create_task(self._keep_on(), name=f"lease {self.name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give it back at once; where the database does not answer, it expires by itself."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        with contextlib.suppress(StoreUnavailableError):
            await self._store.aside(self._release)
        self._stand(_Standing(None, _NOBODY))

    async def keep(self) -> bool:
        """Renew it, or take it if it is free; return whether it is ours.

        Raises:
            StoreUnavailableError: if the database does not answer; what was known before stays.

        """
        asked_at = time.monotonic()  # the database's time of renewal is no earlier
        self._stand(await self._store.aside(self._take))
        self._kept_at = asked_at
        return self.held

    def fence(self) -> Fence:
        """Return what lets a transaction go on only under the token of now, and keeps it valid.

        Take one for each piece of work that decides and then writes: were the lease lost and won
        again in between, what was decided on would be out of date.

        Raises:
            LeaseLostError: if another had it at the last look; the fence raises it if it expired or
                is another's.

        """
        token = self._standing.token
        if token is None:
            raise self._lost()

        def check(session: Session) -> None:
            valid = session.scalar(
                select(LeaseRow.expires_at > _NOW)
                .where(
                    LeaseRow.name == self.name,
                    LeaseRow.holder == self._holder,
                    LeaseRow.token == token,
                )
                .with_for_update(read=True)
            )
            if not valid:
                raise self._lost()

        return check

    def _lost(self) -> LeaseLostError:
        return LeaseLostError(f"lease {self.name}: it is not held any more; this keeper stands by")

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(self._ttl.total_seconds() / RENEWALS)
            try:
                await self.keep()
            except Exception as error:  # whoever stopped asking would stand by for ever
                self._trouble = str(error)
            else:
                self._trouble = ""

    def _take(self, session: Session) -> _Standing:
        row, now = self._locked(session)
        taken_from = self._standing.taken_from
        if self._along is not None and not self._along.held:
            self._give_back(row, now)
            return _Standing(None, row.holder)
        if row.holder != self._holder:
            if row.expires_at > now:
                return _Standing(None, row.holder)
            taken_from = row.holder or None
            row.holder, row.token = self._holder, row.token + 1
        row.expires_at = now + self._ttl
        return _Standing(row.token, self._holder, taken_from)

    def _release(self, session: Session) -> None:
        self._give_back(*self._locked(session))

    def _give_back(self, row: LeaseRow, now: datetime) -> None:
        if row.holder == self._holder:
            # The row stays, and its token with it: a token never comes twice.
            row.holder, row.expires_at = _NOBODY, now

    def _locked(self, session: Session) -> tuple[LeaseRow, datetime]:
        """Return the row, locked against everybody, and the database's time after that."""
        blank = postgresql.insert(LeaseRow).values(
            name=self.name, holder=_NOBODY, token=0, expires_at=_NOW
        )
        row = session.get(LeaseRow, self.name, with_for_update=True)
        if row is None:
            session.execute(blank.on_conflict_do_nothing())
            row = session.get_one(LeaseRow, self.name, with_for_update=True)
        now: datetime = session.execute(select(_NOW)).scalar_one()
        return row, now

    def _stand(self, standing: _Standing) -> None:
        changed = standing.token != self._standing.token
        self._standing = standing
        if changed:
            self._observe(self)
