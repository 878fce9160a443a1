"""Files that survive a crash: written whole or not at all, readable by the agent's user alone."""

import contextlib
import fcntl
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Final

from workdeed.node.errors import StateError

_LOOK_INTO: Final = stat.S_IRUSR | stat.S_IXUSR


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


def tree_bytes(path: Path) -> int:
    """Return the size of all files below `path`; what vanishes meanwhile counts as nothing.

    A task that takes the rights off its folders hides nothing by it: those of the agent's own user
    get them back. What another user holds closed, as a container's may, can't be counted.
    """
    total, folders = 0, [path]
    while folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            folder = folders.pop()
            _make_readable(folder)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    else:
                        total += _size(entry)
    return total


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _make_readable(folder: Path) -> None:
    found = folder.lstat()
    if found.st_mode & _LOOK_INTO != _LOOK_INTO and found.st_uid == os.geteuid():
        _allow(folder, stat.S_IMODE(found.st_mode) | _LOOK_INTO)


def _allow(folder: Path, mode: int) -> None:
    """Change the mode of a folder, and of nothing that a task puts a link to in its place."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a folder that a task wrote, folders without write permission included."""
    with contextlib.suppress(PermissionError):  # another user's, as a container's may be
        _allow(path, 0o700)
    for parent, folders, _ in os.walk(path):
        for folder in folders:
            place = Path(parent, folder)
            if not place.is_symlink():
                _allow(place, 0o700)
    shutil.rmtree(path)


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
        os.close(self._descriptor)
