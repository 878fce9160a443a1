"""The mirror: its books are those of the database, whoever moves it and whatever fails."""

from collections.abc import AsyncIterator

import pytest
from chain_support import BLOCK_SECONDS, SUITE, FakeChain, FakeRpc

from workdeed.chain import history
from workdeed.chain.bindings.tariff import ClassSet
from workdeed.chain.books import Books
from workdeed.chain.follower import Follower, FollowerSettings
from workdeed.chain.mirror import Mirror
from workdeed.chain.rpc import RpcUnavailable
from workdeed.chain.store import Store

ESCROW = SUITE.escrow.address


def price(value: int) -> ClassSet:
    return ClassSet(1, value, 1, 1, 1, False)


@pytest.fixture
def chain() -> FakeChain:
    made = FakeChain()
    for value in range(1, 11):
        made.mine(price(value))
    return made


@pytest.fixture
def rpc(chain: FakeChain) -> FakeRpc:
    return FakeRpc(chain)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    made = Store.open(database)
    yield made
    await made.close()


def follow(rpc: FakeRpc, store: Store) -> Follower:
    settings = FollowerSettings(first_page=3, max_page=3)
    return Follower(rpc, store, SUITE, chain_id=1, start_block=0, settings=settings)


def fresh(chain: FakeChain) -> Books:
    books = Books(ESCROW)
    for event in chain.events():
        books.apply(event)
    return books


async def test_it_reads_all_pages_and_tells_of_all_events(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    mirror = Mirror(follow(rpc, store), ESCROW)
    update = await mirror.refresh()
    assert list(update.events) == chain.events()
    assert (update.block, update.rewound_to) == (10, None)
    assert mirror.books == fresh(chain)
    chain.mine(price(99))
    update = await mirror.refresh()
    assert [event.block for event in update.events] == [11]
    assert mirror.history.at(10).classes[1].price == 10
    assert mirror.books.classes[1].price == 99


async def test_a_restart_tells_of_what_the_database_has(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    await Mirror(follow(rpc, store), ESCROW).refresh()
    calls = rpc.calls.get("eth_getLogs")
    update = await Mirror(follow(rpc, store), ESCROW).refresh()
    assert list(update.events) == chain.events()
    assert update.rewound_to is None
    assert rpc.calls.get("eth_getLogs") == calls


async def test_a_reorg_is_told_with_what_came_instead(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    mirror = Mirror(follow(rpc, store), ESCROW)
    await mirror.refresh()
    chain.reorg(2, [price(70)], [price(71)], [price(72)])
    update = await mirror.refresh()
    assert update.rewound_to == 8
    assert [event.event for event in update.events] == [price(70), price(71), price(72)]
    assert mirror.books == fresh(chain)


async def test_a_refresh_that_failed_loses_nothing(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    """Pages before the failure are in the database; the next refresh must tell of them as well."""
    mirror = Mirror(follow(rpc, store), ESCROW)
    await mirror.refresh()
    chain.reorg(2, *[[price(80 + n)] for n in range(9)])
    pages = 0

    def fail_late(method: str) -> None:
        nonlocal pages
        pages += method == "eth_getLogs"
        if pages == 3:
            raise RpcUnavailable("fake://node", "it went away")

    rpc.before_call = fail_late
    with pytest.raises(RpcUnavailable):
        await mirror.refresh()
    rpc.before_call = lambda _: None
    update = await mirror.refresh()
    assert update.rewound_to == 8
    assert [event.event for event in update.events] == [price(80 + n) for n in range(9)]
    assert mirror.books == fresh(chain)


async def test_what_a_failed_refresh_found_and_a_reorg_undid_is_not_told(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    mirror = Mirror(follow(rpc, store), ESCROW)

    def fail_late(method: str) -> None:
        if rpc.calls.get("eth_getLogs", 0) == 3:
            raise RpcUnavailable("fake://node", "it went away")

    rpc.before_call = fail_late
    with pytest.raises(RpcUnavailable):
        await mirror.refresh()
    rpc.before_call = lambda _: None
    chain.reorg(6, *[[price(40 + n)] for n in range(7)])
    update = await mirror.refresh()
    assert list(update.events) == chain.events()
    assert mirror.books == fresh(chain)


async def test_a_poll_by_another_process_is_caught_up_with(
    chain: FakeChain, rpc: FakeRpc, database: str
) -> None:
    stores = [Store.open(database) for _ in range(2)]
    ours, theirs = (Mirror(follow(rpc, store), ESCROW) for store in stores)
    await ours.refresh()
    chain.mine(price(50))
    chain.mine(price(51))
    await theirs.refresh()
    update = await ours.refresh()
    assert [event.event for event in update.events] == [price(50), price(51)]
    assert update.rewound_to is None
    assert ours.books == fresh(chain)
    chain.reorg(3, *[[price(60 + n)] for n in range(5)])
    await theirs.refresh()
    update = await ours.refresh()
    assert update.rewound_to == -1
    assert list(update.events) == chain.events()
    assert ours.books == theirs.books == fresh(chain)
    for store in stores:
        await store.close()


async def test_a_rewind_below_what_was_dropped_reads_the_database(
    chain: FakeChain, rpc: FakeRpc, store: Store
) -> None:
    mirror = Mirror(follow(rpc, store), ESCROW)
    await mirror.refresh()
    mirror.history.drop_before(9)
    chain.reorg(4, *[[price(90 + n)] for n in range(5)])
    update = await mirror.refresh()
    assert update.rewound_to == -1
    assert mirror.books == fresh(chain)


async def test_old_events_leave_memory_and_not_the_database(
    chain: FakeChain, rpc: FakeRpc, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keeper of a long chain kept every event in memory for ever."""
    monkeypatch.setattr(history, "DROPPED_AT_ONCE", 2)
    mirror = Mirror(follow(rpc, store), ESCROW, keep_seconds=3 * BLOCK_SECONDS)
    update = await mirror.refresh()
    assert list(update.events) == chain.events()
    assert mirror.books == fresh(chain)
    kept = mirror.history.events(0, 10)
    assert 0 < len(kept) < len(chain.events())
    assert all(one.timestamp >= update.head.timestamp - 3 * BLOCK_SECONDS for one in kept)
    assert len((await follow(rpc, store).book.events())[1]) == len(chain.events())


async def test_a_reorg_below_what_is_in_memory_reads_the_database_anew(
    chain: FakeChain, rpc: FakeRpc, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "DROPPED_AT_ONCE", 2)
    mirror = Mirror(follow(rpc, store), ESCROW, keep_seconds=3 * BLOCK_SECONDS)
    await mirror.refresh()
    chain.reorg(9, *[[price(50 + number)] for number in range(10)])
    update = await mirror.refresh()
    assert update.rewound_to is not None
    assert mirror.books == fresh(chain)
