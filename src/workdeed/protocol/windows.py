"""Settlement windows, and the turns of the signing round that follows each.

Windows count from 1; window w covers `[genesis + (w-1)*window, genesis + w*window)`; 0 means never.
Times are seconds since the Unix epoch, on the chain's clock.
"""

from dataclasses import dataclass

from workdeed.protocol.errors import EncodingError


@dataclass(frozen=True, slots=True)
class WindowClock:
    """The committee contract's `GENESIS` (a timestamp) and `WINDOW` (seconds)."""

    genesis: int
    window: int

    def __post_init__(self) -> None:
        if self.genesis < 0 or self.window <= 0:
            raise EncodingError("window: genesis must not be negative, and a window lasts >= 1 s")

    def at(self, timestamp: int) -> int:
        """Return the window that `timestamp` falls into, 0 before genesis."""
        if timestamp < self.genesis:
            return 0
        return (timestamp - self.genesis) // self.window + 1

    def start(self, window: int) -> int:
        """Return the first second of `window` (>= 1)."""
        return self.end(window) - self.window

    def end(self, window: int) -> int:
        """Return the first second after `window` (>= 1)."""
        if window < 1:
            raise EncodingError(f"window: {window} has no time; windows count from 1")
        return self.genesis + window * self.window

    def turn_at(self, now: float, window: int, turn_seconds: float) -> int | None:
        """Return the turn of `window`'s round at the time `now`, None when its round is not on.

        The round lasts from the end of `window` to the end of the next window: from then on the
        next round is on, so that one (window, turn) at most is signed for at any time.
        """
        return _turn(now - self.end(window), self.window, turn_seconds)

    def placement_turn_at(self, now: float, window: int, turn_seconds: float) -> int | None:
        """Return the turn in which placements of `window` are proposed at the time `now`.

        They are proposed in the first half of the window, so that they are mined within it: None
        outside of that half.
        """
        return _turn(now - self.start(window), self.window / 2, turn_seconds)


def leader(window: int, turn: int, n: int) -> int:
    """Return the index of the member that leads `turn` of `window` among `n` members.

    Members are counted in the order in which the committee contract lists them.
    """
    if n < 1:
        raise EncodingError("n: a committee without members has no leader")
    return (window + turn) % n


def _turn(passed: float, lasts: float, turn_seconds: float) -> int | None:
    if turn_seconds <= 0:
        raise EncodingError("turn_seconds: a turn must last longer than 0 s")
    return int(passed // turn_seconds) if 0 <= passed < lasts else None
