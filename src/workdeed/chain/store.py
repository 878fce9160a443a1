"""The database of a follower and its outbox: SQLite by default, PostgreSQL by setting.

It is a cache of the chain and may be deleted while nothing runs: logs are read again, and effects
are looked up on chain before they are sent again. Work runs in one thread of its own, so that a
slow disk does not stall the event loop, and every unit of work is one transaction.
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NoReturn, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from workdeed.chain.engines import is_conflict, is_outage, make_engine, outage, parse_url, refusal
from workdeed.chain.errors import StoreUnavailableError
from workdeed.chain.migrations import revision_of, upgrade

T = TypeVar("T")

MAX_TRIES: Final = 8
"""Runs of a transaction that others get in the way of, before it is given up for now."""

FIRST_PAUSE: Final = 0.005
"""Seconds before the second run, at most; twice that before each further one: 0.6 s in all."""


class Store:
    """A database and the threads that work on it; `open` makes one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-aside")

    @classmethod
    def open(cls, url: str, *, as_it_is: bool = False) -> Self:
        """Open a database, and bring its tables to what this program needs.

        Args:
            url: an SQLAlchemy URL such as `sqlite:///state/keeper.sqlite` or
                `postgresql://user@host/name`, or the path of an SQLite file. Directories are
                created.
            as_it_is: whether its tables are left alone, if there are any: for a look at it.

        Raises:
            StoreError: if it cannot be opened, or a newer program made it.

        """
        parsed = parse_url(url)
        try:
            engine = make_engine(parsed)
            with _migrating(engine) as connection, connection.begin():
                (revision_of if as_it_is else upgrade)(connection)
        except (SQLAlchemyError, OSError) as error:
            # The traceback of the cause may hold the URL with its password.
            raise refusal(error, parsed) from None
        return cls(engine)

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database, None for others and for one in memory."""
        name = self._engine.url.database
        is_file = self._engine.dialect.name == "sqlite" and name and name != ":memory:"
        return Path(name) if is_file and name else None

    @property
    def dialect(self) -> str:
        """The kind of database, as SQLAlchemy calls it."""
        return self._engine.dialect.name

    @property
    def is_shared(self) -> bool:
        """Whether processes of other machines can use it too, and need leases between them."""
        return self.dialect == "postgresql"

    async def transaction(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction, which is undone if it raises.

        What it reads still holds when it is committed. Where another process gets in the way it is
        run again from its beginning, so `work` must change nothing but the session. It is not
        interrupted: a cancelled caller leaves a transaction that is done as a whole.

        Raises:
            StoreUnavailableError: if the database does not answer. If that happened during the
                commit it may be done or not: look before doing it again.

        """
        return await self._submit(self._worker, work)

    async def aside(self, work: Callable[[Session], T]) -> T:
        """Run `work` as `transaction` does, but beside it: a long read does not delay it.

        Only a shared database takes two transactions at a time; a lease needs nothing else.
        """
        return await self._submit(self._aside if self.is_shared else self._worker, work)

    def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` as `transaction` does, in the caller's own thread, which waits for it.

        For whoever has a thread for such things. Only a shared database takes two at a time.
        """
        return self._run(work)

    async def close(self) -> None:
        """Finish what runs and close the database."""
        for worker in (self._worker, self._aside):
            await asyncio.to_thread(worker.shutdown)
        self._engine.dispose()

    async def _submit(self, worker: ThreadPoolExecutor, work: Callable[[Session], T]) -> T:
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(worker, self._run, work))

    def _run(self, work: Callable[[Session], T]) -> T:
        for turn in range(MAX_TRIES):
            try:
                with Session(self._engine, expire_on_commit=False) as session, session.begin():
                    return work(session)
            except DBAPIError as error:
                if not is_conflict(error):
                    self._raise(error)
            if turn + 1 < MAX_TRIES:
                time.sleep(random.uniform(0, FIRST_PAUSE * 2**turn))
        raise StoreUnavailableError(
            f"database: others wrote the same rows {MAX_TRIES} times in a row; it is tried again"
        )

    def _raise(self, error: DBAPIError) -> NoReturn:
        if not is_outage(error):
            raise error
        raise outage(error, self._engine.url) from None


def _migrating(engine: Engine) -> Connection:
    """Return a connection that sees what others committed while it waited for the lock."""
    connection = engine.connect()
    if engine.dialect.name == "postgresql":
        return connection.execution_options(isolation_level="READ COMMITTED")
    return connection
