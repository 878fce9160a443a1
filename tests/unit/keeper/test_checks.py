"""What `workdeed check` says of the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from workdeed.chain.leases import Lease
from workdeed.chain.store import Store
from workdeed.keeper.checks import _check_database
from workdeed.keeper.settings import KeeperSettings
from workdeed.node.findings import Finding


def settings(database: str, *, standby: bool = False) -> KeeperSettings:
    chain = {"rpc_urls": ["http://127.0.0.1:1"], "chain_id": 1, "deployment": "1.json"}
    return KeeperSettings.model_validate(
        {"chain": chain, "database": database, "lease": {"standby": standby}}
    )


async def found(told: KeeperSettings) -> list[Finding]:
    return [finding async for finding in _check_database(told)]


async def test_a_file_is_made_by_the_start_and_not_by_the_check(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    assert await found(settings(str(path))) == [
        Finding("database", note="SQLite, made at the next start")
    ]
    assert not path.exists()
    await Store.open(str(path)).close()
    (finding,) = await found(settings(str(path)))
    assert finding.ok
    assert "tables of revision" in finding.note


async def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = await found(settings(str(tmp_path / "file" / "keeper.db")))
    assert "choose another folder" in finding.problem


async def test_a_database_that_does_not_answer_is_one_problem() -> None:
    (finding,) = await found(settings("postgresql://keeper:hunter2@127.0.0.1:1/x"))
    assert "start it, or mend `database`" in finding.problem
    assert "hunter2" not in finding.problem


def test_an_empty_database_is_fine(database: str) -> None:
    if "://" not in database:
        Path(database).touch()
    (finding,) = asyncio.run(found(settings(database)))
    assert "its tables are made at the next start" in finding.note


@pytest.mark.postgres
async def test_who_sends_is_told(postgres: str) -> None:
    store = Store.open(postgres)
    async with Lease(store, "sender:1:a", holder="one", ttl=3_600):
        _, lease = await found(settings(postgres))
        assert lease.ok
        assert "held by one" in lease.note
        assert "a second keeper with this key needs lease.standby = true" in lease.note
        _, lease = await found(settings(postgres, standby=True))
        assert "needs" not in lease.note
    _, lease = await found(settings(postgres))
    assert (lease.name, lease.note) == ("lease sender:1:a", "free")
    await store.close()
