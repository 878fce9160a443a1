"""A PostgreSQL server of the tests' own: in a folder of its own, behind a socket that only it has.

It is started and ended by process id, and serves any number of tests.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

START_SECONDS = 60.0
DEBIAN = Path("/usr/lib/postgresql")
# `fsync` stays on: a signing journal asks for it.
OPTIONS = ("full_page_writes=off", "listen_addresses=", "max_connections=50")


class PostgresServer:
    """A server that a test may stop and start; a replica if it is to follow another."""

    def __init__(self, binaries: Path, folder: Path, follows: PostgresServer | None = None) -> None:
        self._binaries = binaries
        self._folder = folder
        self._user = _unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        if follows is None:
            command: tuple[str, ...] = ("initdb", "--auth=trust", "--username=keeper", "--no-sync")
        else:
            command = ("pg_basebackup", "-R", "--checkpoint=fast", "--no-sync", "-d", follows._dsn)
        self._as_user(*command, "-D", self._data)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    @property
    def _dsn(self) -> str:
        return f"host={self._folder} user=keeper dbname=postgres"

    @property
    def _url(self) -> str:
        return f"postgresql://keeper@/postgres?host={self._folder}"

    def new_database(self) -> str:
        """Return the address of what is an empty database to whoever opens it.

        It is a schema of its own: a hundred times cheaper to make and to drop.
        """
        self._count += 1
        name = f"test{self._count}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self._url}&options=-csearch_path%3D{name}"

    @contextmanager
    def promoted_copy(self, database: str) -> Iterator[str]:
        """Let a copy of this server follow it and then become a primary of its own.

        Yields the address that a database of this server has there.
        """
        with tempfile.TemporaryDirectory(prefix="workdeed-pg-") as folder:
            copy = PostgresServer(self._binaries, Path(folder), follows=self)
            copy.start()
            try:
                with psycopg.connect(copy._dsn, autocommit=True) as connection:
                    connection.execute("SELECT pg_promote()")
                yield database.replace(str(self._folder), folder)
            finally:
                copy.stop()

    def start(self, *options: str) -> None:
        """Start it, with more options, and wait until it answers."""
        settings = [word for option in (*OPTIONS, *options) for word in ("-c", option)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", self._data, "-k", str(self._folder), *settings),
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self._url).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()}")

    def stop(self) -> None:
        """End it at once, whoever is connected; what was committed stays."""
        if self._process is not None:
            # Not to the process itself where `runuser` stands before it: to the server.
            pid = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGINT)
            self._process.wait(START_SECONDS)
            self._process = None

    def _as_user(self, program: str, *arguments: str) -> None:
        subprocess.run(self._command(program, *arguments), check=True, capture_output=True)

    def _command(self, program: str, *arguments: str) -> list[str]:
        """Return a command line; the server refuses to run as root."""
        command = [str(self._binaries / program), *arguments]
        return (
            command if self._user is None else ["runuser", "-u", self._user.pw_name, "--", *command]
        )


def _unprivileged() -> pwd.struct_passwd | None:
    """Return the account to run as, None for the present one."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _binaries() -> Path | None:
    """Return the folder of the newest server that is installed."""
    versions = [path for path in DEBIAN.glob("*/bin") if (path / "initdb").exists()]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server; ended with the session."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's server is missing; install the package postgresql")
    # Not below pytest's folder: only its owner may enter that, and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="workdeed-pg-") as folder:
        server = PostgresServer(binaries, Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """The address of an empty database on PostgreSQL."""
    return postgres_server.new_database()


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Make an empty database at each call, and return its address; of each kind in turn."""
    if request.param == "sqlite":
        return lambda: str(tmp_path_factory.mktemp("database") / "test.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database


@pytest.fixture
def database(databases: Callable[[], str]) -> str:
    """The address of an empty database, of each kind in turn."""
    return databases()
