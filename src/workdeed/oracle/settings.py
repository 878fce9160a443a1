"""What an oracle is told: rules that all members must share, and how this one measures."""

from dataclasses import dataclass

from workdeed.protocol.limits import MAX_WINDOWS


@dataclass(frozen=True, slots=True)
class RoundRules:
    """Rules of the round. Members with different ones do not come to an agreement.

    Attributes:
        turn_seconds: how long one leader has.
        open_windows: D: in the report of the window so many after its own, a pair that is still
            open earns 0.
        recovery_windows: for how many windows after the latest report no member signs upon a base
            that it holds in part only, where its leaves are lost.
        report_idle: whether a window in which nothing was placed and nothing changed is reported
            all the same. Only the leader's matters.

    """

    turn_seconds: float
    open_windows: int
    recovery_windows: int = 2
    report_idle: bool = False

    def __post_init__(self) -> None:
        if self.turn_seconds <= 0:
            raise ValueError("turn_seconds: a turn must last longer than 0 s")
        if not 1 <= self.open_windows < MAX_WINDOWS:
            raise ValueError(f"open_windows: it must be 1 to {MAX_WINDOWS - 1}")
        if self.recovery_windows < 0:
            raise ValueError("recovery_windows: it must not be negative")


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How nodes are probed.

    Attributes:
        interval: mean seconds between two probes of one node; each pause is drawn from half to one
            and a half of it.
        timeout: seconds for the answer of a node, and again for that of a workload. No probe is
            sent in the last `timeout` seconds of a window: each ends in the window of its count.
        concurrency: probes under way at a time.
        grace_windows: windows at the start of a license's term, or of a revision, in which failing
            to come up is unknown instead of down.
        max_skew: seconds by which this machine's clock and the chain's head may differ.

    """

    interval: float = 1.0
    timeout: float = 1.0
    concurrency: int = 256
    grace_windows: int = 1
    max_skew: float = 36.0

    def __post_init__(self) -> None:
        if min(self.interval, self.timeout, self.max_skew) <= 0 or self.concurrency < 1:
            raise ValueError("interval, timeout, max_skew, concurrency: they must be above 0")


def max_skew(block_seconds: float, window: int) -> float:
    """Return by how many seconds clock and chain may differ: max(3 blocks, a tenth of a window)."""
    return max(3 * block_seconds, window / 10)
