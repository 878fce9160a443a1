"""Chooses the replica for a request. Pure: it is told of lists and failures, and asks nobody."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from workdeed.sdk.gateway.settings import Balance

OUT_SECONDS: Final = 5.0
"""For how long a replica that failed gives way to others when no new list comes."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a replica answers."""

    host: str
    port: int

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{shown}:{self.port}"


class Pool:
    """The replicas of the last list, with what is under way at each.

    Args:
        balance: how one is chosen.

    """

    def __init__(self, balance: Balance) -> None:
        self._balance = balance
        self._targets: tuple[Target, ...] = ()
        self._under_way: Counter[Target] = Counter()
        self._out: dict[Target, float] = {}
        self._turn = 0

    @property
    def targets(self) -> tuple[Target, ...]:
        """The replicas of the last list."""
        return self._targets

    def update(self, targets: Iterable[Target], asked_at: float) -> None:
        """Take a list that was asked for at some moment; what failed before it may come back."""
        self._targets = tuple(dict.fromkeys(targets))
        self._out = {
            one: at for one, at in self._out.items() if at >= asked_at and one in self._targets
        }

    def failed(self, target: Target, now: float) -> None:
        """Choose others, if there are any, until the next list."""
        self._out[target] = now

    def choose(self, now: float, tried: Collection[Target] = ()) -> Target | None:
        """Return the replica for the next request, none of those `tried`; None if none is left.

        One that failed is returned only where no other is left.
        """
        left = [one for one in self._targets if one not in tried]
        # Where all failed none is left out: one broken answer must not end the service of all.
        able = [one for one in left if not self._is_out(one, now)] or left
        if not able:
            return None
        self._turn += 1
        # From another beginning each time: among equals all are to have their turn.
        begin = self._turn % len(able)
        rotated = able[begin:] + able[:begin]
        if self._balance == "robin":
            return rotated[0]
        return min(rotated, key=lambda one: self._under_way[one])

    @contextmanager
    def using(self, target: Target) -> Iterator[None]:
        """Count a request as under way."""
        self._under_way[target] += 1
        try:
            yield
        finally:
            self._under_way[target] -= 1
            if not self._under_way[target]:
                del self._under_way[target]

    def _is_out(self, target: Target, now: float) -> bool:
        at = self._out.get(target)
        return at is not None and now - at < OUT_SECONDS
