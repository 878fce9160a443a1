"""Looks at a database before anything is opened, and changes nothing in it."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from workdeed.chain.engines import make_engine, parse_url, refusal
from workdeed.chain.errors import StoreError
from workdeed.chain.leases import LeaseState, lease_states
from workdeed.chain.migrations import known_revisions, revision_of
from workdeed.chain.tables import LeaseRow


@dataclass(frozen=True, slots=True)
class Survey:
    """A database as it was found.

    Attributes:
        product: which one it is, with its version.
        revision: the revision of its tables, None without any.
        leases: who reads and sends; empty where the database is not shared.

    """

    product: str
    revision: str | None
    leases: tuple[LeaseState, ...] = ()

    @property
    def is_behind(self) -> bool:
        """Whether the next start will change its tables."""
        return self.revision != known_revisions()[0]


def missing_file(url: str) -> Path | None:
    """Return the SQLite file that the next start will make, None if it is there or not a file.

    Raises:
        StoreError: if the URL is malformed.

    """
    parsed = parse_url(url)
    name = parsed.database
    if parsed.get_backend_name() != "sqlite" or name in (None, "", ":memory:"):
        return None
    path = Path(str(name))
    return None if path.exists() else path


def survey(url: str) -> Survey:
    """Look at a database; an SQLite file has to exist.

    Raises:
        StoreError: with the remedy, if a keeper could not use it.

    """
    parsed = parse_url(url)
    engine = make_engine(parsed)
    try:
        with engine.connect() as connection:
            found = _look(connection)
            if engine.dialect.name == "postgresql":
                _check_rights(connection, found)
            return found
    except SQLAlchemyError as error:
        raise refusal(error, parsed) from None
    finally:
        engine.dispose()


def _look(connection: Connection) -> Survey:
    dialect = connection.dialect
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[dialect.name]
    version = ".".join(str(part) for part in dialect.server_version_info or ())
    leases: tuple[LeaseState, ...] = ()
    if dialect.name == "postgresql" and inspect(connection).has_table(LeaseRow.__tablename__):
        with Session(connection) as session:
            leases = tuple(lease_states(session))
    return Survey(f"{name} {version}".strip(), revision_of(connection), leases)


def _check_rights(connection: Connection, found: Survey) -> None:
    """Refuse a server on which a keeper could not write."""
    if connection.scalar(text("SELECT pg_is_in_recovery()")):
        raise StoreError("database: this server is a replica; name the primary in `database`")
    user = connection.scalar(text("SELECT current_user"))
    schema = connection.scalar(text("SELECT current_schema()"))
    if schema is None:
        raise StoreError(
            f"database: no schema of {user}'s search_path exists; make it, or correct the path"
        )
    may_create = text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
    if found.is_behind and not connection.scalar(may_create):
        raise StoreError(
            f"database: {user} may make no tables; as its owner say"
            f' GRANT CREATE ON SCHEMA "{schema}" TO "{user}"'
        )
