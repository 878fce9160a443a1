"""What the sender has left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from books_support import PAYER, Chain
from rpc_support import BlockRpc

from workdeed.keeper.gas import LOW_BALANCE, PAUSE, GasWatch
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Bank(BlockRpc):
    """Knows a balance."""

    wei = LOW_BALANCE
    asked = 0

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        assert (method, params) == ("eth_getBalance", [PAYER, "latest"])
        self.asked += 1
        return hex(self.wei)


async def test_a_low_balance_is_told_once_and_shown(
    chain: Chain, once: OnceLog, metrics: Metrics, log_lines: list[dict[str, object]]
) -> None:
    bank, clock = Bank(chain), Clock()
    watch = GasWatch(bank, PAYER, once, metrics, now=clock)
    # A keeper that sends nothing has no balance that could be too low.
    assert next(iter(metrics.sender_balance.collect())).samples == []
    for _ in range(2):
        await watch.run(chain.view())
    assert bank.asked == 1
    assert log_lines == []
    bank.wei = LOW_BALANCE // 2
    clock.now += PAUSE
    await watch.run(chain.view())
    assert "fund it" in str(log_lines[-1]["reason"])
    shown = metrics.registry.get_sample_value("workdeed_sender_balance_wei", {"sender": PAYER})
    assert shown == LOW_BALANCE // 2
    bank.wei = LOW_BALANCE
    clock.now += PAUSE
    await watch.run(chain.view())
    assert log_lines[-1]["event"] == "trouble_over"
