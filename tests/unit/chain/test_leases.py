"""Leases: one keeper of several writes and sends, and who lost that may do neither."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date, datetime

import psycopg
import pytest
from chain_support import BASE_FEE, SUITE, FakeChain, FakeNode, FakeRpc, StubSigner, address
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, insert, select
from sqlalchemy.orm import Session

from tests.postgres import PostgresServer
from workdeed.chain import engines, logbook
from workdeed.chain.bindings.codec import Call
from workdeed.chain.bindings.desk import JobRevised
from workdeed.chain.effects import Effect, EffectState, OutboxEntry
from workdeed.chain.fees import FeeSettings
from workdeed.chain.follower import Follower, FollowerBehindError, FollowerSettings
from workdeed.chain.leases import Lease, LeaseLostError, follower_lease, lease_states, new_holder
from workdeed.chain.logbook import RawLog
from workdeed.chain.mirror import Mirror
from workdeed.chain.outbox import Outbox, OutboxSettings
from workdeed.chain.rpc import RpcUnavailable
from workdeed.chain.store import Store, StoreUnavailableError
from workdeed.chain.tables import LeaseRow, LogRow

pytestmark = pytest.mark.postgres

CHAIN_ID = 31337
LONG, SHORT = 3_600.0, 0.3
LIVELY = 3.0
"""Of leases that are renewed: a busy machine may take a second for what takes milliseconds."""
SETTINGS = OutboxSettings(fees=FeeSettings(max_fee=20 * BASE_FEE, priority_fee=BASE_FEE))
ALL_STAGES = ("stored", "signed", "broadcast", "sent", "mined", "settled")


@pytest.fixture
async def stores(postgres: str) -> AsyncIterator[list[Store]]:
    """Two processes on one database."""
    made = [Store.open(postgres) for _ in range(2)]
    yield made
    for store in made:
        await store.close()


def lease(store: Store, name: str = "sender:1:a", ttl: float = LONG) -> Lease:
    return Lease(store, name, holder=new_holder(), ttl=ttl)


def expire(database: str) -> None:
    """Let every lease be as old as its holder promised to let it become."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE leases SET expires_at = clock_timestamp()")


