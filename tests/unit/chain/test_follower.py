"""The follower against a chain that reorgs and nodes that lag: nothing is lost or read twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from chain_support import SUITE, Block, FakeChain, FakeRpc
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from workdeed.chain.bindings import token
from workdeed.chain.bindings.codec import LoggedEvent
from workdeed.chain.bindings.desk import JobRevised
from workdeed.chain.bindings.suite import Suite, UnknownEventError
from workdeed.chain.bindings.tariff import ClassSet
from workdeed.chain.errors import StoreError
from workdeed.chain.follower import Follower, FollowerSettings, FollowerUpdate
from workdeed.chain.logbook import CursorMovedError
from workdeed.chain.rpc import RpcError, RpcUnavailable
from workdeed.chain.store import Store
from workdeed.chain.tables import BlockRow, LogRow

CHAIN_ID = 31337
SMALL = FollowerSettings(first_page=3, max_page=8, checkpoints=4)


def revised(number: int) -> JobRevised:
    return JobRevised(job_id=1, revision=number, window=1, spec_hash=bytes(32))


class Clock:
    """Each look takes `step` seconds more than the last."""

    def __init__(self, step: float = 0.0) -> None:
        self.step = step
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += self.step
        return self.seconds


@pytest.fixture
def chain() -> FakeChain:
    made = FakeChain()
    for number in range(1, 21):
        made.mine(*([revised(number), revised(100 + number)] if number % 3 == 0 else []))
    return made


@pytest.fixture
def rpc(chain: FakeChain) -> FakeRpc:
    return FakeRpc(chain)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    made = Store.open(database)
    yield made
    await made.close()


def follow(
    rpc: FakeRpc,
    store: Store,
    *,
    start_block: int = 0,
    settings: FollowerSettings = SMALL,
    suite: Suite = SUITE,
    clock: Clock | None = None,
) -> Follower:
    return Follower(
        rpc,
        store,
        suite,
        chain_id=CHAIN_ID,
        start_block=start_block,
        settings=settings,
        timer=clock or Clock(),
    )


async def catch_up(follower: Follower) -> list[FollowerUpdate]:
    """Poll until there is nothing more."""
    updates = [await follower.poll()]
    while not updates[-1].caught_up:
        updates.append(await follower.poll())
    return updates


async def stored(follower: Follower) -> list[LoggedEvent]:
    return list((await follower.book.events())[1])


async def test_a_chain_is_read_from_its_beginning_in_pages(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    follower = follow(rpc, store)
    updates = await catch_up(follower)
    read = [event for update in updates for event in update.events]
    assert len(updates) > 1
    assert read == chain.events() == await stored(follower)
    assert updates[-1].to_block == chain.head.number
    assert [update.from_block for update in updates[1:]] == [
        update.to_block + 1 for update in updates[:-1]
    ]


async def test_reading_begins_at_the_start_block(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    follower = follow(rpc, store, start_block=7)
    await catch_up(follower)
    assert await stored(follower) == [event for event in chain.events() if event.block >= 7]


async def test_nothing_above_the_confirmations_is_read(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    settings = FollowerSettings(confirmations=5)
    updates = await catch_up(follow(rpc, store, settings=settings))
    assert updates[-1].to_block == chain.head.number - 5
    assert updates[-1].head.number == chain.head.number
    assert [e for u in updates for e in u.events] == chain.events(chain.head.number - 5)


async def test_a_young_chain_has_nothing_to_read(store: Store) -> None:
    rpc = FakeRpc(FakeChain())
    follower = follow(rpc, store, settings=FollowerSettings(confirmations=5))
    update = await follower.poll()
    assert (update.caught_up, update.events, update.to_block) == (True, (), -1)


async def test_after_a_kill_reading_goes_on_where_it_was(
    chain: FakeChain, rpc: FakeRpc, database: str
) -> None:
    read: list[LoggedEvent] = []
    for _ in range(30):
        store = Store.open(database)
        update = await follow(rpc, store).poll()
        read += update.events
        await store.close()
    assert read == chain.events()


async def test_a_page_that_is_not_committed_is_read_again(
    chain: FakeChain, rpc: FakeRpc, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = follow(rpc, store)
    await follower.poll()
    before = await follower.book.cursor()

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(follower.book), "_forget", fail)
        with pytest.raises(RuntimeError, match="disk"):
            await follower.poll()
    assert await follower.book.cursor() == before
    assert all(event.block <= before.number for event in await stored(follower))
    await catch_up(follower)
    assert await stored(follower) == chain.events()


@pytest.mark.parametrize("depth", [1, 2, 5, 12, 20])
async def test_a_reorg_is_undone_to_the_last_common_block(
    chain: FakeChain, rpc: FakeRpc, store: Store, depth: int
) -> None:
    follower = follow(rpc, store)
    await catch_up(follower)
    kept = chain.head.number - depth
    chain.reorg(depth, *[[revised(200 + n)] for n in range(depth + 1)])
    updates = await catch_up(follower)
    assert updates[0].rewound_to is not None
    assert updates[0].rewound_to <= kept
    assert (updates[0].events, updates[0].generation) == ((), 1)
    assert [update.rewound_to for update in updates[1:]] == [None] * (len(updates) - 1)
    assert await stored(follower) == chain.events()


@pytest.mark.parametrize("depth", [1, 2, 5])
async def test_logs_of_every_block_above_the_common_one_are_replaced(
    store: Store, depth: int
) -> None:
    chain = FakeChain()
    follower = follow(FakeRpc(chain), store)
    for number in range(10):
        chain.mine(revised(number))
        await catch_up(follower)
    chain.reorg(depth, *[[revised(900 + n)] for n in range(depth)], [])
    updates = await catch_up(follower)
    assert updates[0].rewound_to == 10 - depth
    assert await stored(follower) == chain.events()


async def test_a_short_reorg_is_undone_by_a_short_way(store: Store) -> None:
    """Blocks without logs are remembered too, so that a quiet chain is not read from far back."""
    chain = FakeChain()
    rpc = FakeRpc(chain)
    follower = follow(rpc, store)
    for _ in range(30):
        chain.mine()
        await catch_up(follower)
    chain.reorg(2, [], [], [revised(1)])
    updates = await catch_up(follower)
    assert updates[0].rewound_to == 28
    assert await stored(follower) == chain.events()


async def test_blocks_without_logs_are_forgotten_in_time(store: Store) -> None:
    chain = FakeChain()
    follower = follow(FakeRpc(chain), store)
    for number in range(40):
        chain.mine(*([revised(number)] if number == 5 else []))
        await catch_up(follower)
    kept = await store.transaction(lambda session: list(session.scalars(select(BlockRow.number))))
    assert kept == [6, *range(36, 41)]


async def test_a_chain_that_got_shorter_and_differs_is_a_reorg(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    follower = follow(rpc, store)
    await catch_up(follower)
    chain.reorg(9, [revised(300)], [revised(301)])
    await catch_up(follower)
    assert await stored(follower) == chain.events()


async def test_another_chain_under_the_same_id_is_read_anew(rpc: FakeRpc, store: Store) -> None:
    await catch_up(follow(rpc, store))
    other = FakeChain()
    other.drop(1)
    for number in range(30):
        other.mine(revised(500 + number))
    rpc.chain = other
    follower = follow(rpc, store)
    await catch_up(follower)
    assert await stored(follower) == other.events()


async def test_a_node_that_lags_is_no_reorg(chain: FakeChain, rpc: FakeRpc, store: Store) -> None:
    follower = follow(rpc, store)
    await catch_up(follower)
    rpc.lag = 6
    update = await follower.poll()
    assert (update.rewound_to, update.events, update.to_block) == (None, (), chain.head.number)


async def test_an_empty_answer_of_a_node_that_lags_is_not_taken(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    """The head comes from one node, the logs from another one that does not have them yet."""
    follower = follow(rpc, store)
    await catch_up(follower)
    chain.mine()
    chain.mine(revised(400))
    rpc.batch_lag = 2
    before = await follower.book.cursor()
    with pytest.raises(RpcUnavailable, match="lags"):
        await follower.poll()
    assert await follower.book.cursor() == before
    rpc.batch_lag = 0
    await catch_up(follower)
    assert await stored(follower) == chain.events()


async def test_a_chain_that_changes_under_the_logs_is_not_taken(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    def reorg_at_logs(method: str) -> None:
        if method == "eth_getLogs":
            rpc.before_call = lambda _: None
            chain.reorg(19, *[[revised(600 + n)] for n in range(19)])

    rpc.before_call = reorg_at_logs
    follower = follow(rpc, store)
    with pytest.raises(RpcUnavailable, match="changed"):
        await follower.poll()
    assert await stored(follower) == []
    await catch_up(follower)
    assert await stored(follower) == chain.events()


async def test_a_reorg_below_the_cursor_between_two_requests_is_noticed(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    follower = follow(rpc, store)
    await follower.poll()
    seen: list[str] = []

    def reorg_before_logs(method: str) -> None:
        seen.append(method)
        if len(seen) == 3:  # after the head and the cursor's block
            chain.reorg(20, *[[revised(700 + n)] for n in range(20)])

    rpc.before_call = reorg_before_logs
    with pytest.raises(RpcUnavailable, match="changed"):
        await follower.poll()
    updates = await catch_up(follower)
    assert updates[0].rewound_to is not None
    assert await stored(follower) == chain.events()


async def test_blocks_that_are_not_those_of_the_logs_are_not_taken(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    """The logs come in one request, the times of their blocks in the next."""
    calls: list[str] = []

    def reorg_after_logs(method: str) -> None:
        calls.append(method)
        if "eth_getLogs" in calls and len(calls) - calls.index("eth_getLogs") == 3:
            chain.reorg(19, *[[revised(600 + n)] for n in range(19)])

    rpc.before_call = reorg_after_logs
    follower = follow(rpc, store, settings=FollowerSettings(first_page=8))
    with pytest.raises(RpcUnavailable, match="changed"):
        await follower.poll()
    assert await stored(follower) == []


async def test_pages_shrink_where_the_node_refuses_and_grow_where_it_is_fast(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    rpc.max_span = 2
    follower = follow(rpc, store, settings=FollowerSettings(first_page=16, max_page=16))
    update = await follower.poll()
    assert rpc.spans == [16, 8, 4, 2]
    assert update.to_block == 1
    rpc.max_span = None
    await catch_up(follower)
    assert rpc.spans[4:8] == [4, 8, 7]
    assert await stored(follower) == chain.events()


async def test_pages_shrink_where_the_node_is_slow(rpc: FakeRpc, store: Store) -> None:
    settings = FollowerSettings(first_page=8, max_page=8, target_seconds=1.0)
    follower = follow(rpc, store, settings=settings, clock=Clock(step=2.5))
    await follower.poll()
    assert follower.page_size == 4


async def test_pages_shrink_where_the_logs_are_many(rpc: FakeRpc, store: Store) -> None:
    follower = follow(rpc, store, settings=FollowerSettings(first_page=8, max_logs=3))
    await follower.poll()
    assert follower.page_size == 4


async def test_a_page_of_one_block_that_is_refused_is_an_error(rpc: FakeRpc, store: Store) -> None:
    rpc.max_span = 0
    with pytest.raises(RpcError, match="10000 results"):
        await follow(rpc, store).poll()


async def test_a_node_that_does_not_answer_moves_nothing(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    follower = follow(rpc, store)
    rpc.down = True
    with pytest.raises(RpcUnavailable):
        await follower.poll()
    rpc.down = False
    await catch_up(follower)
    assert await stored(follower) == chain.events()


@pytest.mark.parametrize(
    "change",
    [
        {"removed": True},
        {"blockNumber": "0x13"},
        {"address": SUITE.token.address},
        {"blockHash": None},
        {"topics": None},
        {"data": "nothing"},
    ],
)
async def test_logs_that_were_not_asked_for_are_not_taken(
    rpc: FakeRpc, store: Store, change: dict[str, Any]
) -> None:
    class Liar(FakeRpc):
        def _eth_get_logs(self, blocks: list[Block], span: Any) -> Any:
            return [log | change for log in super()._eth_get_logs(blocks, span)]

    follower = follow(Liar(rpc.chain), store, settings=FollowerSettings(first_page=8))
    with pytest.raises(RpcUnavailable):
        await follower.poll()
    assert await stored(follower) == []


async def test_a_log_sent_twice_is_stored_once(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    class Stutterer(FakeRpc):
        def _eth_get_logs(self, blocks: list[Block], span: Any) -> Any:
            return 2 * super()._eth_get_logs(blocks, span)

    follower = follow(Stutterer(chain), store)
    updates = await catch_up(follower)
    assert [event for update in updates for event in update.events] == chain.events()
    assert await stored(follower) == chain.events()


async def test_an_unknown_event_stops_the_reading_before_anything_is_stored(
    rpc: FakeRpc, store: Store
) -> None:
    """A package that is too old must not act on half of what happened."""

    class Newer(FakeRpc):
        def _eth_get_logs(self, blocks: list[Block], span: Any) -> Any:
            logs = super()._eth_get_logs(blocks, span)
            return [log | {"topics": ["0x" + "77" * 32]} for log in logs]

    follower = follow(Newer(rpc.chain), store, settings=FollowerSettings(first_page=8))
    with pytest.raises(UnknownEventError, match="update this package"):
        await follower.poll()
    assert (await follower.book.cursor()).number == -1


async def test_logs_of_the_token_are_not_followed(chain: FakeChain, store: Store) -> None:
    assert not any(isinstance(contract, token.Token) for contract in SUITE.followed)


async def test_a_database_of_another_deployment_is_refused(rpc: FakeRpc, store: Store) -> None:
    await catch_up(follow(rpc, store))
    with pytest.raises(StoreError, match="another deployment"):
        await follow(rpc, store, start_block=3).poll()


async def test_two_processes_on_one_database_store_everything_once(
    chain: FakeChain, rpc: FakeRpc, database: str
) -> None:
    stores = [Store.open(database) for _ in range(2)]
    followers = [follow(rpc, item) for item in stores]

    async def run(follower: Follower) -> None:
        while True:
            try:
                if (await follower.poll()).caught_up:
                    return
            except CursorMovedError:
                await asyncio.sleep(0)

    await asyncio.gather(*(run(follower) for follower in followers))
    assert await stored(followers[0]) == chain.events()
    for item in stores:
        await item.close()


async def test_a_cursor_that_moved_is_never_written_over(
    chain: FakeChain, rpc: FakeRpc, database: str
) -> None:
    """A slow process must not put its page over the rewind of another."""
    stores = [Store.open(database) for _ in range(2)]
    slow, fast = (follow(rpc, item) for item in stores)
    await catch_up(slow)
    chain.mine(revised(800))
    old = await slow.book.cursor()
    chain.reorg(3, [revised(801)], [], [], [])
    await catch_up(fast)
    moved = await fast.book.cursor()
    block = (await rpc.block(chain.head.number)) or pytest.fail("no block")
    with pytest.raises(CursorMovedError):
        await slow.book.append(old, [block], [], keep_from=0)
    assert await fast.book.cursor() == moved
    for item in stores:
        await item.close()


@given(data=st.data())
def test_the_database_equals_a_fresh_rebuild(
    data: st.DataObject, databases: Callable[[], str]
) -> None:
    """Invariant 30, whatever reorgs, lagging nodes, refusals and kills came before."""
    asyncio.run(_wander(data, databases()))


async def _wander(data: st.DataObject, database: str) -> None:
    wanderer = Wanderer(data, database)
    for _ in range(data.draw(st.integers(1, 25))):
        act = data.draw(st.sampled_from(("mine", "mine", "poll", "poll", "reorg", "node", "kill")))
        await getattr(wanderer, act)()
    await wanderer.finish()


class Wanderer:
    """A follower, its node, its chain and its process, each of which something may happen to."""

    def __init__(self, data: st.DataObject, database: str) -> None:
        self.data = data
        self.database = database
        self.chain = FakeChain()
        self.rpc = FakeRpc(self.chain)
        self.confirmations = data.draw(st.integers(0, 2))
        self.serial = 0
        self.restart()

    def restart(self) -> None:
        settings = FollowerSettings(
            confirmations=self.confirmations, first_page=4, max_page=6, checkpoints=3
        )
        self.store = Store.open(self.database)
        self.follower = follow(self.rpc, self.store, settings=settings)

    def contents(self) -> list[ClassSet]:
        self.serial += 1
        count = self.data.draw(st.integers(0, 2))
        return [ClassSet(1, self.serial, n, 0, 0, False) for n in range(count)]

    def bound_lag(self) -> None:
        """Leave each node a block at least."""
        blocks = len(self.chain.blocks) - 1
        self.rpc.lag = min(self.rpc.lag, blocks)
        self.rpc.batch_lag = min(self.rpc.batch_lag, blocks - self.rpc.lag)

    async def mine(self) -> None:
        self.chain.mine(*self.contents())

    async def reorg(self) -> None:
        blocks = len(self.chain.blocks)
        if blocks > 1:
            depth = self.data.draw(st.integers(1, min(12, blocks - 1)))
            grown = max(0, depth + self.data.draw(st.integers(-1, 2)))
            self.chain.reorg(depth, *[self.contents() for _ in range(grown)])
            self.bound_lag()

    async def node(self) -> None:
        self.rpc.lag = self.data.draw(st.integers(0, 5))
        self.rpc.batch_lag = self.data.draw(st.integers(0, 5))
        self.rpc.max_span = self.data.draw(st.sampled_from((None, 1, 2)))
        self.bound_lag()

    async def kill(self) -> None:
        await self.store.close()
        self.restart()

    async def poll(self) -> None:
        with contextlib.suppress(RpcUnavailable):
            await self.follower.poll()

    async def finish(self) -> None:
        """Let the node recover and the winning fork grow, then compare with the whole chain."""
        self.rpc.lag = self.rpc.batch_lag = 0
        read = (await self.follower.book.cursor()).number
        while self.chain.head.number <= read + self.confirmations:
            self.chain.mine()
        await catch_up(self.follower)
        expected = self.chain.events(self.chain.head.number - self.confirmations)
        assert await stored(self.follower) == expected
        rows = await self.store.transaction(
            lambda session: session.scalar(select(func.count(LogRow.id)))
        )
        assert rows == len(expected)
        await self.store.close()
