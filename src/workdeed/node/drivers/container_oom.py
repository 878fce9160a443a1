"""Whether the kernel ended a container for its memory, where the engine doesn't tell.

Podman says so from version 5 on. Before, only the kernel's own log does, where a container's group
is named by its id.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

KERNEL_LOG: Final = Path("/dev/kmsg")

_RECORD_BYTES: Final = 8192


def killed_for_memory(container: str, log: Path = KERNEL_LOG) -> bool:
    """Tell whether the kernel's log has `container` among what it killed for its memory.

    False where the log can't be read, as by a user other than root.
    """
    mark = container.encode()
    return any(b"oom-kill:" in record and mark in record for record in _records(log))


def _records(log: Path) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while record := _next(descriptor):
                yield record
        finally:
            os.close(descriptor)


def _next(descriptor: int) -> bytes:
    """Return the next record, empty at the end."""
    while True:
        try:
            return os.read(descriptor, _RECORD_BYTES)
        except BlockingIOError:
            return b""
        except BrokenPipeError:
            # Records were overwritten while they were read; the kernel goes on with the next.
            continue
