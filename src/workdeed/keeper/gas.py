"""Watches what the sender has left for gas."""

import time
from collections.abc import Callable

from workdeed.chain.rpc import Rpc
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.view import View

PAUSE = 60.0
"""Seconds between two looks at the balance."""

LOW_BALANCE = 10**16
"""Wei below which a sender should be funded: some hundred transactions at moderate fees."""


class GasWatch:
    """Tells metrics and log what the sender has left.

    Args:
        rpc: the chain.
        sender: the account.
        once: told when it runs low.
        metrics: shows the balance.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        rpc: Rpc,
        sender: str,
        once: OnceLog,
        metrics: Metrics,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpc = rpc
        self._sender = sender
        self._once = once
        self._metrics = metrics
        self._now = now
        self._due = 0.0

    async def run(self, _: View) -> None:
        """Look, if it is time to."""
        if self._now() < self._due:
            return
        wei = await balance_of(self._rpc, self._sender)
        self._due = self._now() + PAUSE
        self._metrics.sender_balance.labels(sender=self._sender).set(wei)
        if wei < LOW_BALANCE:
            self._once.trouble("gas", f"{self._sender} has {wei / 10**18:.6f} left; fund it")
        else:
            self._once.fine("gas")


async def balance_of(rpc: Rpc, account: str) -> int:
    """Return what an account has of the chain's own coin, in wei."""
    return rpc.quantity(await rpc.call("eth_getBalance", [account, "latest"]))
