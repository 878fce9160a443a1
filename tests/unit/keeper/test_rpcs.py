"""Several RPCs of one chain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from workdeed.chain.rpc import RevertError, Rpc, RpcError, RpcUnavailable
from workdeed.chain.sources import AgreeingRpcs
from workdeed.chain.transactions import broadcast
from workdeed.keeper import rpcs as rpcs_module
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.rpcs import RETURN_SECONDS, CheckedRpc, FailoverRpc, Health, MeteredRpc


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeRpc(Rpc):
    """Answers with its name, unless it is down.

    Attributes:
        gate: what its answers wait for.
        pool: the transactions that it has.
        drops: it says that it takes transactions, and does not.

    """

    def __init__(self, name: str, chain_id: int = 5) -> None:
        self._name = name
        self.served = chain_id
        self.down = False
        self.reverts = False
        self.refuses: RpcError | None = None
        self.gate: asyncio.Event | None = None
        self.pool: list[object] = []
        self.drops = False
        self.calls = 0
        self.answer: object = name

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
        if self.gate is not None:
            await self.gate.wait()
        if self.refuses is not None:
            raise self.refuses
        if method == "eth_sendRawTransaction" and not self.drops:
            self.pool += params
        return self.answer

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [await self.call(method, params) for method, params in calls]

    async def close(self) -> None:
        self.down = True


LIMITED = RpcError(429, "daily request count exceeded, request rate limited")
STALE = RpcError(-32000, "nonce too low")


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
def health(once: OnceLog, metrics: Metrics, clock: Clock) -> Health:
    return Health(once, metrics, now=clock)


@pytest.fixture
def metered(rpcs: list[FakeRpc], health: Health, clock: Clock) -> list[MeteredRpc]:
    return [MeteredRpc(CheckedRpc(one, 5), health, now=clock) for one in rpcs]


@pytest.fixture
def failover(metered: list[MeteredRpc], health: Health, clock: Clock) -> FailoverRpc:
    return FailoverRpc(metered, health, now=clock)


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


def up(metrics: Metrics, rpc: str) -> float | None:
    return metrics.registry.get_sample_value("workdeed_rpc_up", {"rpc": f"http://{rpc}"})


async def test_one_that_answers_with_errors_of_its_own_is_passed_over(
    failover: FailoverRpc,
    rpcs: list[FakeRpc],
    clock: Clock,
    metrics: Metrics,
    log_lines: list[dict[str, object]],
) -> None:
    rpcs[0].refuses = LIMITED
    for _ in range(3):
        assert await failover.call("x") == "two"
    assert rpcs[0].calls == 2  # its chain id, and the one call that it refused
    assert [up(metrics, name) for name in ("one", "two")] == [0, 1]
    assert [line["where"] for line in log_lines] == ["rpc http://one"]
    rpcs[0].refuses = None
    clock.now += RETURN_SECONDS
    assert await failover.batch([("x", ())]) == ["one"]
    assert up(metrics, "one") == 1


async def test_what_all_refuse_fails_for_the_first_reason(
    failover: FailoverRpc, rpcs: list[FakeRpc]
) -> None:
    rpcs[0].down = True
    rpcs[1].refuses, rpcs[2].refuses = LIMITED, RpcError(-32601, "no such method")
    with pytest.raises(RpcError, match="rate limited"):
        await failover.call("x")


async def test_a_refusal_of_a_transaction_is_an_answer(
    failover: FailoverRpc, rpcs: list[FakeRpc], metrics: Metrics
) -> None:
    rpcs[0].refuses = RpcError(-32000, "insufficient funds for gas * price + value")
    with pytest.raises(RpcError, match="insufficient"):
        await failover.call("eth_estimateGas")
    assert rpcs[1].calls == 0
    assert up(metrics, "one") == 1
    assert errors(metrics, "http://one") == NO_ERRORS


async def test_a_refusal_of_logs_does_not_show_one_as_down(
    failover: FailoverRpc, rpcs: list[FakeRpc], metrics: Metrics
) -> None:
    await failover.call("x")
    rpcs[0].refuses = RpcError(-32005, "query returned more than 10000 results")
    assert await failover.batch([("eth_getLogs", ())]) == ["two"]
    assert up(metrics, "one") == 1
    assert errors(metrics, "http://one") == NO_ERRORS | {"refused": 1}


async def settled() -> None:
    """Let what goes on beside come to its end."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_transaction_that_one_drops_reaches_the_others(
    failover: FailoverRpc, rpcs: list[FakeRpc]
) -> None:
    rpcs[0].drops = True
    await broadcast(failover, b"\x01")
    await settled()
    assert [one.pool for one in rpcs] == [[], ["0x01"], ["0x01"]]


@pytest.mark.parametrize("first", [LIMITED, None])
async def test_a_transaction_is_taken_once_one_takes_it(
    failover: FailoverRpc, rpcs: list[FakeRpc], first: RpcError | None
) -> None:
    rpcs[0].down, rpcs[0].refuses = first is None, first
    rpcs[2].gate = asyncio.Event()
    await broadcast(failover, b"\x01")
    assert [len(one.pool) for one in rpcs] == [0, 1, 0]
    rpcs[2].gate.set()
    await settled()
    assert len(rpcs[2].pool) == 1


