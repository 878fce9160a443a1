"""Keeps the answers of nodes that count as evidence: one file a window, one answer a line."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from workdeed.oracle.errors import StoreError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_BODY, MIB
from workdeed.protocol.messages import Answer

_NAME: Final = re.compile(r"(\d{1,16})\.jsonl")
_CHUNK: Final = MIB
_MAX_LINE: Final = 8 * MAX_BODY
"""Bytes of a line; the canonical JSON of an answer may be longer than what was read of it."""


class EvidenceLog:
    """Answers in canonical JSON, appended as they come.

    Args:
        folder: where the files are; it is created.

    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._open: dict[int, BinaryIO] = {}

    def add(self, window: int, answer: Answer) -> bytes:
        """Keep an answer and return the hash that stands for it in the evidence root."""
        content = answer.canonical()
        file = self._open.get(window)
        if file is None:
            file = self._open[window] = self._path(window).open("ab")
        file.write(content + b"\n")
        return keccak(content)

    def close(self, window: int) -> None:
        """Write the answers of `window` out durably; an observation rests on them."""
        file = self._open.pop(window, None)
        if file is not None:
            with file:
                file.flush()
                os.fsync(file.fileno())

    def size(self, window: int) -> int:
        """Return how many bytes of answers are kept of a window."""
        file = self._open.get(window)
        if file is not None:
            with contextlib.suppress(ValueError):  # it was closed meanwhile, and so is written out
                file.flush()
        try:
            return self._path(window).stat().st_size
        except FileNotFoundError:
            return 0

    def count(self, window: int, most: int) -> int:
        """Return how many answers are kept of a window; a count above `most` may be too low.

        Raises:
            StoreError: if they can't be read.

        """
        found = 0
        if self.size(window):
            with self._reading(window) as file:
                while found <= most and (chunk := file.read(_CHUNK)):
                    found += chunk.count(b"\n")
        return found

    def answers(self, window: int) -> Iterator[bytes]:
        """Yield the answers kept of a window, in canonical JSON; a torn last line is left out.

        They may be more than fit into memory.

        Raises:
            StoreError: if they can't be read.

        """
        if self.size(window):
            with self._reading(window) as file:
                while (line := _read_line(file, window)) is not None:
                    yield line

    def answers_at(self, window: int, places: Sequence[int]) -> Iterator[bytes]:
        """Yield the answers that begin at these places of what `answers` yields.

        A place is the sum of the lengths of the answers before it, and one more for each.

        Raises:
            StoreError: if they can't be read.

        """
        if not places:
            return
        with self._reading(window) as file:
            for place in places:
                file.seek(place)
                line = _read_line(file, window)
                if line is None:
                    raise _damaged(window)
                yield line

    def prune(self, before: int) -> None:
        """Delete the answers of windows below `before`, also of those that nobody closed."""
        for window in [one for one in self._open if one < before]:
            self._open.pop(window).close()
        for path in self._folder.iterdir():
            found = _NAME.fullmatch(path.name)
            if found and int(found[1]) < before:
                path.unlink(missing_ok=True)

    def shut(self) -> None:
        """Close all files; an answer after that opens its file anew."""
        for window in list(self._open):
            self.close(window)

    def _path(self, window: int) -> Path:
        return self._folder / f"{window}.jsonl"

    def _reading(self, window: int) -> BinaryIO:
        try:
            return self._path(window).open("rb")
        except OSError as error:
            raise StoreError(
                f"evidence: the answers of window {window} can't be read ({error.strerror})"
            ) from error


def _read_line(file: BinaryIO, window: int) -> bytes | None:
    """Return the next whole line, None behind the last; damage may have no end of a line."""
    line = file.readline(_MAX_LINE)
    if line.endswith(b"\n"):
        return line[:-1]
    if len(line) == _MAX_LINE:
        raise _damaged(window)
    return None


def _damaged(window: int) -> StoreError:
    return StoreError(f"evidence: the answers of window {window} are damaged; ask another member")
