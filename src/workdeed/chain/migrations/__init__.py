"""The history of the tables, and what brings a database to its end.

A revision, once released, is never changed. `python -m scripts.new_revision "What changes"` writes
the next one from the difference between `tables` and the last.
"""

import threading
from functools import cache
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from workdeed.chain.errors import StoreError
from workdeed.chain.tables import SchemaRow

FIRST: Final = "0001"
"""The revision of databases from before migrations."""

OLD_VERSION: Final = 1
"""The version number that those databases hold."""

_LOCK_KEY: Final = int.from_bytes(b"workdeed", "big")
# Alembic keeps the migration under way in globals of its modules.
_turn = threading.Lock()


def configuration() -> Config:
    """Return Alembic's configuration for these migrations."""
    config = Config()
    config.set_main_option("script_location", "workdeed.chain:migrations")
    config.set_main_option("path_separator", "os")
    return config


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the revisions that this program knows, the newest first."""
    scripts = ScriptDirectory.from_config(configuration())
    return tuple(script.revision for script in scripts.walk_revisions())


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database, None for one without tables.

    Raises:
        StoreError: if a program that is newer than this one made it.

    """
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        return _unversioned(connection)
    if found not in known_revisions():
        raise StoreError(
            f"database: its tables have revision {found}, this program knows those up to"
            f" {known_revisions()[0]}; update this program, or name another database"
        )
    return found


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest revision, as part of the connection's transaction.

    Whoever else upgrades the same database meanwhile waits, and then finds nothing left to do.

    Raises:
        StoreError: as `revision_of`.

    """
    with _turn:
        if connection.dialect.name == "postgresql":  # on SQLite the transaction is the lock
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        found = revision_of(connection)
        if found == known_revisions()[0]:
            return
        config = configuration()
        config.attributes["connection"] = connection
        if found == FIRST:
            command.stamp(config, FIRST)
        command.upgrade(config, "head")


def _unversioned(connection: Connection) -> str | None:
    """Return the first revision if a program from before migrations made the tables."""
    if not inspect(connection).has_table(SchemaRow.__tablename__):
        return None
    version = connection.scalar(select(SchemaRow.version))
    if version not in (None, OLD_VERSION):
        raise StoreError(
            f"database: its schema has version {version}, which no program of this kind wrote;"
            " name another database"
        )
    return FIRST