def steal(database: str) -> None:
    """Give every lease to somebody else, as after it had expired."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE leases SET holder = 'thief', token = token + 1,"
            " expires_at = clock_timestamp() + interval '1 hour'"
        )


def give_back(database: str) -> None:
    """Let the thief release what it stole."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE leases SET holder = '', expires_at = clock_timestamp()")


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what must come to pass."""
    for _ in range(1_000):
        if await probe():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it did not come to pass")


async def test_one_of_two_has_a_lease(stores: list[Store]) -> None:
    one, other = (lease(store) for store in stores)
    async with one:
        assert (one.held, one.token) == (True, 1)
        async with other:
            assert (other.held, other.token) == (False, None)
            assert other.holder == one.holder
            assert not await other.keep()
            with pytest.raises(LeaseLostError):
                other.fence()


async def test_a_lease_that_is_given_back_is_free_at_once_and_its_token_grows(
    stores: list[Store],
) -> None:
    one, other = (lease(store) for store in stores)
    for token in (1, 3, 5):
        async with one:
            assert one.token == token
        async with other:
            assert (other.token, other.taken_from) == (token + 1, None)


async def test_a_lease_that_is_not_renewed_passes_to_the_next(
    stores: list[Store], postgres: str
) -> None:
    one, other = (lease(store) for store in stores)
    assert await one.keep()
    assert not await other.keep()
    expire(postgres)
    assert await other.keep()
    assert (other.token, other.taken_from) == (2, one.holder)
    assert not await one.keep()
    assert (one.token, one.holder) == (None, other.holder)


async def test_a_lease_expires_by_itself(stores: list[Store]) -> None:
    one, other = lease(stores[0], ttl=SHORT), lease(stores[1])
    assert await one.keep()
    await until(other.keep)
    assert other.token == 2


async def test_a_holder_that_lives_keeps_its_lease(stores: list[Store], postgres: str) -> None:
    """Renewing goes on beside the work, however short the lease is."""
    one, other = (lease(store, ttl=LIVELY) for store in stores)
    async with one:
        async with other:
            for _ in range(20):
                assert not await other.keep()
                await asyncio.sleep(LIVELY / 15)
        assert one.token == 1
        expire(postgres)
        await until(one.keep)
        assert one.token == 1


async def test_a_long_transaction_does_not_delay_the_renewal(stores: list[Store]) -> None:
    one, other = (lease(store, ttl=LIVELY) for store in stores)
    over = threading.Event()
    async with one:
        working = asyncio.create_task(stores[0].transaction(lambda _: over.wait()))
        try:
            await asyncio.sleep(1.3 * LIVELY)
            assert not await other.keep()
        finally:
            over.set()
        await working


async def test_each_name_is_a_lease_of_its_own(stores: list[Store]) -> None:
    async with lease(stores[0], "sender:1:a") as one, lease(stores[1], "sender:1:b") as other:
        assert one.held
        assert other.held
        states = await stores[0].transaction(lease_states)
        assert [(state.name, state.token) for state in states] == [
            ("sender:1:a", 1),
            ("sender:1:b", 1),
        ]
        assert not any(state.is_free for state in states)
    states = await stores[0].transaction(lease_states)
    assert all(state.is_free for state in states)


async def test_many_that_ask_at_once_get_one_lease(stores: list[Store]) -> None:
    asking = [lease(stores[number % 2]) for number in range(10)]
    assert sum(await asyncio.gather(*(one.keep() for one in asking))) == 1
    (state,) = await stores[0].transaction(lease_states)
    assert state.token == 1


async def test_a_change_of_the_holder_is_told(stores: list[Store], postgres: str) -> None:
    told: list[int | None] = []
    one = Lease(stores[0], "x", holder="one", ttl=LONG, observer=lambda it: told.append(it.token))
    await one.keep()
    await one.keep()
    steal(postgres)
    await one.keep()
    give_back(postgres)
    async with one:
        pass
    assert told == [1, None, 3, None]


async def test_a_lease_goes_along_with_another(stores: list[Store], postgres: str) -> None:
    """Two leases of two processes, taken crosswise, end up in one of them."""
    holders = [new_holder() for _ in stores]
    senders = [Lease(s, "sender", holder=h, ttl=LONG) for s, h in zip(stores, holders, strict=True)]
    members = [
        Lease(s, "member", holder=h, ttl=LONG, along=sender)
        for s, h, sender in zip(stores, holders, senders, strict=True)
    ]
    assert await senders[0].keep()
    assert not await members[1].keep()
    assert await members[0].keep()
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("UPDATE leases SET expires_at = clock_timestamp() WHERE name = 'sender'")
    assert await senders[1].keep()
    assert not await members[1].keep()
    assert not await senders[0].keep()
    assert not await members[0].keep()
    assert await members[1].keep()
    assert members[1].taken_from is None


async def test_a_lease_is_fresh_for_as_long_as_nobody_can_have_taken_it(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, now = lease(stores[0], ttl=15.0), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert not one.is_fresh
    assert await one.keep()
    assert one.is_fresh
    now += 14.9
    assert one.is_fresh
    now += 0.2
    assert (one.held, one.is_fresh) == (True, False)
    assert await one.keep()
    assert one.is_fresh


async def test_a_fence_holds_only_while_its_token_does(stores: list[Store], postgres: str) -> None:
    one = lease(stores[0])
    await one.keep()
    old = one.fence()
    await stores[0].transaction(old)
    steal(postgres)
    with pytest.raises(LeaseLostError, match="stands by"):
        await stores[0].transaction(old)
    give_back(postgres)
    assert await one.keep()
    await stores[0].transaction(one.fence())
    # What was decided before the lease was lost is out of date, though it was won again.
    with pytest.raises(LeaseLostError):
        await stores[0].transaction(old)


async def test_an_expired_lease_lets_nothing_be_written(stores: list[Store], postgres: str) -> None:
    one = lease(stores[0])
    await one.keep()
    fence = one.fence()
    expire(postgres)
    with pytest.raises(LeaseLostError):
        await stores[0].transaction(fence)
    assert await one.keep()
    await stores[0].transaction(fence)


async def test_nobody_takes_a_lease_in_the_middle_of_a_write(
    stores: list[Store], postgres: str
) -> None:
    """The write is done, and then the lease passes on: never the other way round."""
    one, other = (lease(store) for store in stores)
    await one.keep()
    fence = one.fence()
    order: list[str] = []
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(session: object) -> None:
        fence(session)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(entered.set)
        time.sleep(0.5)
        order.append("written")

    writing = asyncio.create_task(stores[0].transaction(work))
    await entered.wait()

    async def take() -> None:
        with psycopg.connect(postgres, autocommit=True) as connection:
            await asyncio.to_thread(
                connection.execute, "UPDATE leases SET expires_at = clock_timestamp()"
            )
        await until(other.keep)
        order.append("taken")

    await asyncio.gather(writing, take())
    assert order == ["written", "taken"]


async def test_no_time_of_this_machine_reaches_a_lease(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts whose clocks are days apart share a lease as others do."""
    sent: list[object] = []

    def note(
        connection: object, cursor: object, statement: str, values: object, *_: object
    ) -> None:
        if "leases" in statement:
            sent.append(values)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        one = lease(stores[0])
        await one.keep()
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: 4e9)
            patch.setattr(time, "time_ns", lambda: 4 * 10**18)
            other = lease(stores[1])
            assert not await other.keep()
        await stores[0].transaction(one.fence())
        rows = await stores[0].transaction(
            lambda session: session.execute(select(LeaseRow.expires_at)).all()
        )
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    known = {row.expires_at for row in rows}
    times = [
        value
        for values in sent
        for value in (values.values() if isinstance(values, dict) else values)  # type: ignore[attr-defined]
        if isinstance(value, date | datetime | float)
    ]
    # The only time that is sent is the database's own, longer by the lease's length.
    assert set(times) <= known
    assert sent


