"""Migrations: they end at the models, take over what older programs made, and never go back."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, select, text

from workdeed.chain.engines import make_engine, parse_url
from workdeed.chain.errors import StoreError
from workdeed.chain.migrations import known_revisions, revision_of
from workdeed.chain.store import Store
from workdeed.chain.tables import Base, BlockRow, EffectRow

OLD_SCHEMA = Path(__file__).parent / "schema_before_migrations.sql"
OLD_ROWS = """
INSERT INTO "cursor" VALUES (1, x'{hash}', 7, x'{hash}', 3);
INSERT INTO blocks VALUES (1, 7, x'{hash}', x'{hash}', 1700000000, 1);
INSERT INTO outbox VALUES
    (5, 1, '0xB0', 'pay', '0xC0', x'01', '9', '["later"]', 'signed', 4, NULL, NULL, '');
INSERT INTO outbox_attempts VALUES (x'{hash}', 5, x'02', 4, 21000, '7', '1', 6, 1);
""".format(hash="ab" * 32)


@pytest.fixture
def engine(database: str) -> Engine:
    return make_engine(parse_url(database))


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A database with rows, made before there were migrations."""
    path = tmp_path / "old.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(OLD_SCHEMA.read_text() + OLD_ROWS)
    connection.close()
    return str(path)


def opened(database: str) -> None:
    """Open a database, which migrates it, and close it."""
    asyncio.run(Store.open(database).close())


def differences(engine: Engine) -> list[object]:
    """Return in what the tables differ from the models."""
    options = {"compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)


def test_the_migrations_end_at_the_models(database: str, engine: Engine) -> None:
    opened(database)
    assert differences(engine) == []


def test_a_difference_between_tables_and_models_would_be_found(
    database: str, engine: Engine
) -> None:
    opened(database)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_outbox_state"))
        connection.execute(text("ALTER TABLE blocks ADD COLUMN gas_used BIGINT"))
    assert {found[0] for found in differences(engine)} == {"add_index", "remove_column"}


def test_opening_again_changes_nothing(database: str, engine: Engine) -> None:
    for _ in range(2):
        opened(database)
        with engine.connect() as connection:
            assert revision_of(connection) == known_revisions()[0]
            assert connection.execute(text("SELECT id, version FROM schema_version")).all() == [
                (1, 2)
            ]


async def test_a_database_from_before_migrations_keeps_its_rows(old: str) -> None:
    store = Store.open(old)
    block = await store.transaction(lambda session: session.scalar(select(BlockRow)))
    effect = await store.transaction(lambda session: session.scalar(select(EffectRow)))
    assert block is not None
    assert effect is not None
    assert (block.number, block.timestamp, block.hash) == (7, 1_700_000_000, b"\xab" * 32)
    assert (effect.key, effect.transient, effect.nonce) == ("pay", ["later"], 4)
    await store.close()
    engine = make_engine(parse_url(old))
    assert differences(engine) == []
    with engine.connect() as connection:
        assert inspect(connection).has_table("leases")


def test_programs_from_before_migrations_refuse_a_migrated_database(old: str) -> None:
    """They know of no lease: two of them would send from one account."""
    opened(old)
    connection = sqlite3.connect(old)
    (version,) = connection.execute("SELECT version FROM schema_version").fetchone()
    connection.close()
    assert version != 1


def test_a_start_that_was_killed_before_it_wrote_its_version_is_taken_over(old: str) -> None:
    connection = sqlite3.connect(old)
    connection.execute("DELETE FROM schema_version")
    connection.commit()
    connection.close()
    opened(old)
    assert differences(make_engine(parse_url(old))) == []


def test_a_database_of_a_newer_program_is_refused(database: str, engine: Engine) -> None:
    opened(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"revision 9999.*update this program"):
        Store.open(database)


def test_an_unknown_version_from_before_migrations_is_refused(old: str) -> None:
    connection = sqlite3.connect(old)
    connection.execute("UPDATE schema_version SET version = 7")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="version 7"):
        Store.open(old)


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    database: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Operations.create_table  # type: ignore[attr-defined] # added by Alembic when it loads

    def fail(self: Operations, name: str, *columns: object, **options: object) -> object:
        if name == "leases":
            raise OSError("the disk is full")
        return make(self, name, *columns, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Operations, "create_table", fail)
        with pytest.raises(StoreError, match="cannot be used"):
            Store.open(database)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    opened(database)
    assert differences(engine) == []


async def test_many_that_open_a_new_database_at_once_make_it_once(database: str) -> None:
    stores = await asyncio.gather(*(asyncio.to_thread(Store.open, database) for _ in range(6)))
    for store in stores:
        await store.close()
    assert differences(make_engine(parse_url(database))) == []


async def test_a_look_at_a_database_leaves_it_as_it_is(database: str, engine: Engine) -> None:
    await Store.open(database, as_it_is=True).close()
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    await Store.open(database).close()
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="revision 9999"):
        Store.open(database, as_it_is=True)
