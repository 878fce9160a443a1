"""Files that survive a crash: written whole or not at all, readable by the agent's user alone."""

import contextlib
import fcntl
import json
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from workdeed.node.errors import StateError

DEEPEST: Final = 128
"""Levels of folders that are counted; one descriptor is held for each."""

UNCOUNTABLE: Final = 10**15
"""What a tree counts that can't be counted: more than any node offers."""

_LOOK_INTO: Final = stat.S_IRUSR | stat.S_IXUSR
_MB: Final = 1_000_000
_BLOCK_BYTES: Final = 512
_LEAST_BYTES: Final = 4_096
_TRIES: Final = 5

_COUNTS: Final = threading.BoundedSemaphore(4)
"""Keeps the descriptors of all counts together below what a process may have."""

_MOVED_UP: Final = 16
"""Levels of folders from which on they are moved up to be removed; no count bounds those."""


def private_directory(path: Path) -> Path:
    """Create `path` (mode 0700) with its parents where it is missing, and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data` (mode 0600), durably: a crash leaves the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    write_atomic(path, json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def read_json(path: Path) -> Any:
    """Return the JSON in `path`, None where there is no such file.

    Raises:
        StateError: if the file is damaged.

    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StateError(f"state_dir: {path.name} is damaged ({error}); remove it") from error


def held_bytes(found: os.stat_result) -> int:
    """Return what one entry of a folder takes: its length or its blocks, whichever is more.

    Blocks may be had beyond the length. An empty entry takes an inode, of which a disk has as many
    as it was made with, so it counts too.
    """
    return max(found.st_size, found.st_blocks * _BLOCK_BYTES, _LEAST_BYTES)


def tree_bytes(path: Path) -> int:
    """Return what all below the folder `path` takes; what vanishes meanwhile counts as nothing.

    A task that takes the rights off its folders hides nothing by it: those of the agent's own user
    get them back. What another user holds closed, as a container's may, can't be counted. What a
    task keeps from being counted, by depth or by closing it over and over, counts as `UNCOUNTABLE`.
    """
    with _COUNTS:
        return _Count().run(path)


def told_in_mb(size: int) -> str:
    """Return for people what `tree_bytes` counted."""
    if size < UNCOUNTABLE:
        return f"{size // _MB} MB"
    return f"more than can be counted: folders over {DEEPEST} levels deep, or kept closed"


def remove_tree(path: Path) -> None:
    """Remove a folder that a task wrote, however deep, folders without rights included.

    Raises:
        OSError: if something stays, as what belongs to another user may; all else is gone.

    """
    _Removal().run(path)
    path.rmdir()


@dataclass(slots=True)
class _Level:
    """An open folder on the way down, and those of its folders that are not done."""

    name: str
    descriptor: int
    folders: list[str]


class _Levels(list[_Level]):
    """The open folders from the root of a walk down to where it is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self:
            self.leave()

    def leave(self) -> str:
        """Close the last folder and return its name."""
        level = self.pop()
        os.close(level.descriptor)
        return level.name


class _Count:
    """Adds up a tree."""

    def __init__(self) -> None:
        self._levels = _Levels()

    def run(self, path: Path) -> int:
        with self._levels as levels:
            total = self._enter(str(path), None)
            while levels and total < UNCOUNTABLE:
                if levels[-1].folders:
                    total += self._enter(levels[-1].folders.pop(), levels[-1].descriptor)
                else:
                    levels.leave()
        return min(total, UNCOUNTABLE)

    def _enter(self, name: str, within: int | None) -> int:
        """Go down into a folder and return what its entries take."""
        if len(self._levels) == DEEPEST:
            return UNCOUNTABLE
        for _ in range(_TRIES):
            try:
                return self._read(name, within)
            except (FileNotFoundError, NotADirectoryError):
                return 0
            except PermissionError:
                # Closed between two of these lines, it or the one above, if it is not another's.
                if within is not None:
                    _allow(within, _LOOK_INTO)
        return UNCOUNTABLE if _is_own(name, within) else 0

    def _read(self, name: str, within: int | None) -> int:
        descriptor = _open_folder(name, within, _LOOK_INTO)
        try:
            total, folders = _measure(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._levels.append(_Level(name, descriptor, folders))
        return total


class _Removal:
    """Empties a folder.

    What lies too deep is moved up into that folder first: so no walk holds many descriptors.
    """

    def __init__(self) -> None:
        self._levels = _Levels()
        self._error: OSError | None = None

    def run(self, path: Path) -> None:
        with self._levels as levels:
            self._enter(str(path), None)
            while levels:
                if levels[-1].folders:
                    with self._going_on():
                        self._go_down(levels[-1].folders.pop())
                    continue
                name = levels.leave()
                if levels:
                    with self._going_on():
                        os.rmdir(name, dir_fd=levels[-1].descriptor)
        if self._error is not None:
            raise self._error

    def _go_down(self, name: str) -> None:
        root, last = self._levels[0], self._levels[-1]
        if len(self._levels) < _MOVED_UP:
            self._enter(name, last.descriptor)
            return
        # Who moves a folder needs the right to write into it: its way up changes.
        os.close(_open_folder(name, last.descriptor, stat.S_IRWXU))
        moved = secrets.token_hex(8)
        os.rename(name, moved, src_dir_fd=last.descriptor, dst_dir_fd=root.descriptor)
        root.folders.append(moved)

    def _enter(self, name: str, within: int | None) -> None:
        """Go down into a folder and remove its files."""
        descriptor = _open_folder(name, within, stat.S_IRWXU)
        level = _Level(name, descriptor, [])
        self._levels.append(level)
        files: list[str] = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                kind = level.folders if entry.is_dir(follow_symlinks=False) else files
                kind.append(entry.name)
        for file in files:
            with self._going_on():
                os.unlink(file, dir_fd=descriptor)

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """Go on with the rest whatever can't be removed, and keep the first reason."""
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            self._error = self._error or error


def _open_folder(name: str, within: int | None, rights: int) -> int:
    """Open a folder in the open one `within`; if it is the agent's own, with these rights.

    Nothing that a task puts a link to in its place is opened or changed.
    """
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        _allow(place, rights)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=place)
    finally:
        os.close(place)


def _allow(descriptor: int, rights: int) -> None:
    found = os.fstat(descriptor)
    if found.st_mode & rights != rights and found.st_uid == os.geteuid():
        Path(f"/proc/self/fd/{descriptor}").chmod(stat.S_IMODE(found.st_mode) | rights)


def _is_own(name: str, within: int | None) -> bool:
    """Tell whether a closed folder is the agent's, or where that can't be seen, the one above."""
    try:
        found = os.stat(name, dir_fd=within, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except PermissionError:
        return within is not None and os.fstat(within).st_uid == os.geteuid()
    return found.st_uid == os.geteuid()


def _measure(descriptor: int) -> tuple[int, list[str]]:
    """Return what the entries of an open folder take, and which of them are folders."""
    total, folders = 0, []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            total += held_bytes(found)
            if stat.S_ISDIR(found.st_mode):
                folders.append(entry.name)
    return total, folders


class StateLock:
    """Holds a state directory for one process; the kernel frees it when the process ends."""

    def __init__(self, directory: Path) -> None:
        """Take the lock of `directory`.

        Raises:
            StateError: if another process holds it.

        """
        self._descriptor = os.open(directory / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise StateError(
                "state_dir: another agent uses it; stop that one or give this one its own"
            ) from error

    def release(self) -> None:
        """Give the directory back."""
        # A child that has not executed its program yet holds the descriptor too.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