# --- The outbox ---


class Keeper:
    """An outbox that shares its database with others."""

    def __init__(self, node: FakeNode, database: str, ttl: float = LONG) -> None:
        self.node = node
        self.database = database
        self.ttl = ttl
        self.at: dict[str, Callable[[], None]] = {}
        self.store: Store
        self.outbox: Outbox
        self.lease: Lease

    async def start(self) -> None:
        self.store = Store.open(self.database)
        self.lease = lease(self.store, "sender", self.ttl)
        self.outbox = Outbox(
            self.node,
            self.store,
            StubSigner(),
            chain_id=CHAIN_ID,
            settings=SETTINGS,
            observer=lambda stage, _: self.at.get(stage, lambda: None)(),
            lease=self.lease,
        )
        await self.outbox.__aenter__()

    async def stop(self) -> None:
        await self.outbox.__aexit__()
        await self.store.close()

    async def run(self, steps: int = 8) -> None:
        for _ in range(steps):
            await self.outbox.step()
            self.node.produce()


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(FakeChain())


@pytest.fixture
async def keepers(node: FakeNode, postgres: str) -> AsyncIterator[list[Keeper]]:
    """Two keepers with one sender; the first one has the lease."""
    made = [Keeper(node, postgres) for _ in range(2)]
    for keeper in made:
        await keeper.start()
    yield made
    for keeper in made:
        await keeper.stop()


def effect(name: str) -> Effect:
    call = Call(to=address(0xC0), data=name.encode(), name="Counter.act", decode=lambda _: None)
    return Effect(key=name, call=call)


async def entry_of(keeper: Keeper, name: str) -> OutboxEntry:
    entry = await keeper.outbox.entry(name)
    assert entry is not None
    return entry


async def test_an_outbox_on_postgresql_always_has_a_lease(node: FakeNode, postgres: str) -> None:
    stores = [Store.open(postgres) for _ in range(2)]
    one, other = (Outbox(node, store, StubSigner(), chain_id=CHAIN_ID) for store in stores)
    async with one, other:
        assert (one.token, other.token) == (1, None)
        with pytest.raises(LeaseLostError):
            await other.step()
    for store in stores:
        await store.close()


async def test_a_standby_reads_and_neither_stores_nor_sends(
    keepers: list[Keeper], node: FakeNode
) -> None:
    one, other = keepers
    await one.outbox.submit(effect("pay"))
    assert (await entry_of(other, "pay")).state is EffectState.INTENT
    for act in (
        other.outbox.submit(effect("pay")),
        other.outbox.submit(effect("refund")),
        other.outbox.retry("pay"),
        other.outbox.step(),
    ):
        with pytest.raises(LeaseLostError):
            await act
    assert await one.outbox.entry("refund") is None
    assert node.pool == {}
    await one.run()
    assert node.executed() == {"pay": 1}


