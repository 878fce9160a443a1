"""The database: durable, one transaction a unit of work, and never of another schema."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from workdeed.chain import engines
from workdeed.chain.engines import make_engine, parse_url
from workdeed.chain.errors import StoreError, StoreUnavailableError
from workdeed.chain.store import MAX_TRIES, Store
from workdeed.chain.tables import BlockRow


def block(number: int) -> BlockRow:
    return BlockRow(
        chain_id=1,
        number=number,
        hash=bytes(32),
        parent_hash=bytes(32),
        timestamp=number,
        has_logs=False,
    )


async def numbers(store: Store) -> list[int]:
    return await store.transaction(lambda session: list(session.scalars(select(BlockRow.number))))


async def test_what_is_committed_outlasts_the_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/keeper.sqlite"
    store = Store.open(url)
    await store.transaction(lambda session: session.add(block(7)))
    await store.close()
    again = Store.open(url)
    assert await numbers(again) == [7]
    assert again.path == tmp_path / "deep/er/keeper.sqlite"
    await again.close()


async def test_sqlite_is_set_to_keep_what_was_committed(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "a.sqlite"))
    found = await store.transaction(
        lambda session: [
            session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )
    assert found == ["wal", 2, 1]
    await store.close()


async def test_what_raises_is_undone_as_a_whole(database: str) -> None:
    store = Store.open(database)

    def work(session: object) -> None:
        session.add(block(1))  # type: ignore[attr-defined]
        session.flush()  # type: ignore[attr-defined]
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await store.transaction(work)
    assert await numbers(store) == []
    await store.close()


async def test_a_cancelled_caller_leaves_a_whole_transaction(database: str) -> None:
    store = Store.open(database)
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(session: object) -> None:
        loop.call_soon_threadsafe(entered.set)
        for number in range(50):
            session.add(block(number))  # type: ignore[attr-defined]

    task = asyncio.create_task(store.transaction(work))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await numbers(store) == list(range(50))
    await store.close()


async def test_two_processes_see_one_anothers_commits(database: str) -> None:
    one, other = Store.open(database), Store.open(database)
    await one.transaction(lambda session: session.add(block(1)))
    assert await numbers(other) == [1]
    await one.close()
    await other.close()


async def test_a_database_in_memory_works_for_one_process() -> None:
    store = Store.open("sqlite://")
    await store.transaction(lambda session: session.add(block(3)))
    assert await numbers(store) == [3]
    assert store.path is None
    await store.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_text("this is no database, but it is long enough to look like one" * 20)
    with pytest.raises(StoreError, match="cannot be used"):
        Store.open(str(path))


@pytest.mark.parametrize("url", ["postgresql://keeper:hunter2@127.0.0.1:1/x", "no such://url"])
def test_a_bad_url_does_not_show_its_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_no_write_rests_on_what_another_changed_meanwhile(database: str) -> None:
    """Read, then write: what `BEGIN IMMEDIATE` promises on SQLite holds on PostgreSQL too."""
    stores = [Store.open(database) for _ in range(2)]
    await stores[0].transaction(lambda session: session.add(block(1)))

    def count_up(session: Session) -> None:
        row = session.get_one(BlockRow, (1, 1))
        row.timestamp += 1

    await asyncio.gather(*(stores[turn % 2].transaction(count_up) for turn in range(40)))
    row = await stores[0].transaction(lambda session: session.get_one(BlockRow, (1, 1)))
    assert row.timestamp == 41
    for store in stores:
        await store.close()


async def test_nobody_writes_because_a_row_is_missing_that_another_writes(database: str) -> None:
    """Each would add a row if there is none: the other's row, which it cannot see yet, counts."""
    stores = [Store.open(database) for _ in range(2)]

    def add_the_first(number: int) -> Callable[[Session], None]:
        def work(session: Session) -> None:
            if session.scalar(select(func.count(BlockRow.number))) == 0:
                session.add(block(number))

        return work

    await asyncio.gather(*(stores[turn % 2].transaction(add_the_first(turn)) for turn in range(20)))
    assert len(await numbers(stores[0])) == 1
    for store in stores:
        await store.close()


@pytest.mark.postgres
async def test_a_transaction_that_others_never_let_through_is_given_up(postgres: str) -> None:
    store, other = Store.open(postgres), Store.open(postgres)
    await store.transaction(lambda session: session.add(block(1)))
    runs: list[int] = []

    def lose(session: Session) -> None:
        row = session.get_one(BlockRow, (1, 1))
        runs.append(row.timestamp)
        other._run(overtake)
        row.timestamp = 0

    def overtake(session: Session) -> None:
        session.get_one(BlockRow, (1, 1)).timestamp += 1

    with pytest.raises(StoreUnavailableError, match="others wrote the same rows"):
        await store.transaction(lose)
    assert runs == list(range(1, MAX_TRIES + 1))
    for one in (store, other):
        await one.close()


@pytest.mark.postgres
async def test_what_postgresql_committed_outlasts_a_loss_of_power(postgres: str) -> None:
    """Even where its owner traded that for speed."""
    engine = make_engine(parse_url(postgres + "%20-csynchronous_commit%3Doff"))
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"


async def test_a_fault_of_the_program_is_no_outage(database: str) -> None:
    """Waiting would not mend it: it is not told as a database that does not answer."""
    store = Store.open(database)
    await store.transaction(lambda session: session.add(block(1)))
    with pytest.raises(IntegrityError):
        await store.transaction(lambda session: session.add(block(1)))
    await store.close()


async def test_a_locked_file_is_told_as_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.05)
    store = Store.open(str(tmp_path / "a.sqlite"))
    with sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="database is locked"):
            await numbers(store)
        other.execute("ROLLBACK")
    other.close()
    assert await numbers(store) == []
    await store.close()
