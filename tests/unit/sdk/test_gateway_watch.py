"""Which of what keepers tell a gateway goes by."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from workdeed.protocol.rollouts import Endpoint, EndpointList
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.gateway import watch as module
from workdeed.sdk.gateway.pool import Pool, Target
from workdeed.sdk.gateway.settings import GatewaySettings
from workdeed.sdk.gateway.watch import Watch

ONE = Endpoint(license_id=1, host="node", port=80, revision=0, version="")


def listing(*hosts: str, replicas: int | None = None) -> EndpointList:
    """A list of hosts, unchecked."""
    return EndpointList(
        job_id=7,
        replicas=len(hosts) if replicas is None else replicas,
        endpoints=tuple(ONE.model_copy(update={"host": host}) for host in hosts),
    )


class Bench:
    """A watch over keepers that tell what they are told to; those without a list are down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lists: dict[str, EndpointList] = {}
        self.asked: list[str] = []
        self.pool = Pool("least")

        async def get(_: Endpoints, keepers: list[str], job_id: int) -> EndpointList:
            assert job_id == 7
            self.asked += keepers
            if keepers[0] not in self.lists:
                raise EndpointError(f"{keepers[0]} is down")
            return self.lists[keepers[0]]

        monkeypatch.setattr(module, "get_endpoints", get)

    def watch(self, *keepers: str, **changes: Any) -> Watch:
        settings = GatewaySettings(7, keepers or ("a",), **changes)
        return Watch(settings, Endpoints(allow_private=False), self.pool)

    @property
    def hosts(self) -> list[str]:
        return [one.host for one in self.pool.targets]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


@pytest.mark.parametrize("allow_private", [False, True])
async def test_what_is_more_than_a_host_is_not_called(bench: Bench, allow_private: bool) -> None:
    bench.lists["a"] = listing(
        "node.example", "8.8.8.8", "2606:4700::1111", "u@127.0.0.1", "127.0.0.1/x?", "127.1", "a:b"
    )
    await bench.watch(allow_private=allow_private).look()
    assert bench.hosts == ["node.example", "8.8.8.8", "2606:4700::1111"]


async def test_private_addresses_are_called_where_they_may_be(bench: Bench) -> None:
    bench.lists["a"] = listing("127.0.0.1", "fe80::1", "fec0::1", "node")
    await bench.watch(allow_private=False).look()
    assert bench.hosts == ["node"]
    await bench.watch(allow_private=True).look()
    assert bench.pool.targets == tuple(
        Target(host, 80) for host in ("127.0.0.1", "fe80::1", "fec0::1", "node")
    )


async def test_a_keeper_that_reaches_no_node_is_not_believed_before_another_was_asked(
    bench: Bench,
) -> None:
    bench.lists = {"a": listing(replicas=1), "b": listing("node")}
    watch = bench.watch("a", "b")
    await watch.look()
    assert (bench.hosts, watch.trouble) == (["node"], "")
    await watch.look()
    assert (bench.hosts, bench.asked) == (["node"], ["a", "b", "b"])


@pytest.mark.parametrize("second", [None, listing(replicas=1)])
async def test_it_is_believed_where_no_other_tells_more(
    bench: Bench, second: EndpointList | None
) -> None:
    bench.lists = {"a": listing("node")} | ({} if second is None else {"b": second})
    watch = bench.watch("a", "b")
    await watch.look()
    bench.lists["a"] = listing(replicas=1)
    await watch.look()
    assert (bench.hosts, watch.trouble) == ([], "")
    assert bench.asked == ["a", "a", "b"]


async def test_a_job_without_replicas_has_none_whoever_is_asked(bench: Bench) -> None:
    bench.lists = {"a": listing(), "b": listing("node")}
    await bench.watch("a", "b").look()
    assert (bench.hosts, bench.asked) == ([], ["a"])


async def test_a_keeper_that_stays_down_is_told_of_once(bench: Bench) -> None:
    bench.lists = {"a": listing(replicas=1)}
    watch = bench.watch("a", "b")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await watch.look()
        bench.lists["b"] = listing("node")
        await watch.look()
    told = [(one["event"], one["keeper"]) for one in logs if "keeper" in one]
    assert told == [
        ("gateway: a keeper tells the replicas", "a"),
        ("gateway: a keeper tells no replicas", "b"),
        ("gateway: a keeper tells the replicas", "b"),
    ]