async def test_a_standby_goes_on_where_the_holder_stopped(
    keepers: list[Keeper], node: FakeNode
) -> None:
    one, other = keepers
    await one.outbox.submit(effect("pay"))
    await one.outbox.step()
    await one.outbox.submit(effect("refund"))
    await one.lease.__aexit__()
    assert await other.lease.keep()
    await other.run()
    assert node.executed() == {"pay": 1, "refund": 1}
    assert len((await entry_of(other, "pay")).attempts) == 1


async def test_what_is_signed_after_the_lease_was_lost_is_discarded(
    keepers: list[Keeper], node: FakeNode, postgres: str
) -> None:
    one, other = keepers
    await one.outbox.submit(effect("pay"))
    node.before_call = lambda method: steal(postgres) if method == "eth_estimateGas" else None
    with pytest.raises(LeaseLostError):
        await one.outbox.step()
    node.before_call = lambda _: None
    entry = await entry_of(other, "pay")
    assert (entry.state, entry.attempts, entry.nonce) == (EffectState.INTENT, (), None)
    assert node.pool == {}


async def test_what_was_stored_before_the_lease_was_lost_is_sent_by_the_next_holder_only(
    keepers: list[Keeper], node: FakeNode, postgres: str
) -> None:
    one, other = keepers
    await one.outbox.submit(effect("pay"))
    one.at["signed"] = lambda: steal(postgres)
    with pytest.raises(LeaseLostError):
        await one.outbox.step()
    assert node.pool == {}
    (attempt,) = (await entry_of(other, "pay")).attempts
    give_back(postgres)
    assert await other.lease.keep()
    await other.outbox.step()
    assert [held.hash for held in node.pool.values()] == [attempt.tx_hash]
    with pytest.raises(LeaseLostError):
        await one.outbox.step()
    await other.run()
    assert node.executed() == {"pay": 1}


async def test_a_lease_lost_while_a_node_takes_the_transaction_doubles_nothing(
    keepers: list[Keeper], node: FakeNode, postgres: str
) -> None:
    one, other = keepers
    await one.outbox.submit(effect("pay"))
    one.at["broadcast"] = lambda: steal(postgres)
    with pytest.raises(LeaseLostError):
        await one.outbox.step()
    assert (await entry_of(other, "pay")).state is EffectState.SIGNED
    give_back(postgres)
    assert await other.lease.keep()
    await other.run()
    assert node.executed() == {"pay": 1}
    assert len((await entry_of(other, "pay")).attempts) == 1


async def test_a_step_begun_before_the_lease_was_lost_ends_though_it_was_won_again(
    keepers: list[Keeper], node: FakeNode, postgres: str
) -> None:
    """What it decided on is from before: the other may have done all of it meanwhile."""
    one, other = keepers
    await one.outbox.submit(effect("pay"))
    blocked, go_on = asyncio.Event(), asyncio.Event()
    ask = node.batch

    async def slow(calls: Sequence[tuple[str, Sequence[object]]]) -> list[object]:
        found = await ask(calls)
        blocked.set()
        await go_on.wait()
        return found

    node.batch = slow  # type: ignore[method-assign]
    step = asyncio.create_task(one.outbox.step())
    await blocked.wait()
    node.batch = ask  # type: ignore[method-assign]
    expire(postgres)
    assert await other.lease.keep()
    await other.run()
    await other.lease.__aexit__()
    await one.lease.keep()  # finds that it was lost, and wins it again
    assert one.lease.token == 3
    go_on.set()
    with pytest.raises(LeaseLostError):
        await step
    assert node.executed() == {"pay": 1}


