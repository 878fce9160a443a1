"""Tells errors of databases and disks from others, and how much room is left."""

import errno
import math
import shutil
import sqlite3
from pathlib import Path
from typing import Final, Literal

from sqlalchemy.exc import SQLAlchemyError

from workdeed.chain.errors import StoreError

StorageKind = Literal["database", "disk"]

_DISK: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENOENT}
)
"""What a file system says if it is full, broken, or not the one that was there at the start."""


def storage_kind(error: BaseException) -> StorageKind | None:
    """Return where an error came from, None if neither the database nor the disk is at fault.

    What another error was raised from counts as well: journals and stores wrap theirs.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, SQLAlchemyError | StoreError | sqlite3.Error):
            return "database"
        # Failed connections are OSErrors, too.
        if isinstance(found, OSError) and found.errno in _DISK:
            return "disk"
        found = found.__cause__
    return None


def free_bytes(folder: Path) -> float:
    """Return the bytes that are free on the disk of a folder, NaN if that cannot be told."""
    try:
        return float(shutil.disk_usage(folder).free)
    except OSError:
        return math.nan
