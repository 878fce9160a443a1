"""A PostgreSQL server of a world's own, which may end at any moment."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import postgres

MISSING = "PostgreSQL's server is missing; install the package postgresql"


class FailingServer(postgres.PostgresServer):
    """A server that can be made to fail."""

    def fail(self) -> None:
        """End it without a last checkpoint: the next start has to recover."""
        assert self._process is not None
        # Not to the process itself where `runuser` stands before it: to the server.
        pid = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        self._process.wait(postgres.START_SECONDS)
        self._process = None


def missing() -> str:
    """Say in one sentence that there is no PostgreSQL; "" if there is."""
    return "" if postgres._binaries() else MISSING


@contextmanager
def open_server() -> Iterator[FailingServer]:
    """Run a server, in a folder that goes with it."""
    binaries = postgres._binaries()
    assert binaries is not None, MISSING
    # Not below the campaign's folder: only its owner may enter that, and a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="workdeed-pg-") as folder:
        server = FailingServer(binaries, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