class Rivals:
    """Two keepers with one sender, and leases that pass between them at any moment."""

    def __init__(self, data: st.DataObject, database: str) -> None:
        self.data = data
        self.node = FakeNode(FakeChain())
        self.keepers = [Keeper(self.node, database) for _ in range(2)]
        self.database = database
        self.names: list[str] = []

    def drawn(self) -> Keeper:
        return self.data.draw(st.sampled_from(self.keepers))

    async def submit(self) -> None:
        self.names.append(f"effect {len(self.names)}")
        with contextlib.suppress(LeaseLostError, RpcUnavailable):
            await self.drawn().outbox.submit(effect(self.names[-1]))

    async def step(self) -> None:
        with contextlib.suppress(LeaseLostError, RpcUnavailable):
            await self.drawn().outbox.step()

    async def both(self) -> None:
        await asyncio.gather(
            *(keeper.outbox.step() for keeper in self.keepers), return_exceptions=True
        )

    async def block(self) -> None:
        self.node.produce()

    async def pass_on(self) -> None:
        expire(self.database)
        await self.drawn().lease.keep()

    async def lose_at(self) -> None:
        """Let the lease expire under a keeper's feet, at the next time that a stage is passed."""
        keeper, stage = self.drawn(), self.data.draw(st.sampled_from(ALL_STAGES))

        def lose() -> None:
            keeper.at.clear()
            steal(self.database)
            give_back(self.database)

        keeper.at[stage] = lose

    async def notice(self) -> None:
        await self.drawn().lease.keep()

    async def silent(self) -> None:
        self.node.silent = self.data.draw(st.booleans())

    async def finish(self) -> None:
        self.node.silent = False
        for keeper in self.keepers:
            keeper.at.clear()
        expire(self.database)
        winner = self.drawn()
        assert await winner.lease.keep()
        for name in self.names:
            await winner.outbox.submit(effect(name))
        for _ in range(60):
            await winner.run(1)
            if not await winner.outbox.pending():
                break
        assert self.node.executed() == dict.fromkeys(self.names, 1)


@given(data=st.data())
def test_no_change_of_the_holder_loses_or_doubles_an_effect(
    data: st.DataObject, postgres_server: PostgresServer
) -> None:
    """Invariant 29 for several keepers, on a contract that does whatever it is told to."""

    async def play() -> None:
        rivals = Rivals(data, postgres_server.new_database())
        for keeper in rivals.keepers:
            await keeper.start()
        acts = ("submit", "step", "step", "both", "block", "pass_on", "lose_at", "notice", "silent")
        for _ in range(data.draw(st.integers(1, 25))):
            await getattr(rivals, data.draw(st.sampled_from(acts)))()
        await rivals.finish()
        for keeper in rivals.keepers:
            await keeper.stop()

    asyncio.run(play())


# --- The follower ---


def revised(number: int) -> JobRevised:
    return JobRevised(job_id=1, revision=number, window=1, spec_hash=bytes(32))


class Reader:
    """A follower that shares its database with others."""

    def __init__(self, chain: FakeChain, store: Store, max_behind: int = 100) -> None:
        self.lease = lease(store, follower_lease(CHAIN_ID))
        self.follower = Follower(
            FakeRpc(chain),
            store,
            SUITE,
            chain_id=CHAIN_ID,
            start_block=0,
            settings=FollowerSettings(first_page=3, max_page=3, max_behind=max_behind),
            lease=self.lease,
        )
        self.mirror = Mirror(self.follower, SUITE.escrow.address)

    async def events(self) -> list[object]:
        await self.mirror.refresh()
        history = self.mirror.history
        return list(history.events(0, history.block))


@pytest.fixture
def chain() -> FakeChain:
    made = FakeChain()
    for number in range(1, 11):
        made.mine(revised(number))
    return made


async def test_one_reads_the_chain_and_the_other_what_it_stored(
    chain: FakeChain, stores: list[Store]
) -> None:
    one, other = (Reader(chain, store) for store in stores)
    async with one.lease, other.lease:
        assert await other.events() == []
        assert await one.events() == chain.events()
        assert await other.events() == chain.events()
        chain.mine(revised(11))
        assert (await other.follower.poll()).to_block == chain.head.number - 1
        assert await one.events() == chain.events()
        chain.reorg(4, *[[revised(100 + number)] for number in range(5)])
        assert await one.events() == chain.events() == await other.events()
    assert await one.follower.book.cursor() == await other.follower.book.cursor()


async def test_a_standby_takes_over_the_reading(chain: FakeChain, stores: list[Store]) -> None:
    one, other = (Reader(chain, store) for store in stores)
    async with other.lease:
        async with one.lease:
            assert not one.lease.held
            await other.events()
            await other.lease.__aexit__()
            chain.mine(revised(11))
            assert await other.mirror.refresh()
            assert await one.lease.keep()
            assert await one.events() == chain.events()
        assert await other.events() == chain.events()


