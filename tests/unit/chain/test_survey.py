"""The look at a database before a start: what is there, what is to mend, and nothing changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect, text

from tests.postgres import PostgresServer
from workdeed.chain.engines import make_engine, parse_url
from workdeed.chain.errors import StoreError
from workdeed.chain.leases import Lease
from workdeed.chain.migrations import known_revisions
from workdeed.chain.store import Store
from workdeed.chain.survey import missing_file, survey

NEWEST = known_revisions()[0]


async def made(database: str) -> None:
    await Store.open(database).close()


def tables(database: str) -> list[str]:
    engine = make_engine(parse_url(database))
    with engine.connect() as connection:
        return inspect(connection).get_table_names()


def test_a_file_that_is_missing_is_named_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keeper.db"
    assert missing_file(str(path)) == path
    assert missing_file("sqlite://") is None
    assert not path.parent.exists()
    asyncio.run(made(str(path)))
    assert missing_file(str(path)) is None


def test_the_tables_revision_is_told_and_none_is_made(database: str) -> None:
    if "://" not in database:
        Path(database).touch()
    found = survey(database)
    assert (found.revision, found.is_behind, found.leases) == (None, True, ())
    assert tables(database) == []
    asyncio.run(made(database))
    found = survey(database)
    assert (found.revision, found.is_behind) == (NEWEST, False)
    assert found.product.split()[0] in ("SQLite", "PostgreSQL")
    assert found.product.split()[1][0].isdigit()


def test_a_newer_database_is_a_problem(database: str) -> None:
    asyncio.run(made(database))
    engine = make_engine(parse_url(database))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="update this program"):
        survey(database)


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_text("this is no database, but it is long enough to look like one" * 20)
    with pytest.raises(StoreError, match=r"cannot be used \(file is not a database\)"):
        survey(str(path))


@pytest.mark.parametrize(
    "url", ["mysql://keeper@db/x", "no such://url", "postgresql+asyncpg://keeper@db/x"]
)
def test_other_databases_are_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(StoreError, match="write sqlite:///path"):
        survey(url)


def test_a_server_that_is_down_is_a_problem_without_its_password() -> None:
    with pytest.raises(StoreError, match="cannot be used") as caught:
        survey("postgresql://keeper:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.postgres
async def test_leases_are_told(postgres: str) -> None:
    store = Store.open(postgres)
    async with Lease(store, "sender:1:a", holder="one", ttl=3_600):
        (lease,) = survey(postgres).leases
        assert (lease.holder, lease.token, lease.is_free) == ("one", 1, False)
        assert 0 < lease.seconds <= 3_600
    (lease,) = survey(postgres).leases
    assert lease.is_free
    await store.close()


@pytest.mark.postgres
def test_a_user_that_may_make_no_tables_is_a_problem(
    postgres_server: PostgresServer, postgres: str
) -> None:
    """From PostgreSQL 15 on nobody but its owner may, in the schema `public`."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        (schema,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
        connection.execute(f"CREATE ROLE guest_{schema} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO guest_{schema}")
    url = postgres.replace("//keeper@", f"//guest_{schema}@")
    with pytest.raises(StoreError, match=f'GRANT CREATE ON SCHEMA "{schema}" TO "guest_{schema}"'):
        survey(url)
    with pytest.raises(StoreError, match="cannot be used"):
        Store.open(url)


@pytest.mark.postgres
def test_a_search_path_without_a_schema_is_a_problem(postgres: str) -> None:
    with pytest.raises(StoreError, match="search_path"):
        survey(postgres.rpartition("%3D")[0] + "%3Dnowhere")
