"""Times the stages of something, and sums up repetitions."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

MICROSECONDS = 10**6


@dataclass
class Stages:
    """Wall and CPU seconds of named stages, in the order in which they began.

    Attributes:
        wall: seconds from beginning to end; a stage that is entered again adds up.
        cpu: seconds of CPU that this process spent in it, all threads.

    """

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        began, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - began
            self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu

    @property
    def seconds(self) -> float:
        """Wall seconds of all stages."""
        return sum(self.wall.values())

    def figures(self) -> dict[str, dict[str, float]]:
        """Return wall and CPU seconds by stage, to the millisecond."""
        return {
            name: {"seconds": round(wall, 3), "cpu_seconds": round(self.cpu[name], 3)}
            for name, wall in self.wall.items()
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (above 0, at most 1) of all do not exceed.

    This is the nearest rank: a value that was measured, never one in between.

    Raises:
        ValueError: without values, or if `share` is out of its range.

    """
    if not values or not 0 < share <= 1:
        raise ValueError("values: a percentile needs some, and a share above 0 up to 1")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def per_item(seconds: float, items: int) -> float:
    """Return microseconds per item, to a tenth; raises `ValueError` without items."""
    if items < 1:
        raise ValueError("items: there must be one at least")
    return round(seconds / items * MICROSECONDS, 1)