async def test_a_long_reading_is_not_ended_as_idle(
    stores: list[Store], postgres: str, chain: FakeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends a transaction that rests; one that decodes many logs does not rest."""
    writer = Reader(chain, stores[0])
    async with writer.lease:
        await writer.mirror.refresh()

    def multiply(session: Session) -> None:
        row = session.scalars(select(LogRow).limit(1)).one()
        names = ("chain_id", "block", "block_hash", "tx_hash", "address", "topics", "data")
        common = {name: getattr(row, name) for name in names}
        session.execute(insert(LogRow), [common | {"log_index": n} for n in range(10, 3_010)])

    await stores[0].transaction(multiply)
    monkeypatch.setattr(engines, "IDLE_SECONDS", 3.0)
    store = Store.open(postgres)
    decode, decoded = RawLog.event, itertools.count(1)

    def slow(*arguments: object) -> object:
        if next(decoded) % logbook.CHUNK == 0:  # for each is as long as the system likes
            time.sleep(0.6)
        return decode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RawLog, "event", slow)
    _, events = await Reader(chain, store).follower.book.events()
    assert len(events) == 3_000 + len(chain.events())
    await store.close()


async def test_a_lease_that_was_taken_without_an_answer_is_known_again(
    stores: list[Store], postgres: str
) -> None:
    """The server went away in the middle of the commit; nobody has to wait until it expires."""
    one = lease(stores[0])
    await stores[0].transaction(lambda session: one._take(session) and None)
    assert not one.held
    assert await one.keep()
    assert one.token == 1
    await stores[0].transaction(one.fence())


async def test_a_page_read_under_a_lost_lease_is_not_stored(
    chain: FakeChain, stores: list[Store], postgres: str
) -> None:
    one = Reader(chain, stores[0])
    async with one.lease:
        rpc = one.follower._source._rpc  # type: ignore[attr-defined]
        rpc.before_call = lambda method: steal(postgres) if method == "eth_getLogs" else None
        update = await one.follower.poll()
        assert (update.events, update.to_block, update.caught_up) == ((), -1, True)


async def test_a_standby_rests_on_nothing_that_is_far_behind(
    chain: FakeChain, stores: list[Store]
) -> None:
    one, other = Reader(chain, stores[0]), Reader(chain, stores[1], max_behind=5)
    async with one.lease, other.lease:
        await one.follower.poll()
        with pytest.raises(FollowerBehindError, match="8 blocks behind"):
            await other.mirror.refresh()
        await one.mirror.refresh()
        assert await other.events() == chain.events()


# --- The server's outages ---


async def test_a_server_that_stops_costs_nothing(
    postgres_server: PostgresServer, node: FakeNode
) -> None:
    keeper = Keeper(node, postgres_server.new_database())
    await keeper.start()
    reader = Reader(node.chain, keeper.store)
    await keeper.outbox.submit(effect("pay"))
    await keeper.outbox.step()
    await keeper.outbox.submit(effect("refund"))
    postgres_server.stop()
    try:
        for act in (
            keeper.outbox.step(),
            keeper.outbox.submit(effect("never")),
            keeper.lease.keep(),
            reader.lease.keep(),
            reader.follower.book.cursor(),
        ):
            with pytest.raises(StoreUnavailableError, match=r"does not answer.*goes on by itself"):
                await act
        assert keeper.lease.held
    finally:
        postgres_server.start()
    node.produce()
    await keeper.outbox.submit(effect("later"))
    await keeper.run()
    assert node.executed() == {"pay": 1, "refund": 1, "later": 1}
    await keeper.stop()


async def test_a_server_that_stops_at_any_stage_loses_and_doubles_nothing(
    postgres_server: PostgresServer, node: FakeNode
) -> None:
    keeper = Keeper(node, postgres_server.new_database())
    await keeper.start()
    for stage in ("signed", "broadcast"):
        await keeper.outbox.submit(effect(stage))
        keeper.at[stage] = postgres_server.stop
        try:
            with pytest.raises(StoreUnavailableError):
                await keeper.outbox.step()
        finally:
            keeper.at.clear()
            postgres_server.start()
        await keeper.run()
    assert node.executed() == {"signed": 1, "broadcast": 1}
    await keeper.stop()


async def test_a_server_that_does_not_come_back_does_not_keep_a_keeper_from_its_end(
    postgres_server: PostgresServer, node: FakeNode
) -> None:
    keeper = Keeper(node, postgres_server.new_database(), ttl=SHORT)
    await keeper.start()
    postgres_server.stop()
    try:

        async def troubled() -> bool:
            return "does not answer" in keeper.lease.trouble

        await until(troubled)
        await keeper.stop()
        assert not keeper.lease.held
    finally:
        postgres_server.start()
