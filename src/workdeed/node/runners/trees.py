"""Folders of many files, copied and removed in threads that nobody leaves behind."""

import asyncio
import functools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec

import structlog

from workdeed.node.errors import RunnerError
from workdeed.node.files import remove_tree

P = ParamSpec("P")

_log = structlog.get_logger(__name__)

PARTIAL: Final = ".partial"
"""How the names of folders end that are being made, or removed."""
_REASON_CHARS = 300


class _GivenUpError(Exception):
    """Nobody wants the copy any more."""


async def finish(work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Do `work` in a thread; a caller that is cancelled is told only after it has ended.

    A thread can't be cancelled. One that went on alone would meet, in the same folder, whoever is
    the next to hold the caller's lock.
    """
    await _finish(functools.partial(work, *args, **kwargs), lambda: None)


async def copy(source: Path, target: Path) -> None:
    """Copy a tree so that `target` is there whole or not at all; links stay links.

    A caller that is cancelled is told once the file in hand is copied and all copies are removed.

    Raises:
        RunnerError: if it can't be copied.

    """
    given_up = threading.Event()
    await _finish(functools.partial(_copy, source, target, given_up), given_up.set)


def remove(path: Path) -> None:
    """Remove a folder, if it is there.

    Raises:
        OSError: if something stays, as what a container's users wrote may.

    """
    if path.exists():
        # Renamed first: a half-removed tree must never be taken for a whole one.
        doomed = path if path.name.endswith(PARTIAL) else path.with_name(path.name + PARTIAL)
        if doomed != path:
            if doomed.exists():
                remove_tree(doomed)
            path.replace(doomed)
        remove_tree(doomed)


def try_to_remove(path: Path) -> None:
    """Remove a folder or say why it stays, as what a container's users wrote may; all else goes."""
    try:
        remove(path)
    except OSError as error:
        _log.warning("war: a folder can't be removed", path=str(path), error=str(error))


async def _finish(work: Callable[[], object], give_up: Callable[[], None]) -> None:
    # A future of the executor, no task: those are cancelled one and all when the loop ends.
    working = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError as error:
            cancelled = error
            give_up()
    if cancelled is None:
        working.result()
        return
    if not working.cancelled():
        # Taken from it, or it would be told as one that nobody has asked for.
        working.exception()
    raise cancelled


def _copy(source: Path, target: Path, given_up: threading.Event) -> None:
    partial = target.with_name(target.name + PARTIAL)
    remove(partial)
    try:
        _copy_all(source, partial, given_up)
    except BaseException:
        remove(partial)
        raise
    partial.replace(target)


def _copy_all(source: Path, target: Path, given_up: threading.Event) -> None:
    def copy_file(one: str, other: str) -> None:
        if given_up.is_set():
            raise _GivenUpError
        shutil.copy2(one, other)

    try:
        shutil.copytree(source, target, symlinks=True, copy_function=copy_file)
    except RecursionError as error:
        raise RunnerError(
            "build: its folders lie too deep to be copied; make it flatter"
        ) from error
    except OSError as error:
        # It may name each single file.
        reason = str(error)[:_REASON_CHARS]
        raise RunnerError(f"build: its files can't be copied ({reason})") from error
