"""Where inside of a sandbox files and folders of the host are shown.

bubblewrap makes the file or folder that something is mounted on, and follows links on its way
there, with the agent's rights and while it still sees all of the host. So no link of a task's own
may lie on that way.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from workdeed.node.drivers.base import Bind
from workdeed.node.errors import DriverError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OWN_FOLDER: Final = _FOLDER | os.O_NOFOLLOW


class MountPoints:
    """Gives bubblewrap's options for what one task is shown, in the order of the mounts."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Take the `folders` that the task can write, by their places inside."""
        self._folders = folders
        self._read_only: list[str] = []
        self._volumes: list[str] = []
        self._pinned: set[str] = set()

    def read_only(self, path: Path) -> list[str]:
        """Return the options that show `path` at the same place.

        Raises:
            DriverError: if a link of the task's own leads there.

        """
        place = str(path)
        options = [*self._pins("read_only", place), "--ro-bind", place, place]
        self._read_only.append(place)
        return options

    def volume(self, bind: Bind) -> list[str]:
        """Return the options that show `bind`.

        Raises:
            DriverError: if a link of the task's own leads there, or it lies inside another volume,
                where another task can put a link at any time.

        """
        target = bind.target
        for other in self._volumes:
            if _inside(target, other):
                raise DriverError(
                    f"volumes: {target} lies inside of {other}; give it a place of its own"
                )
        how = "--ro-bind" if bind.read_only else "--bind"
        options = [*self._pins("volumes", target), how, str(bind.source), target]
        self._volumes.append(target)
        return options

    def _pins(self, field: str, target: str) -> Iterator[str]:
        """Mount each folder on the way to `target` on itself.

        A task can neither move nor replace what is mounted on. A command that runs beside it, over
        the same tree, so finds the way as it is now.
        """
        if any(_inside(target, one) for one in self._read_only):
            return
        around = [one for one in self._folders if _inside(target, one)]
        if not around:
            return
        top = max(around, key=len)
        *names, last = PurePosixPath(target).relative_to(top).parts
        source, place = self._folders[top], PurePosixPath(top)
        _make_way(f"{field}: {target}", source, names, last)
        for name in names:
            source, place = source / name, place / name
            if str(place) not in self._pinned:
                self._pinned.add(str(place))
                yield from ("--bind", str(source), str(place))


def _make_way(what: str, top: Path, names: Sequence[str], last: str) -> None:
    """Make the folders `names` below `top`, each in the one before; follow no link."""
    with contextlib.ExitStack() as opened:

        def enter(name: str | Path, flags: int, folder: int | None = None) -> int:
            descriptor = os.open(name, flags, dir_fd=folder)
            opened.callback(os.close, descriptor)
            return descriptor

        try:
            folder = enter(top, _FOLDER)
            for name in names:
                _refuse_link(what, folder, name)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=folder)
                folder = enter(name, _OWN_FOLDER, folder)
            _refuse_link(what, folder, last)
        except OSError as error:
            raise DriverError(
                f"{what} can't be made ({error.strerror}); use a real folder"
            ) from error


def _refuse_link(what: str, folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise DriverError(f"{what} leads through a link; use a real folder")


def _inside(place: str, folder: str) -> bool:
    return PurePosixPath(folder) in PurePosixPath(place).parents
