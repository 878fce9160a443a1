"""How the two kinds of database are reached: SQLite in a file of its own, PostgreSQL by psycopg.

Both give every transaction the same promise: what it read still holds when it is written. SQLite
keeps it by letting in one writer at a time, PostgreSQL by refusing one of two transactions that
would break it, which is then run again.
"""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import StaticPool

from workdeed.chain.errors import StoreError, StoreUnavailableError

BUSY_SECONDS: Final = 5.0
"""How long a transaction waits for another process that is at work."""

CONNECT_SECONDS: Final = 5

IDLE_SECONDS: Final = 10.0
"""Time after which PostgreSQL ends a transaction whose process does nothing: a keeper that is
paused in the middle of one would otherwise keep the row of its lease locked against all others."""

_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_CONFLICTS: Final = ("40001", "40P01")  # serialization failure, deadlock
_MAX_REASON: Final = 300


def parse_url(url: str) -> URL:
    """Read what `database` says: an SQLAlchemy URL, or the path of an SQLite file.

    Raises:
        StoreError: if it is malformed or of another kind; without the URL, which may hold a
            password.

    """
    try:
        parsed = make_url(url if "://" in url else f"sqlite:///{url}")
    except ArgumentError:
        raise StoreError("database: the URL is malformed; write sqlite:///path") from None
    parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise StoreError(
            "database: only SQLite and PostgreSQL are known; write sqlite:///path or"
            " postgresql://user@host/name"
        )
    return parsed


def make_engine(url: URL) -> Engine:
    """Return the engine of a URL; folders of an SQLite file are made, nothing is connected yet.

    Raises:
        StoreError: if its driver is missing.
        OSError: if the folder cannot be made.

    """
    if url.get_backend_name() != "sqlite":
        return _postgresql(url)
    if url.database in (None, "", ":memory:"):
        shared = {"check_same_thread": False}
        engine = create_engine(url, connect_args=shared, poolclass=StaticPool)
    else:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def is_conflict(error: DBAPIError) -> bool:
    """Tell whether PostgreSQL refused a transaction because of another one: run it again."""
    return getattr(error.orig, "sqlstate", None) in _CONFLICTS


def is_outage(error: DBAPIError) -> bool:
    """Tell whether the database could not work, through no fault of what it was asked."""
    lost = error.connection_invalidated
    return lost or isinstance(error, OperationalError | InterfaceError)


def refusal(error: BaseException, url: URL) -> StoreError:
    """Return the error of a database that cannot be opened, with the remedy."""
    is_file = url.get_backend_name() == "sqlite"
    remedy = "mend it, or name another file" if is_file else "start it, or mend `database`"
    return StoreError(f"database: it cannot be used ({_reason(error, url)}); {remedy}")


def outage(error: DBAPIError, url: URL) -> StoreUnavailableError:
    """Return the error of a database that was opened and cannot work now."""
    is_file = url.get_backend_name() == "sqlite"
    what = "it cannot be used now" if is_file else "it does not answer"
    return StoreUnavailableError(
        f"database: {what} ({_reason(error, url)}); mend that, and work goes on by itself"
    )


def _reason(error: BaseException, url: URL) -> str:
    """Return what a driver said, in one line and without the password."""
    said = str(getattr(error, "orig", None) or type(error).__name__)
    line = " ".join(said.split())[:_MAX_REASON]
    password = url.password
    return line.replace(str(password), "***") if password else line


def _postgresql(url: URL) -> Engine:
    defaults = {
        "connect_timeout": CONNECT_SECONDS,
        # A server that vanished without a word is noticed in seconds, not in hours.
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
    arguments = {name: value for name, value in defaults.items() if name not in url.query}
    try:
        engine = create_engine(
            url,
            isolation_level="SERIALIZABLE",
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=arguments,
        )
    except ImportError as error:
        raise StoreError(
            f"database: its driver {error.name} cannot be loaded; install psycopg[binary]"
        ) from None
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _set_up_sqlite(connection: Any, _: object) -> None:
    # pysqlite's own BEGIN comes too late and too weak: `_begin_immediate` takes its place.
    connection.isolation_level = None
    # FULL: what the outbox stored before a broadcast must outlast a loss of power.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    # Read and conditional write of a transaction see one state, whoever else writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _set_up_postgresql(connection: Any, _: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000:.0f}")
        # Longer than that: who waits for the lock of a paused keeper gets its turn.
        cursor.execute(f"SET lock_timeout = {1000 * (IDLE_SECONDS + BUSY_SECONDS):.0f}")
        # What the outbox stored before a broadcast must outlast a loss of power; a server that
        # promises even more (remote_apply) keeps doing so.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
        )
    connection.commit()
