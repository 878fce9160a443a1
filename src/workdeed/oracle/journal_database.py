"""The signing journal in PostgreSQL, for a member that several processes stand ready to act for.

One of them has the member's lease. An entry is committed in a transaction that the lease's fence
let pass, and only then its signature leaves: who lost the lease commits nothing, and signs nothing.
The table takes one root for a window, turn and epoch, whoever wrote it. So the next holder, which
reads what the last one committed, may go on with windows that began before it took over.

A database can be put back to an earlier state, and then lacks entries whose signatures have left.
It counts as lost, as a file would, if the server or its timeline is another (a base backup, a point
in time, a replica that was promoted), or if another transaction wrote the journal's row than the
one that the row names (a dump). What this can't see is a disk that was put back under the server.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from sqlalchemy import BigInteger, func, inspect, literal_column, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import NotSupportedError, ProgrammingError
from sqlalchemy.orm import Session

from workdeed.chain.leases import Lease
from workdeed.chain.store import Store
from workdeed.chain.tables import JournalRow, LeaseRow, SignedRootRow
from workdeed.oracle.errors import JournalError
from workdeed.oracle.journal import HASH_BYTES, Entry, check_age, check_root
from workdeed.oracle.journal_copies import Summary

_XIDS: Final = 2**32
"""Transaction ids of a row wrap at this; those of the server count on."""

_XMIN: Final = literal_column(f"{JournalRow.__tablename__}.xmin::text::bigint", BigInteger())
"""Which transaction wrote the row."""

# The timeline of the control file lags after a promotion, until a checkpoint is done; the name of
# the log file that is being written does not.
_SERVER: Final = text(
    "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
    " system_identifier || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
    " FROM pg_control_system()"
)


@dataclass(frozen=True, slots=True)
class SharedMember:
    """What the processes of one member share.

    Attributes:
        store: the PostgreSQL database with the journal.
        lease: the lease on acting for the member, entered.

    """

    store: Store
    lease: Lease


class JournalKey(NamedTuple):
    """Whose journal it is: the separator of the committee's domain, and the member's address."""

    domain: bytes
    member: str


class DatabaseJournal:
    """A member's journal in the database; `open` makes one.

    Args:
        shared: the database and the member's lease.
        key: whose it is.
        now: the chain's time in Unix seconds, at which a new or lost journal begins. A window is
            signed after its end, so a head that lags by less than a window does no harm.

    """

    def __init__(self, shared: SharedMember, key: JournalKey, now: Callable[[], int]) -> None:
        self._store = shared.store
        self._lease = shared.lease
        self._key = key
        self._now = now

    @classmethod
    def open(
        cls, shared: SharedMember, *, member: str, domain: bytes, now: Callable[[], int]
    ) -> Self:
        """Open a member's journal, or begin one. Any number of processes may.

        Args:
            shared: the database and the member's lease.
            member: the member's address.
            domain: the separator of the committee's domain.
            now: the chain's time in Unix seconds, at which a new or lost journal begins.

        Raises:
            JournalError: if the server does not keep what it commits.
            StoreUnavailableError: if it does not answer.

        """
        journal = cls(shared, JournalKey(domain, member), now)
        journal._store.run(journal._head)
        return journal

    @property
    def began_at(self) -> int:
        """From when on (Unix seconds) this journal knows of every signature."""
        return self._store.run(lambda session: self._head(session).began_at)

    def root_of(self, window: int, turn: int, epoch: int) -> bytes | None:
        """Return the root that was signed for a turn, None if none was."""
        found = self._store.run(
            lambda session: session.get(SignedRootRow, (*self._key, window, turn, epoch))
        )
        return None if found is None else found.root

    def record(self, entry: Entry, *, window_start: int) -> None:
        """Commit what is about to be signed, see `Journal.record`.

        Raises:
            LeaseLostError: if another process acts for the member; nothing was written.
            StoreUnavailableError: if the database does not answer. The entry may be there or not;
                its signature must not leave, and the next try finds out.

        """
        fence = self._lease.fence()

        def work(session: Session) -> tuple[int, bytes | None]:
            fence(session)
            head = self._head(session)
            if window_start < head.began_at:
                return head.began_at, None  # not raised here: a new beginning has to be committed
            return head.began_at, self._put(session, entry)

        began_at, root = self._store.run(work)
        check_age(entry, window_start, began_at)
        check_root(entry, root)

    def bar_before(self, now: int) -> None:
        """Sign for no window that began before `now`, see `Journal.bar_before`.

        Any process may ask for it: it takes away, and gives nothing.
        """

        def work(session: Session) -> None:
            head = self._head(session)
            if now > head.began_at:
                self._begin(session, now, head.cluster)

        self._store.run(work)

    def restore(self, entries: Iterable[Entry]) -> Summary:
        """Take over what a copy holds; no window that began before now is signed.

        A copy does not know what was signed since: what it adds is the record.

        Raises:
            JournalError: if the copy contradicts what is here; nothing was written.
            LeaseLostError, StoreUnavailableError: as `record`.

        """
        fence = self._lease.fence()

        def work(session: Session) -> None:
            fence(session)
            head = self._head(session)
            for entry in entries:
                if self._put(session, entry) != entry.root:
                    raise JournalError(
                        f"copy: it holds another root for window {entry.window}, turn {entry.turn}"
                        " than the database; two processes used this key, find out which"
                    )
            self._begin(session, self._now(), head.cluster)

        self._store.run(work)
        return self._store.run(lambda session: read_journal(session, self._key)).summary

    def close(self) -> None:
        """Do nothing: database and lease are the caller's."""

    def _head(self, session: Session) -> JournalRow:
        """Return the journal's row; one that is new or was put back begins now."""
        cluster = _durable_cluster(session)
        found = session.execute(
            select(JournalRow, _XMIN).where(
                JournalRow.domain == self._key.domain, JournalRow.member == self._key.member
            )
        ).one_or_none()
        if found is not None:
            row, written_by = found
            if (row.cluster, row.xid) == (cluster, written_by):
                return row
        return self._begin(session, self._now(), cluster)

    def _begin(self, session: Session, now: int, cluster: str) -> JournalRow:
        """Write the row anew; a journal never begins earlier than it did."""
        values = {"cluster": cluster, "xid": func.txid_current() % _XIDS}
        new = insert(JournalRow).values(**self._key._asdict(), began_at=now, **values)
        latest = func.greatest(JournalRow.began_at, new.excluded.began_at)
        session.execute(
            new.on_conflict_do_update(
                index_elements=list(JournalKey._fields), set_={"began_at": latest, **values}
            )
        )
        session.expire_all()
        return session.get_one(JournalRow, self._key)

    def _put(self, session: Session, entry: Entry) -> bytes:
        """Write an entry unless there is one; return the root that stands for its turn."""
        token = select(LeaseRow.token).where(LeaseRow.name == self._lease.name)
        new = insert(SignedRootRow).values(
            **self._key._asdict(),
            window=entry.window,
            turn=entry.turn,
            epoch=entry.epoch,
            root=entry.root,
            data_hashes=entry.data_hash,
            token=token.scalar_subquery(),
        )
        session.execute(new.on_conflict_do_nothing())
        row = session.get_one(SignedRootRow, (*self._key, *entry.key))
        if row.root == entry.root and entry not in _entries(row):
            row.data_hashes += entry.data_hash
        return row.root


