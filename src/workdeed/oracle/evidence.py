"""Keeps the answers of nodes that count as evidence: one file a window, one answer a line."""

import os
import re
from pathlib import Path
from typing import BinaryIO, Final

from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Answer

_NAME: Final = re.compile(r"(\d{1,16})\.jsonl")


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

    def answers(self, window: int) -> list[bytes]:
        """Return the answers kept of a window, in canonical JSON; a torn last line is left out."""
        file = self._open.get(window)
        if file is not None:
            file.flush()
        try:
            lines = self._path(window).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return lines[:-1]

    def prune(self, before: int) -> None:
        """Delete the answers of windows below `before`."""
        for path in self._folder.iterdir():
            found = _NAME.fullmatch(path.name)
            if found and int(found[1]) < before and int(found[1]) not in self._open:
                path.unlink(missing_ok=True)

    def shut(self) -> None:
        """Close all files; an answer after that opens its file anew."""
        for window in list(self._open):
            self.close(window)

    def _path(self, window: int) -> Path:
        return self._folder / f"{window}.jsonl"
