"""Growing pauses between tries of what failed."""

from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_PAUSE = 1.0
MAX_PAUSE = 60.0


class Pauses(Generic[K]):
    """When something that failed is due again.

    Args:
        now: seconds of a clock that never goes back.

    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waits: dict[K, tuple[float, float]] = {}

    def is_due(self, key: K) -> bool:
        """Tell whether a try is due; the first one always is."""
        return self._waits.get(key, (0.0, 0.0))[0] <= self._now()

    def failed(self, key: K) -> None:
        """Wait with the next try, each time twice as long."""
        _, pause = self._waits.get(key, (0.0, FIRST_PAUSE))
        self._waits[key] = (self._now() + pause, min(2 * pause, MAX_PAUSE))

    def keep(self, keys: Collection[K]) -> None:
        """Forget all but these."""
        self._waits = {key: wait for key, wait in self._waits.items() if key in keys}
