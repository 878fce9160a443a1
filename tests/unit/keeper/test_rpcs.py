"""Several RPCs of one chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from workdeed.chain.rpc import RevertError, Rpc, RpcUnavailable
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.rpcs import RETURN_SECONDS, CheckedRpc, FailoverRpc, Health


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeRpc(Rpc):
    """Answers with its name, unless it is down."""

    def __init__(self, name: str, chain_id: int = 5) -> None:
        self._name = name
        self.served = chain_id
        self.down = False
        self.reverts = False
        self.calls = 0

    @property
    def origin(self) -> str:
        return f"http://{self._name}"

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        self.calls += 1
        if self.down:
            raise RpcUnavailable(self.origin)
        if method == "eth_chainId":
            return hex(self.served)
        if self.reverts:
            raise RevertError("escrow: job over")
        return self._name

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [await self.call(method, params) for method, params in calls]

    async def close(self) -> None:
        self.down = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rpcs() -> list[FakeRpc]:
    return [FakeRpc("one"), FakeRpc("two"), FakeRpc("three")]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def checked(rpcs: list[FakeRpc]) -> list[CheckedRpc]:
    return [CheckedRpc(one, 5) for one in rpcs]


@pytest.fixture
def health(once: OnceLog, metrics: Metrics, clock: Clock) -> Health:
    return Health(once, metrics, now=clock)


@pytest.fixture
def failover(checked: list[CheckedRpc], health: Health, clock: Clock) -> FailoverRpc:
    return FailoverRpc(checked, health, now=clock)


async def test_the_first_is_preferred_and_comes_back(
    failover: FailoverRpc, rpcs: list[FakeRpc], clock: Clock
) -> None:
    assert await failover.call("x") == "one"
    rpcs[0].down = True
    assert await failover.batch([("x", ()), ("y", ())]) == ["two", "two"]
    assert failover.origin == "http://two"
    rpcs[0].down = False
    assert await failover.call("x") == "two"
    clock.now += RETURN_SECONDS
    assert await failover.call("x") == "one"


async def test_all_down_is_told_once_for_each(
    failover: FailoverRpc, rpcs: list[FakeRpc], log_lines: list[dict[str, object]]
) -> None:
    for one in rpcs:
        one.down = True
    for _ in range(2):
        with pytest.raises(RpcUnavailable, match="http://one"):
            await failover.call("x")
    told = [line["where"] for line in log_lines if line["event"] == "trouble"]
    assert told == ["rpc http://one", "rpc http://two", "rpc http://three"]


async def test_another_chain_is_passed_over(failover: FailoverRpc, rpcs: list[FakeRpc]) -> None:
    rpcs[0].served = 6
    assert await failover.call("x") == "two"
    rpcs[1].served = 6
    assert await failover.call("x") == "two"  # it was checked before


async def test_a_revert_is_an_answer(failover: FailoverRpc, rpcs: list[FakeRpc]) -> None:
    await failover.call("x")
    rpcs[0].reverts = True
    with pytest.raises(RevertError):
        await failover.call("x")
    assert rpcs[1].calls == 0
    await failover.close()
    assert all(one.down for one in rpcs)


async def test_one_that_contradicts_the_others_is_asked_last_for_a_while(
    failover: FailoverRpc,
    rpcs: list[FakeRpc],
    checked: list[CheckedRpc],
    health: Health,
    clock: Clock,
    metrics: Metrics,
) -> None:
    assert await failover.call("x") == "one"
    health.odd(checked[0], "it contradicts the others about block 7")
    assert await failover.call("x") == "two"
    assert metrics.registry.get_sample_value("workdeed_rpc_up", {"rpc": "http://one"}) == 0
    rpcs[1].down = rpcs[2].down = True
    assert await failover.call("x") == "one"  # better than none
    clock.now += RETURN_SECONDS
    rpcs[1].down = rpcs[2].down = False
    assert await failover.call("x") == "one"
    assert metrics.registry.get_sample_value("workdeed_rpc_up", {"rpc": "http://one"}) == 1
