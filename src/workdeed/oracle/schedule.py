"""When each node is probed next. Pure: time and chance come from outside."""

import heapq
import random
from collections.abc import Iterable, Iterator
from typing import Final

_SHORTEST: Final = 0.5
_LONGEST: Final = 1.5


class Schedule:
    """Draws a pause for each node anew, from half to one and a half of the interval.

    Args:
        interval: mean pause in seconds.
        chance: draws the pauses.

    """

    def __init__(self, interval: float, chance: random.Random) -> None:
        self._interval = interval
        self._chance = chance
        self._due: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []

    def keep(self, licenses: Iterable[int], now: float) -> None:
        """Schedule these licenses and no others; those that were keep their time."""
        kept = set(licenses)
        for license_id in kept - self._due.keys():
            self._put(license_id, now + self._chance.uniform(0, self._interval))
        for license_id in self._due.keys() - kept:
            del self._due[license_id]

    def due(self, now: float) -> Iterator[int]:
        """Yield the licenses whose time has come, and schedule each anew."""
        while self._heap and self._heap[0][0] <= now:
            at, license_id = heapq.heappop(self._heap)
            if self._due.get(license_id) != at:
                continue  # dropped meanwhile, or scheduled anew
            pause = self._interval * self._chance.uniform(_SHORTEST, _LONGEST)
            self._put(license_id, now + pause)
            yield license_id

    def pause(self, now: float) -> float:
        """Return the seconds until the next license is due; an interval where there is none."""
        return max(self._heap[0][0] - now, 0.0) if self._heap else self._interval

    def _put(self, license_id: int, at: float) -> None:
        self._due[license_id] = at
        heapq.heappush(self._heap, (at, license_id))
