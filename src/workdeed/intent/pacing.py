"""How many replicas a rollout takes at a time, and how long one may last. Pure arithmetic.

Keepers roll out by it, and oracles judge by it what service counts meanwhile.
"""

from typing import Final

from workdeed.intent.rollout import Canary, Recreate, Rollout

REACTION_MS: Final = 10_000
"""What keepers may need to see that a batch is well and to ask for the next one."""

_ALL_BPS: Final = 10_000


def canaries(rollout: Rollout, replicas: int) -> int:
    """Return how many of `replicas` come first, and have to stay well before the rest follows."""
    if not isinstance(rollout, Canary):
        return 0
    return min(replicas, _divide_up(rollout.share_bps * replicas, _ALL_BPS))


def batch_size(rollout: Rollout, replicas: int) -> int:
    """Return how many of `replicas` may be on their way to the new revision at a time."""
    if isinstance(rollout, Recreate):
        return max(1, replicas)
    return rollout.max_unavailable


def longest_ms(rollout: Rollout, replicas: int) -> int:
    """Return for how many milliseconds a rollout over `replicas` may go on, the builds left out.

    Each batch may take its drain, its whole deadline and the time to settle; canaries are batches
    of their own, and are waited for.
    """
    size = batch_size(rollout, replicas)
    first = canaries(rollout, replicas)
    batches = _divide_up(first, size) + _divide_up(replicas - first, size)
    settle = 0 if isinstance(rollout, Recreate) else rollout.settle_ms
    wait = rollout.wait_ms if isinstance(rollout, Canary) else 0
    each = rollout.drain_ms + rollout.deadline_ms + settle + REACTION_MS
    return batches * each + wait


def _divide_up(amount: int, by: int) -> int:
    return -(-amount // by)
