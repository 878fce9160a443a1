"""Files and folders of services beside their trees: volumes, and what they hand on to others.

Below the folder: `kept/<job>/<name>` for volumes that stay as long as the job stays on the node,
`files/<task>` for files that the spec itself holds, `exports/<task>` for values that a service
hands on.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

import structlog

from workdeed.intent import FileVolume, FixedVolume, Service
from workdeed.node.drivers.base import Bind, TaskKey
from workdeed.node.files import (
    private_directory,
    remove_tree,
    told_in_mb,
    tree_bytes,
    write_atomic,
)

_log = structlog.get_logger(__name__)

EXPORTS: Final = "/run/workdeed/exports"
"""Where a service finds the folder inside into which it puts values for others."""

MAX_VALUE_BYTES: Final = 4_096
_MB: Final = 1_000_000
_OPEN: Final = 0o777
_READ_ONLY: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Volumes:
    """Makes, measures and removes them."""

    def __init__(self, directory: Path) -> None:
        """Keep all below `directory`."""
        self._kept = private_directory(directory / "kept")
        self._files = private_directory(directory / "files")
        self._exports = private_directory(directory / "exports")

    def binds(self, key: TaskKey, service: Service) -> tuple[Bind, ...]:
        """Make what `service` needs and return how its task sees it.

        Folders may be written by everybody, as an image's user is any number; the folders above
        them are the agent's alone.
        """
        binds = [Bind(self._open_folder(self._exports / key.name), EXPORTS)]
        for number, volume in enumerate(service.volumes):
            if isinstance(volume, FileVolume):
                path = private_directory(self._files / key.name) / str(number)
                # Replaced, not written: an earlier start left it read-only.
                write_atomic(path, volume.content.encode())
                path.chmod(0o555 if volume.executable else 0o444)
                binds.append(Bind(path, volume.path, read_only=True))
            else:
                folder = private_directory(self._kept / _job(key)) / volume.name
                binds.append(Bind(self._open_folder(folder), volume.path))
        return tuple(binds)

    def exported(self, key: TaskKey, value: str) -> str | None:
        """Return what the service of `key` hands on as `value`, None while it does not.

        A link is not followed: it would be read with the agent's rights. Nor is a pipe waited for.
        """
        try:
            descriptor = os.open(self._exports / key.name / value, _READ_ONLY)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            data = os.read(descriptor, MAX_VALUE_BYTES + 1)
        finally:
            os.close(descriptor)
        # No variable can hold a NUL, and whatever ends texts by one would read it as the next text.
        if len(data) > MAX_VALUE_BYTES or b"\0" in data:
            return None
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode().rstrip("\n")
        return None

    def forget_exports(self, key: TaskKey) -> None:
        """Drop what an earlier life of the service handed on, as far as it can be removed."""
        _try_to_remove(self._exports / key.name)

    async def excess(self, key: TaskKey, service: Service) -> str:
        """Return which fixed volume of `service` holds more than it may, "" if none does."""
        for volume in service.volumes:
            if isinstance(volume, FixedVolume):
                folder = self._kept / _job(key) / volume.name
                used = await asyncio.to_thread(tree_bytes, folder)
                if used // _MB > volume.size_mb:
                    held = told_in_mb(used)
                    return f"volume {volume.name} holds {held} and may hold {volume.size_mb}"
        return ""

    async def kept_bytes(self, key: TaskKey) -> int:
        """Return what all volumes of the job hold."""
        return await asyncio.to_thread(tree_bytes, self._kept / _job(key))

    async def task_bytes(self, key: TaskKey) -> int:
        """Return what the folder holds in which a service hands values on."""
        return await asyncio.to_thread(tree_bytes, self._exports / key.name)

    async def discard(self, key: TaskKey) -> None:
        """Remove what belongs to one service of one revision."""
        for folder in (self._files, self._exports):
            await asyncio.to_thread(_remove, folder / key.name)

    async def discard_job(self, key: TaskKey) -> None:
        """Remove the volumes of the job of `key`."""
        await asyncio.to_thread(_remove, self._kept / _job(key))

    async def sweep(self, keep: Collection[TaskKey]) -> None:
        """Remove all but what belongs to `keep`, as far as it can be removed."""
        tasks, jobs = {key.name for key in keep}, {_job(key) for key in keep}
        for folder, names in ((self._files, tasks), (self._exports, tasks), (self._kept, jobs)):
            for path in folder.iterdir():
                if path.name not in names:
                    await asyncio.to_thread(_try_to_remove, path)

    @staticmethod
    def _open_folder(path: Path) -> Path:
        path.mkdir(exist_ok=True)
        found = path.stat()
        # An image may have taken it for one of its users: then it is not the agent's to open.
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & _OPEN != _OPEN:
            path.chmod(_OPEN)
        return path


def _job(key: TaskKey) -> str:
    return f"{key.escrow.lower().removeprefix('0x')}-{key.job_id}"


def _try_to_remove(path: Path) -> None:
    """Remove a folder or say why it stays, as what a container's users wrote may."""
    try:
        _remove(path)
    except OSError as error:
        _log.warning("volumes: a folder can't be removed", path=str(path), error=str(error))


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        remove_tree(path)
