"""What containers print: read with the time of each piece, which is how a reader goes on later.

Engines keep the output of a container for as long as there is the container. Before one is
replaced its output is saved to a file here, so that the reason of a crash outlives the next start.
"""

import contextlib
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from workdeed.node.drivers.base import LogChunk
from workdeed.node.files import write_atomic

_STAMP: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ", re.ASCII
)
_CURSOR: Final = re.compile(r"(\d{1,20})/(\d{1,20})")
_HEADER: Final = re.compile(rb"(\d{1,20}) (\d{1,20})\n")
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of output, and when it was printed in nanoseconds since 1970."""

    time: int
    data: bytes


def parse_piece(frame: bytes) -> Piece:
    """Return what an engine sent with its time in front; a frame without one has time 0."""
    match = _STAMP.match(frame)
    if match is None:
        return Piece(0, frame)
    moment, fraction, zone = match.groups()
    offset = "+00:00" if zone == b"Z" else zone.decode()
    seconds = int(datetime.fromisoformat(moment.decode() + offset).timestamp())
    return Piece(seconds * _SECOND + int((fraction or b"0").ljust(9, b"0")), frame[match.end() :])


def newest(pieces: Iterable[Piece], max_bytes: int) -> list[Piece]:
    """Return the last pieces that have together at most `max_bytes`, the oldest cut short."""
    kept: deque[Piece] = deque()
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece.data)
        while kept and size - len(kept[0].data) >= max_bytes:
            size -= len(kept.popleft().data)
    if kept and size > max_bytes:
        first = kept.popleft()
        kept.appendleft(Piece(first.time, first.data[size - max_bytes :]))
    return list(kept)


def after(pieces: Iterable[Piece], cursor: str, max_bytes: int) -> LogChunk:
    """Return what follows `cursor`, the oldest first, at most `max_bytes`.

    A cursor is a time and how many bytes of that time were given out: Podman tells times in whole
    seconds.
    """
    match = _CURSOR.fullmatch(cursor)
    time, given = (int(match[1]), int(match[2])) if match is not None else (0, 0)
    skip = given
    found = bytearray()
    for piece in pieces:
        data = piece.data
        if piece.time < time:
            continue
        if piece.time == time:
            skipped = min(skip, len(data))
            skip -= skipped
            data = data[skipped:]
        data = data[: max_bytes - len(found)]
        if data:
            given = len(data) if piece.time != time else given + len(data)
            time = piece.time
            # What has this time too was not given out before.
            skip = 0
            found += data
        if len(found) >= max_bytes:
            break
    return LogChunk(bytes(found), f"{time}/{given}" if found else cursor)


def cursor_seconds(cursor: str) -> int:
    """Return the second since 1970 before which nothing follows `cursor`, 0 for none."""
    match = _CURSOR.fullmatch(cursor)
    return max(0, int(match[1]) // _SECOND - 1) if match is not None else 0


def read_pieces(client: Any, container: str, since: int = 0) -> list[Piece]:
    """Return what the engine keeps of a container's output, from the second `since` on."""
    more = {"since": since} if since else {}
    frames = client.logs(
        container, stdout=True, stderr=True, stream=True, timestamps=True, follow=False, **more
    )
    return [parse_piece(frame) for frame in frames]


class EarlierOutput:
    """The output of the containers that a task had before its present one, one file a task."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """Keep at most `max_bytes` a task in the existing `directory`."""
        self._directory = directory
        self._max_bytes = max_bytes

    def read(self, name: str) -> list[Piece]:
        """Return what was kept for the task `name`."""
        with contextlib.suppress(FileNotFoundError):
            return list(_decode(self._path(name).read_bytes()))
        return []

    def add(self, name: str, pieces: list[Piece]) -> None:
        """Keep `pieces` too, and drop the oldest beyond the bound."""
        if pieces:
            kept = newest([*self.read(name), *pieces], self._max_bytes)
            write_atomic(self._path(name), b"".join(_encode(piece) for piece in kept))

    def size(self, name: str) -> int:
        """Return the bytes on disk."""
        with contextlib.suppress(FileNotFoundError):
            return self._path(name).stat().st_size
        return 0

    def drop(self, name: str) -> None:
        """Forget the task."""
        self._path(name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the tasks of which something is kept."""
        return [path.stem for path in self._directory.glob("*.log")]

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.log"


def _encode(piece: Piece) -> bytes:
    return b"%d %d\n" % (piece.time, len(piece.data)) + piece.data


def _decode(data: bytes) -> Iterator[Piece]:
    place = 0
    while (match := _HEADER.match(data, place)) is not None:
        time, length = int(match[1]), int(match[2])
        place = match.end() + length
        yield Piece(time, data[match.end() : place])
