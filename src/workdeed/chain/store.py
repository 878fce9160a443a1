"""The database of a follower and its outbox: SQLite by default, any SQLAlchemy URL by setting.

It is a cache of the chain and may be deleted while nothing runs: logs are read again, and effects
are looked up on chain before they are sent again. Work runs in one thread of its own, so that a
slow disk does not stall the event loop, and every unit of work is one transaction.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    select,
)
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from workdeed.chain.errors import ChainError

T = TypeVar("T")

SCHEMA_VERSION: Final = 1
BUSY_SECONDS: Final = 5.0

# SQLite counts up only a plain INTEGER key.
_Key = BigInteger().with_variant(Integer, "sqlite")
_HASH = LargeBinary(32)


class StoreError(ChainError):
    """The database cannot be opened, or belongs to something else."""


class Base(DeclarativeBase):
    """The base of all tables."""


class SchemaRow(Base):
    """Which version of these tables the database has; one row."""

    __tablename__ = "schema_version"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)


class CursorRow(Base):
    """How far the logs of a chain are read: up to and with block `number`.

    `generation` counts the rewinds, `scope` says of which contracts the logs are. The hash is empty
    below the start block, where there is nothing to check.
    """

    __tablename__ = "cursor"

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    scope: Mapped[bytes] = mapped_column(_HASH)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes] = mapped_column(_HASH)
    generation: Mapped[int] = mapped_column(BigInteger, default=0)


class BlockRow(Base):
    """A block that carries logs of ours, or that the cursor stood on."""

    __tablename__ = "blocks"

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hash: Mapped[bytes] = mapped_column(_HASH)
    parent_hash: Mapped[bytes] = mapped_column(_HASH)
    timestamp: Mapped[int] = mapped_column(BigInteger)
    has_logs: Mapped[bool] = mapped_column()


class LogRow(Base):
    """A log of one of our contracts; `topics` are its 32-byte topics in a row."""

    __tablename__ = "logs"
    __table_args__ = (
        UniqueConstraint("chain_id", "block_hash", "tx_hash", "log_index"),
        Index("ix_logs_position", "chain_id", "block", "log_index"),
    )

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    block: Mapped[int] = mapped_column(BigInteger)
    block_hash: Mapped[bytes] = mapped_column(_HASH)
    tx_hash: Mapped[bytes] = mapped_column(_HASH)
    log_index: Mapped[int] = mapped_column(Integer)
    address: Mapped[str] = mapped_column(String(42))
    topics: Mapped[bytes] = mapped_column(LargeBinary)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class EffectRow(Base):
    """An intended transaction: what shall happen, once, and how far it is."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("chain_id", "sender", "key"),
        Index("ix_outbox_state", "chain_id", "sender", "state"),
    )

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    sender: Mapped[str] = mapped_column(String(42))
    key: Mapped[str] = mapped_column(String(255))
    to: Mapped[str] = mapped_column(String(42))
    data: Mapped[bytes] = mapped_column(LargeBinary)
    value: Mapped[str] = mapped_column(String(78), default="0")
    transient: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    nonce: Mapped[int | None] = mapped_column(BigInteger, default=None)
    mined_block: Mapped[int | None] = mapped_column(BigInteger, default=None)
    mined_tx: Mapped[bytes | None] = mapped_column(_HASH, default=None)
    reason: Mapped[str] = mapped_column(Text, default="")


class AttemptRow(Base):
    """A signed transaction of an effect; a replacement is one more, with the same nonce.

    Fees are wei, `signed_at` is the number of the head when it was signed or last sent.
    """

    __tablename__ = "outbox_attempts"
    __table_args__ = (Index("ix_attempts_effect", "effect_id"),)

    tx_hash: Mapped[bytes] = mapped_column(_HASH, primary_key=True)
    effect_id: Mapped[int] = mapped_column(_Key, ForeignKey("outbox.id"))
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    nonce: Mapped[int] = mapped_column(BigInteger)
    gas: Mapped[int] = mapped_column(BigInteger)
    max_fee: Mapped[str] = mapped_column(String(78))
    priority_fee: Mapped[str] = mapped_column(String(78))
    signed_at: Mapped[int] = mapped_column(BigInteger)
    sent: Mapped[bool] = mapped_column(default=False)


class Store:
    """A database and the thread that works on it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a database, and create its tables if it is new.

        Args:
            url: an SQLAlchemy URL such as `sqlite:///state/keeper.sqlite`, or the path of an SQLite
                file. Directories are created.

        Raises:
            StoreError: if it cannot be opened or its schema is another.

        """
        try:
            engine = _engine(url)
            Base.metadata.create_all(engine)
            with Session(engine) as session, session.begin():
                _check_schema(session)
        except (SQLAlchemyError, OSError) as error:
            # The text of the cause may hold the URL with its password.
            raise StoreError(f"database: cannot open it ({type(error).__name__})") from None
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

    async def transaction(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction, which is undone if it raises.

        It is not interrupted: a cancelled caller leaves a transaction that is done as a whole.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._worker, self._run, work))

    async def close(self) -> None:
        """Finish what runs and close the database."""
        await asyncio.to_thread(self._worker.shutdown)
        self._engine.dispose()

    def _run(self, work: Callable[[Session], T]) -> T:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            return work(session)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url if "://" in url else f"sqlite:///{url}")
    except ArgumentError:
        raise StoreError("database: the URL is malformed; write sqlite:///path") from None
    if parsed.get_backend_name() != "sqlite":
        try:
            return create_engine(parsed, pool_pre_ping=True)
        except ImportError as error:
            raise StoreError(f"database: its driver {error.name} is not installed") from None
    if parsed.database in (None, "", ":memory:"):
        shared = {"check_same_thread": False}
        engine = create_engine(parsed, connect_args=shared, poolclass=StaticPool)
    else:
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_immediate)
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


def _check_schema(session: Session) -> None:
    row = session.scalar(select(SchemaRow))
    if row is None:
        session.add(SchemaRow(id=1, version=SCHEMA_VERSION))
    elif row.version != SCHEMA_VERSION:
        raise StoreError(
            f"database: its schema has version {row.version}, this program needs {SCHEMA_VERSION};"
            " use another file, or the program that wrote it"
        )
