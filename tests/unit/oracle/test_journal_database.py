"""The signing journal in PostgreSQL: one root a turn, whichever process of a member signs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from tests.postgres import PostgresServer
from workdeed.chain.errors import StoreUnavailableError
from workdeed.chain.leases import Fence, Lease, LeaseLostError, new_holder
from workdeed.chain.store import Store
from workdeed.oracle.errors import EquivocationError, JournalError
from workdeed.oracle.journal import Entry
from workdeed.oracle.journal_copies import Summary, read_copy, summary_of, write_copy
from workdeed.oracle.journal_database import (
    DatabaseJournal,
    JournalKey,
    SharedMember,
    read_journal,
)
from workdeed.protocol.hashing import keccak

from .support import DOMAIN, oracle

pytestmark = pytest.mark.postgres

MEMBER = oracle(0).address
KEY = JournalKey(DOMAIN.separator, MEMBER)
NOW, LATER, MUCH_LATER = 1_000, 2_000, 3_000
"""The chain's time when a journal begins, and when windows of these tests began."""
LONG = 3_600.0


def entry(window: int = 3, turn: int = 0, epoch: int = 1, root: str = "a") -> Entry:
    return Entry(window, turn, epoch, keccak(root.encode()), keccak(b"data " + root.encode()))


class StallingLease(Lease):
    """A lease whose holder may stall between its last look and what it writes."""

    stall: Callable[[], None] | None = None

    def fence(self) -> Fence:
        check, stall = super().fence(), self.stall
        self.stall = None
        if stall is not None:
            stall()
        return check


class Process:
    """One process of a member: its connection, its lease, its journal."""

    def __init__(self, store: Store, member: str = MEMBER, now: int = NOW) -> None:
        self.now = now
        self.store = store
        self.lease = StallingLease(store, f"member:1:{member}", holder=new_holder(), ttl=LONG)
        shared = SharedMember(store, self.lease)
        self.journal = DatabaseJournal.open(
            shared, member=member, domain=DOMAIN.separator, now=lambda: self.now
        )

    def take(self) -> bool:
        """Renew the lease, or take it if it is free."""
        return asyncio.run(self.lease.keep())

    def record(self, one: Entry, window_start: int = LATER) -> None:
        self.journal.record(one, window_start=window_start)


@pytest.fixture
def stores(postgres: str) -> Iterator[list[Store]]:
    """The connections of two machines."""
    made = [Store.open(postgres) for _ in range(2)]
    yield made
    for store in made:
        asyncio.run(store.close())


@pytest.fixture
def active(stores: list[Store]) -> Process:
    """The process that has the lease."""
    process = Process(stores[0])
    assert process.take()
    return process


@pytest.fixture
def standby(stores: list[Store], active: Process) -> Process:
    """The process that waits for it."""
    process = Process(stores[1])
    assert not process.take()
    return process