class Contents(NamedTuple):
    """What a journal in the database holds.

    Attributes:
        key: whose it is.
        began_at: from when on (Unix seconds) it knows of every signature.
        entries: what was signed, by window, turn and epoch.

    """

    key: JournalKey
    began_at: int
    entries: tuple[Entry, ...]

    @property
    def summary(self) -> Summary:
        """What it comes to."""
        last = self.entries[-1].window if self.entries else 0
        return Summary(self.key.member, len(self.entries), last, self.began_at)


def read_journal(session: Session, key: JournalKey) -> Contents:
    """Return what a journal holds, and change nothing.

    Raises:
        JournalError: if there is none.

    """
    is_made = inspect(session.connection()).has_table(JournalRow.__tablename__)
    head = session.get(JournalRow, key) if is_made else None
    if head is None:
        raise JournalError(
            f"journal: the database holds none of {key.member}; its first start makes it"
        )
    order = SignedRootRow.window, SignedRootRow.turn, SignedRootRow.epoch
    rows = session.scalars(
        select(SignedRootRow)
        .where(SignedRootRow.domain == key.domain, SignedRootRow.member == key.member)
        .order_by(*order)
    )
    return Contents(key, head.began_at, tuple(entry for row in rows for entry in _entries(row)))


def has_journal(session: Session, key: JournalKey) -> bool:
    """Tell whether the database holds a member's journal."""
    return session.get(JournalRow, key) is not None


def _entries(row: SignedRootRow) -> list[Entry]:
    hashes = row.data_hashes
    return [
        Entry(row.window, row.turn, row.epoch, row.root, hashes[at : at + HASH_BYTES])
        for at in range(0, len(hashes), HASH_BYTES)
    ]


def _durable_cluster(session: Session) -> str:
    """Return which server this is, and on which timeline.

    Raises:
        JournalError: if it does not tell, or a commit does not wait until it is on the disk.

    """
    try:
        fsync, synchronous, cluster = session.execute(_SERVER).one()
    except (ProgrammingError, NotSupportedError):
        raise JournalError(
            "database: the server does not tell which one it is; grant EXECUTE on pg_control_system"
            " and pg_walfile_name, or keep the journal in a file"
        ) from None
    if fsync != "on":
        raise JournalError(
            "database: the server runs with fsync = off, and would lose signatures with its power;"
            " set it to on"
        )
    if synchronous in ("off", "local"):
        raise JournalError(
            f"database: synchronous_commit is {synchronous} although this program set it; let no"
            " pool change its sessions"
        )
    return str(cluster)