async def test_a_transaction_that_one_refuses_for_what_it_is_goes_to_the_others_too(
    failover: FailoverRpc, rpcs: list[FakeRpc]
) -> None:
    rpcs[0].refuses, rpcs[1].gate = STALE, asyncio.Event()
    rpcs[2].gate = rpcs[1].gate
    with pytest.raises(RpcError, match="nonce too low"):
        await broadcast(failover, b"\x01")
    rpcs[1].gate.set()
    await settled()
    assert [len(one.pool) for one in rpcs] == [0, 1, 1]


async def test_a_transaction_that_nobody_takes_in_time_is_without_an_answer(
    failover: FailoverRpc,
    rpcs: list[FakeRpc],
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpcs_module, "SEND_SECONDS", 0.01)
    for one in rpcs:
        one.gate = asyncio.Event()
    with pytest.raises(RpcUnavailable, match="in time"):
        await broadcast(failover, b"\x01")
    assert [up(metrics, name) for name in ("one", "two", "three")] == [0, 0, 0]


async def test_one_that_contradicts_the_others_gets_no_transaction(
    failover: FailoverRpc, rpcs: list[FakeRpc], metered: list[MeteredRpc], health: Health
) -> None:
    health.odd(metered[0], "it contradicts the others about block 7")
    await broadcast(failover, b"\x01")
    await settled()
    assert [len(one.pool) for one in rpcs] == [0, 1, 1]
    for one in metered:
        health.odd(one, "it contradicts the others about block 7")
    await broadcast(failover, b"\x02")
    await settled()
    assert all("0x02" in one.pool for one in rpcs)  # better than none


async def test_a_close_ends_what_is_still_being_sent(
    failover: FailoverRpc, rpcs: list[FakeRpc]
) -> None:
    rpcs[2].gate = asyncio.Event()
    await broadcast(failover, b"\x01")
    async with asyncio.timeout(5):
        await failover.close()
    assert rpcs[2].pool == []


async def test_one_that_contradicts_the_others_is_asked_last_for_a_while(
    failover: FailoverRpc,
    rpcs: list[FakeRpc],
    metered: list[MeteredRpc],
    health: Health,
    clock: Clock,
    metrics: Metrics,
) -> None:
    assert await failover.call("x") == "one"
    health.odd(metered[0], "it contradicts the others about block 7")
    assert await failover.call("x") == "two"
    assert metrics.registry.get_sample_value("workdeed_rpc_up", {"rpc": "http://one"}) == 0
    rpcs[1].down = rpcs[2].down = True
    assert await failover.call("x") == "one"  # better than none
    clock.now += RETURN_SECONDS
    rpcs[1].down = rpcs[2].down = False
    assert await failover.call("x") == "one"
    assert metrics.registry.get_sample_value("workdeed_rpc_up", {"rpc": "http://one"}) == 1


def errors(metrics: Metrics, rpc: str) -> dict[str, float]:
    """Return how many errors of each kind an RPC made."""
    return {
        sample.labels["kind"]: sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "workdeed_rpc_errors_total" and sample.labels["rpc"] == rpc
    }


NO_ERRORS = {"unavailable": 0, "refused": 0, "odd": 0}


async def test_errors_are_counted_by_kind_and_reverts_are_none(
    failover: FailoverRpc,
    rpcs: list[FakeRpc],
    metered: list[MeteredRpc],
    health: Health,
    metrics: Metrics,
    clock: Clock,
) -> None:
    await failover.call("x")
    assert errors(metrics, "http://one") == NO_ERRORS
    rpcs[0].reverts = True
    with pytest.raises(RevertError):
        await failover.call("x")
    assert errors(metrics, "http://one") == NO_ERRORS
    rpcs[0].reverts, rpcs[0].refuses = False, LIMITED
    assert await failover.batch([("x", ())]) == ["two"]
    rpcs[0].down = True
    clock.now += RETURN_SECONDS
    await failover.call("x")
    health.odd(metered[0], "it contradicts the others about block 7")
    assert errors(metrics, "http://one") == {"refused": 1, "unavailable": 1, "odd": 1}
    assert errors(metrics, "http://two") == NO_ERRORS


async def test_requests_are_timed_answered_or_not(
    failover: FailoverRpc, rpcs: list[FakeRpc], metrics: Metrics
) -> None:
    await failover.call("x")
    rpcs[0].down = True
    await failover.call("x")
    count = "workdeed_rpc_seconds_count"
    assert metrics.registry.get_sample_value(count, {"rpc": "http://one"}) == 2
    assert metrics.registry.get_sample_value(count, {"rpc": "http://two"}) == 1


async def test_one_of_several_that_have_to_agree_is_down_and_shown(
    metered: list[MeteredRpc],
    rpcs: list[FakeRpc],
    health: Health,
    metrics: Metrics,
    log_lines: list[dict[str, object]],
) -> None:
    """It was left out of the vote without a word: only the one that calls go to was looked at."""
    agreeing = AgreeingRpcs(metered, 2, health.odd)
    block = {"number": "0x7", "hash": "0x" + "07" * 32, "timestamp": "0x1"}
    block["parentHash"] = "0x" + "06" * 32
    for one in rpcs:
        one.answer = block
    rpcs[2].down = True
    assert (await agreeing.head()).number == 7
    up = {
        name: metrics.registry.get_sample_value("workdeed_rpc_up", {"rpc": f"http://{name}"})
        for name in ("one", "two", "three")
    }
    assert up == {"one": 1, "two": 1, "three": 0}
    assert [line["where"] for line in log_lines] == ["rpc http://three"]