def execute(database: str, *statements: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def expire(database: str, member: str = MEMBER) -> None:
    """Let a member's lease be as old as its holder promised to let it become."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE leases SET expires_at = clock_timestamp() WHERE name = %s",
            (f"member:1:{member}",),
        )


def entries(store: Store) -> tuple[Entry, ...]:
    return store.run(lambda session: read_journal(session, KEY)).entries


class TestOneRootATurn:
    """O19: the promises of the file."""

    def test_another_root_for_the_same_turn_is_refused(self, active: Process) -> None:
        active.record(entry(root="a"))
        with pytest.raises(EquivocationError, match="window 3, turn 0"):
            active.record(entry(root="b"))
        assert entries(active.store) == (entry(root="a"),)

    @pytest.mark.parametrize("other", [{"window": 4}, {"turn": 1}, {"epoch": 2}])
    def test_another_window_turn_or_epoch_is_not(
        self, active: Process, other: dict[str, int]
    ) -> None:
        active.record(entry(root="a"))
        active.record(entry(root="b", **other))
        assert len(entries(active.store)) == 2

    def test_the_same_again_writes_nothing(self, active: Process) -> None:
        for _ in range(2):
            active.record(entry())
        assert entries(active.store) == (entry(),)
        assert active.journal.root_of(3, 0, 1) == entry().root
        assert active.journal.root_of(3, 1, 1) is None

    def test_the_same_root_with_other_data_is_no_offence(self, active: Process) -> None:
        other = entry()._replace(data_hash=bytes(32))
        for one in (entry(), other, entry(), other):
            active.record(one)
        assert entries(active.store) == (entry(), other)

    def test_each_member_and_committee_has_a_journal_of_its_own(
        self, active: Process, stores: list[Store]
    ) -> None:
        active.record(entry(root="a"))
        other = Process(stores[0], member=oracle(1).address)
        assert other.take()
        other.record(entry(root="b"))
        shared = SharedMember(stores[0], active.lease)
        elsewhere = DatabaseJournal.open(shared, member=MEMBER, domain=bytes(32), now=lambda: NOW)
        elsewhere.record(entry(root="c"), window_start=LATER)
        assert entries(active.store) == (entry(root="a"),)


class TestWhenItBegan:
    def test_a_new_one_signs_for_no_window_that_began_before_it(self, active: Process) -> None:
        with pytest.raises(JournalError, match="began before"):
            active.record(entry(), window_start=NOW - 1)
        active.record(entry(), window_start=NOW)

    def test_it_still_began_when_it_began(self, active: Process, stores: list[Store]) -> None:
        assert Process(stores[1], now=9_000).journal.began_at == NOW
        assert active.journal.began_at == NOW

    def test_one_that_lacks_something_begins_anew_for_every_process(
        self, active: Process, standby: Process
    ) -> None:
        standby.journal.bar_before(5_000)
        standby.journal.bar_before(4_000)
        assert active.journal.began_at == 5_000
        with pytest.raises(JournalError, match="began before"):
            active.record(entry(), window_start=4_999)
        active.record(entry(), window_start=5_000)


class TestTakingOver:
    def test_the_next_holder_goes_on_with_windows_that_began_before_it(
        self, active: Process, standby: Process, postgres: str
    ) -> None:
        active.record(entry(turn=0))
        expire(postgres)
        standby.now = MUCH_LATER
        assert standby.take()
        standby.record(entry(turn=1))
        with pytest.raises(EquivocationError):
            standby.record(entry(turn=0, root="b"))
        assert entries(standby.store) == (entry(turn=0), entry(turn=1))

    def test_who_stands_by_writes_nothing(self, active: Process, standby: Process) -> None:
        with pytest.raises(LeaseLostError):
            standby.record(entry())
        assert entries(active.store) == ()

    def test_who_lost_the_lease_without_noticing_writes_nothing(
        self, active: Process, standby: Process, postgres: str
    ) -> None:
        expire(postgres)
        assert standby.take()
        assert active.lease.held
        with pytest.raises(LeaseLostError):
            active.record(entry())
        assert entries(active.store) == ()

    def test_a_holder_that_stalls_before_it_writes_writes_nothing(
        self, active: Process, standby: Process, postgres: str
    ) -> None:
        def stall() -> None:
            expire(postgres)
            assert standby.take()
            standby.record(entry(root="b"))

        active.lease.stall = stall
        with pytest.raises(LeaseLostError):
            active.record(entry(root="a"))
        assert entries(active.store) == (entry(root="b"),)

    def test_a_holder_that_stalls_between_commit_and_send_doubles_no_root(
        self, active: Process, standby: Process, postgres: str
    ) -> None:
        active.record(entry(root="a"))
        # Here it stalls; what it will send at last is its signature of root a.
        expire(postgres)
        assert standby.take()
        with pytest.raises(EquivocationError):
            standby.record(entry(root="b"))
        standby.record(entry(root="a"))
        assert entries(active.store) == (entry(root="a"),)


class TestALostDatabase:
    """What was put back from a copy does not know what was signed since."""

    def signed(self, active: Process) -> None:
        active.record(entry())
        active.now = MUCH_LATER

    def barred(self, process: Process) -> None:
        with pytest.raises(JournalError, match="began before"):
            process.record(entry(turn=1), window_start=MUCH_LATER - 1)
        process.record(entry(turn=2), window_start=MUCH_LATER)
        assert process.journal.began_at == MUCH_LATER

    def test_an_emptied_one_begins_anew_while_the_oracle_runs(
        self, active: Process, postgres: str
    ) -> None:
        self.signed(active)
        execute(postgres, "DELETE FROM signing_journals", "DELETE FROM signed_roots")
        self.barred(active)

    def test_a_dump_that_was_read_back_begins_anew(self, active: Process, postgres: str) -> None:
        self.signed(active)
        execute(
            postgres,
            "CREATE TEMP TABLE dump AS SELECT * FROM signing_journals",
            "DELETE FROM signing_journals",
            "INSERT INTO signing_journals SELECT * FROM dump",
        )
        self.barred(active)

    def test_a_frozen_row_is_still_the_same(self, active: Process, postgres: str) -> None:
        self.signed(active)
        execute(postgres, "VACUUM FREEZE signing_journals", "VACUUM FULL signing_journals")
        active.record(entry(turn=1), window_start=LATER)
        assert active.journal.began_at == NOW

    def test_a_replica_that_was_promoted_begins_anew(
        self, active: Process, postgres: str, postgres_server: PostgresServer
    ) -> None:
        self.signed(active)
        with postgres_server.promoted_copy(postgres) as address:
            store = Store.open(address)
            expire(address)
            successor = Process(store, now=MUCH_LATER)
            assert successor.take()
            assert successor.journal.root_of(3, 0, 1) == entry().root
            self.barred(successor)
            asyncio.run(store.close())
        assert active.journal.began_at == NOW

    def test_an_outage_costs_nothing(
        self, active: Process, postgres_server: PostgresServer
    ) -> None:
        self.signed(active)
        postgres_server.stop()
        try:
            with pytest.raises(StoreUnavailableError):
                active.record(entry(turn=1))
        finally:
            postgres_server.start()
        active.record(entry(turn=1))
        assert active.journal.began_at == NOW


class TestDurability:
    def test_a_session_that_a_pool_made_forget_its_settings_is_refused(
        self, active: Process
    ) -> None:
        def forget(connection: Any, *_: object) -> None:
            connection.execute("SET synchronous_commit = off")
            connection.commit()

        event.listen(active.store._engine, "checkout", forget)
        with pytest.raises(JournalError, match="synchronous_commit is off"):
            active.record(entry())

    def test_a_server_that_syncs_nothing_is_refused(
        self, stores: list[Store], postgres_server: PostgresServer
    ) -> None:
        postgres_server.stop()
        postgres_server.start("fsync=off")
        try:
            with pytest.raises(JournalError, match="fsync = off"):
                Process(stores[0])
        finally:
            postgres_server.stop()
            postgres_server.start()

    def test_it_asks_for_no_right_of_a_superuser(
        self, active: Process, postgres: str, postgres_server: PostgresServer
    ) -> None:
        execute(
            postgres,
            "CREATE ROLE plain LOGIN",
            "DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO plain', current_schema());"
            " EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA %I TO plain', current_schema());"
            " END $$",
        )
        store = Store.open(postgres.replace("keeper@", "plain@"))
        try:
            plain = Process(store)
            assert plain.journal.began_at == NOW
            execute(postgres, "REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC")
            with pytest.raises(JournalError, match="grant EXECUTE on pg_control_system"):
                plain.journal.bar_before(LATER)
        finally:
            asyncio.run(store.close())
            execute(
                postgres,
                "GRANT EXECUTE ON FUNCTION pg_control_system TO PUBLIC",
                "DROP OWNED BY plain",
                "DROP ROLE plain",
            )


class TestCopies:
    def test_a_copy_is_read_back_as_it_was(self, active: Process, tmp_path: Path) -> None:
        for turn in range(3):
            active.record(entry(turn=turn))
        found = active.store.run(lambda session: read_journal(session, KEY))
        copy = tmp_path / "copy"
        told = write_copy(copy, found.entries, **KEY._asdict(), began_at=found.began_at)
        assert told == found.summary == summary_of(copy) == Summary(MEMBER, 3, 3, NOW)
        assert tuple(read_copy(copy, **KEY._asdict())) == entries(active.store)

    def test_what_a_copy_holds_is_added_and_the_journal_begins_anew(self, active: Process) -> None:
        active.record(entry(turn=0))
        active.now = MUCH_LATER
        told = active.journal.restore([entry(turn=0), entry(turn=1), entry(window=7)])
        assert told == Summary(MEMBER, 3, 7, MUCH_LATER)
        assert len(entries(active.store)) == 3
        with pytest.raises(EquivocationError):
            active.record(entry(turn=1, root="b"), window_start=MUCH_LATER)

    def test_a_copy_that_contradicts_it_changes_nothing(self, active: Process) -> None:
        active.record(entry(turn=1, root="a"))
        with pytest.raises(JournalError, match="another root for window 3, turn 1"):
            active.journal.restore([entry(turn=0), entry(turn=1, root="b")])
        assert entries(active.store) == (entry(turn=1, root="a"),)
        assert active.journal.began_at == NOW

    def test_who_stands_by_restores_nothing(self, active: Process, standby: Process) -> None:
        with pytest.raises(LeaseLostError):
            standby.journal.restore([entry()])
        assert entries(active.store) == ()

    def test_there_is_none_before_the_first_start(self, stores: list[Store]) -> None:
        with pytest.raises(JournalError, match="its first start makes it"):
            stores[0].run(lambda session: read_journal(session, KEY))

    def test_nor_in_a_database_without_tables(self, postgres: str) -> None:
        store = Store.open(postgres, as_it_is=True)
        with pytest.raises(JournalError, match="its first start makes it"):
            store.run(lambda session: read_journal(session, KEY))
        asyncio.run(store.close())


# --- Any number of processes, whatever becomes of them ---


@dataclass(frozen=True)
class Act:
    """Something that one of the member's processes does, or that is done to it.

    Attributes:
        kind: "expire" the lease or "take over" with it expired, "crash", or "sign".
        who: which process.
        turn, root: what it is asked to sign.
        before: what happens elsewhere while it stalls between its last look at the lease and the
            write; None if it crashes there.
        after: likewise, between the commit and the moment at which the signature leaves.

    """

    kind: str
    who: int
    turn: int = 0
    root: str = "a"
    before: tuple[Act, ...] | None = ()
    after: tuple[Act, ...] | None = ()


WHO, TURNS, ROOTS = st.integers(0, 1), st.integers(0, 1), st.sampled_from("ab")
EVENTS = st.builds(Act, st.sampled_from(["take over", "take over", "expire", "crash"]), WHO)
SIGNS = st.builds(Act, st.just("sign"), WHO, TURNS, ROOTS)
SIMPLE = SIGNS | EVENTS | SIGNS
MEANWHILE = st.just(()) | st.lists(SIMPLE, min_size=1, max_size=5).map(tuple) | st.none()
"""What happens while a process stalls; whoever acts then does not stall in turn."""
STALLING = st.builds(Act, st.just("sign"), WHO, TURNS, ROOTS, MEANWHILE, MEANWHILE)


class CrashError(Exception):
    """A process ends where it stands."""


@dataclass
class Pair:
    """Two processes of one member, and what left them."""

    stores: list[Store]
    member: str
    database: str
    processes: list[Process] = field(default_factory=list)
    sent: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.processes = [Process(store, self.member) for store in self.stores]

    def run(self, act: Act) -> None:
        if act.kind == "sign":
            self.sign(act)
        elif act.kind == "crash":
            self.crash(act.who)
        else:
            expire(self.database, self.member)
            if act.kind == "take over":
                assert self.processes[act.who].take()

    def crash(self, who: int) -> None:
        """Put a new process in the place of one that is gone; its lease has to expire."""
        self.processes[who] = Process(self.stores[who], self.member)

    def sign(self, act: Act) -> None:
        process = self.processes[act.who]
        one = entry(turn=act.turn, root=act.root)
        process.lease.stall = lambda: self.meanwhile(act.who, act.before)
        try:
            process.record(one)
            self.meanwhile(act.who, act.after)
        except (LeaseLostError, EquivocationError, CrashError):
            return
        finally:
            process.lease.stall = None
        self.sent.append((one.turn, one.root))

    def meanwhile(self, who: int, what: tuple[Act, ...] | None) -> None:
        if what is None:
            self.crash(who)
            raise CrashError
        for act in what:
            self.run(act)


NUMBERS = count()


@pytest.fixture(scope="module")
def machines(postgres_server: PostgresServer) -> Iterator[tuple[str, list[Store]]]:
    """A database and the connections of two machines, for all examples."""
    database = postgres_server.new_database()
    stores = [Store.open(database) for _ in range(2)]
    yield database, stores
    for store in stores:
        asyncio.run(store.close())


@settings(max_examples=max(100, settings.default.max_examples))
@given(program=st.lists(STALLING | SIMPLE, min_size=3, max_size=12))
def test_two_processes_never_send_two_roots_for_one_turn(
    machines: tuple[str, list[Store]], program: list[Act]
) -> None:
    """O19, wherever they stall, crash, or lose their lease."""
    database, stores = machines
    pair = Pair(stores, f"0x{next(NUMBERS):040x}", database)
    pair.run(Act("take over", 0))
    for act in program:
        pair.run(act)
    roots: dict[int, set[bytes]] = {}
    for turn, root in pair.sent:
        roots.setdefault(turn, set()).add(root)
    assert all(len(found) == 1 for found in roots.values())
    # Whoever comes last can go on with what was sent.
    pair.run(Act("take over", 0))
    last = pair.processes[0]
    for turn, (root,) in roots.items():
        assert last.journal.root_of(3, turn, 1) == root


def test_a_stalled_and_a_crashed_process_are_played_as_told(
    machines: tuple[str, list[Store]],
) -> None:
    """That the machinery above lets signatures leave, and reaches each of its points."""
    database, stores = machines
    pair = Pair(stores, f"0x{next(NUMBERS):040x}", database)
    over = (Act("take over", 1), Act("sign", 1, 0, "a"), Act("sign", 1, 0, "b"))
    a, b = (entry(root=name).root for name in "ab")
    pair.run(Act("take over", 0))
    pair.run(Act("sign", 0, 0, "a", after=over))
    assert pair.sent == [(0, a), (0, a)]
    pair.run(Act("sign", 1, 1, "b", after=None))
    assert pair.sent == [(0, a), (0, a)]
    pair.run(Act("take over", 0))
    pair.run(Act("sign", 0, 1, "a"))
    pair.run(Act("sign", 0, 1, "b"))
    assert pair.sent == [(0, a), (0, a), (1, b)]
