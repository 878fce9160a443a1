"""Which errors are those of a database or a disk."""

from __future__ import annotations

import errno
import math
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from workdeed.chain.errors import StoreError
from workdeed.keeper.storage import free_bytes, storage_kind


def raised_from(outer: Exception, inner: Exception) -> Exception:
    try:
        raise outer from inner
    except Exception as error:
        return error


FULL = OSError(errno.ENOSPC, "no space left on device")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FULL, "disk"),
        (OSError(errno.EROFS, "read-only file system"), "disk"),
        (raised_from(RuntimeError("journal: it can't be written"), FULL), "disk"),
        (sqlite3.OperationalError("database or disk is full"), "database"),
        (raised_from(RuntimeError("store"), sqlite3.DatabaseError("malformed")), "database"),
        (OperationalError("SELECT 1", {}, Exception()), "database"),
        (StoreError("database: it does not answer"), "database"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), None),
        (TimeoutError("no answer in time"), None),
        (OSError("an error without a number"), None),
        (ValueError("broken"), None),
    ],
)
def test_storage_kind(error: Exception, kind: str | None) -> None:
    assert storage_kind(error) == kind


def test_the_room_that_is_left(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    assert math.isnan(free_bytes(tmp_path / "gone"))
