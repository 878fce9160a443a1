"""The database: durable, one transaction a unit of work, and never of another schema."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, text

from workdeed.chain.errors import StoreError
from workdeed.chain.store import Store
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
    with pytest.raises(StoreError, match="cannot open"):
        Store.open(str(path))


@pytest.mark.parametrize("url", ["postgresql://keeper:hunter2@127.0.0.1:1/x", "no such://url"])
def test_a_bad_url_does_not_show_its_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
