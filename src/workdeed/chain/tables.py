"""The tables of a follower, its outbox and signing journals; `migrations` holds their history."""

from datetime import datetime
from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MAX_LEASE_NAME: Final = 128

# SQLite counts up only a plain INTEGER key.
_Key = BigInteger().with_variant(Integer, "sqlite")
_HASH = LargeBinary(32)


class Base(DeclarativeBase):
    """The base of all tables."""


class SchemaRow(Base):
    """Keeps away programs from before migrations, which refuse any version but 1; one row.

    The revision that counts is Alembic's.
    """

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
    """An intended transaction: what shall happen, once, and how far it is.

    `settled_at` is the number of the head when it settled, where the chain tells that it is done:
    the row is then of no use after a while.
    """

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
    settled_at: Mapped[int | None] = mapped_column(BigInteger, default=None)


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


class LeaseRow(Base):
    """Who alone may do something, until when by the database's clock.

    `token` grows with every new holder and never goes back; an empty holder has released it.
    """

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(MAX_LEASE_NAME), primary_key=True)
    holder: Mapped[str] = mapped_column(String(255))
    token: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class JournalRow(Base):
    """A member's signing journal, where that lies in the database; one for each committee.

    `began_at` is from when on (Unix seconds of the chain) it knows of every signature. By `cluster`
    and `xid` it is told whether the row is still the one that was written, or was put back from a
    copy: the former names server and timeline, the latter the transaction that wrote the row.
    """

    __tablename__ = "signing_journals"

    domain: Mapped[bytes] = mapped_column(_HASH, primary_key=True)
    member: Mapped[str] = mapped_column(String(42), primary_key=True)
    began_at: Mapped[int] = mapped_column(BigInteger)
    cluster: Mapped[str] = mapped_column(String(64))
    xid: Mapped[int] = mapped_column(BigInteger)


class SignedRootRow(Base):
    """The one root that a member signed for a window, turn and epoch.

    `data_hashes` are the 32-byte hashes of the data that it was signed with, in a row; `token` is
    that of the lease under which it was written down first.
    """

    __tablename__ = "signed_roots"

    domain: Mapped[bytes] = mapped_column(_HASH, primary_key=True)
    member: Mapped[str] = mapped_column(String(42), primary_key=True)
    window: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    turn: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    root: Mapped[bytes] = mapped_column(_HASH)
    data_hashes: Mapped[bytes] = mapped_column(LargeBinary)
    token: Mapped[int] = mapped_column(BigInteger)
