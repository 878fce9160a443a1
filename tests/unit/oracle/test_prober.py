"""The prober against real servers: nodes that serve, that fail, and that cheat."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web

from workdeed.intent import Spec
from workdeed.oracle.endpoints import EndpointClient
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.meter import Meter
from workdeed.oracle.prober import Chance, Control, Prober
from workdeed.oracle.settings import ProbeSettings
from workdeed.oracle.tallies import WindowTally, evidence_root
from workdeed.oracle.targets import JobTarget, Target
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Probe

from .meters import RecordingMeter
from .servers import Handler, Node, as_json, replying, serving, workload
from .support import CLOCK, DOMAIN, ESCROW, FIRST_NODE, SPEC_HASH, account, key_of, until

BLOCK_HASH = keccak(b"settled block")
W = 5


def spec(**changes: Any) -> Spec:
    content = {
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://git.test/hello", "commit": "0" * 40}},
        "run": ("serve",),
        "port": {},
        "health": {"path": "/healthz"},
        "resources": {"cpu_milli": 100, "memory_mb": 100, "storage_mb": 100},
    }
    return Spec.model_validate(content | changes)


@dataclass
class Bench:
    """A prober with what it needs, and the servers that it probes."""

    folder: Path
    stack: AsyncExitStack
    settings: ProbeSettings = field(
        default_factory=lambda: ProbeSettings(timeout=5.0, grace_windows=0)
    )
    specs: dict[bytes, Spec] = field(default_factory=dict)
    now: float = float(CLOCK.start(W) + 1)
    allow_private: bool = True
    control: Control | None = None
    chance: Chance | None = None
    meter: Meter | None = None
    targets: list[Target] = field(default_factory=list)

    async def open(self) -> Prober:
        client = EndpointClient(allow_private=self.allow_private)
        await self.stack.enter_async_context(client)
        self.evidence = EvidenceLog(self.folder)
        self.stack.callback(self.evidence.shut)
        self.prober = Prober(
            client,
            DOMAIN,
            CLOCK,
            lambda: self.now,
            settings=self.settings,
            evidence=self.evidence,
            specs=self.specs.get,
            control=self.control,
            chance=self.chance or Chance(random.Random(1)),
            meter=self.meter,
        )
        self.watch(W)
        return self.prober

    def watch(self, window: int) -> None:
        self.now = float(CLOCK.start(window) + 1)
        self.prober.watch(window, BLOCK_HASH, self.targets)

    async def serve(self, handlers: dict[str, Handler]) -> int:
        return await self.stack.enter_async_context(serving(handlers))

    async def node(
        self,
        node: Node,
        handler: Handler | None = None,
        *,
        host: str = "127.0.0.1",
        jobs: Sequence[int] = (1,),
    ) -> int:
        """Serve a node and make it a target; return its port."""
        port = await self.serve({"POST /probe": handler or node.handle})
        self.add(node, f"http://{host}:{port}", jobs=jobs)
        return port

    def add(
        self, node: Node, endpoint: str, *, jobs: Sequence[int] = (1,), linked: bool = True
    ) -> None:
        items = tuple(
            JobTarget(Pair(ESCROW, one, node.license_id), 0, {0: SPEC_HASH}, 1, 1, False, 1)
            for one in jobs
        )
        key = account("node", node.index) if linked else None
        self.targets.append(Target(node.license_id, key, endpoint, items))

    def close(self, window: int = W) -> WindowTally:
        pairs = tuple(sorted(job.pair for one in self.targets for job in one.jobs))
        return self.prober.close_window(window, pairs)

    async def figure(self, times: int = 1) -> int:
        """Probe, and return the figure of the only pair."""
        prober = await self.open()
        for _ in range(times):
            await prober.probe_all()
        (found,) = self.close().figures
        return found


@dataclass
class Crowd:
    """Nodes that take their time, and how many of them answered at a time."""

    nodes: Sequence[Node]
    under_way: int = 0
    most: int = 0

    def handler(self, node: Node) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            for _ in range(50):
                await asyncio.sleep(0)
            self.under_way -= 1
            return as_json(node.answer(await node.read(request)))

        return handle


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(tmp_path, stack)


class TestGoodNode:
    async def test_it_gets_the_full_figure_with_evidence(self, bench: Bench) -> None:
        node = Node()
        await bench.node(node)
        prober = await bench.open()
        for _ in range(3):
            await prober.probe_all()
        found = bench.close()
        assert found.figures == (UNIT,)
        kept = list(bench.evidence.answers(W))
        assert len(kept) == 3
        assert found.evidence_root == evidence_root(b"".join(map(keccak, kept)))
        assert found.evidence_root != bytes(32)

    async def test_its_probes_carry_fresh_nonces_the_window_and_a_settled_block(
        self, bench: Bench
    ) -> None:
        node = Node()
        await bench.node(node)
        assert await bench.figure(times=5) == UNIT
        assert len({probe.nonce for probe in node.probes}) == 5
        assert {(one.window, one.block_hash) for one in node.probes} == {(W, BLOCK_HASH)}

    async def test_one_probe_counts_for_all_of_its_jobs(self, bench: Bench) -> None:
        node = Node(workloads=[workload(1), workload(2, healthy=False)])
        await bench.node(node, jobs=(1, 2, 3))
        prober = await bench.open()
        await prober.probe_all()
        assert bench.close().figures == (UNIT, 0, 0)
        assert len(node.probes) == 1

    async def test_probes_count_in_the_window_in_which_they_are_sent(self, bench: Bench) -> None:
        node = Node(holds=True)
        await bench.node(node)
        prober = await bench.open()
        sent = asyncio.create_task(prober.probe_all())
        await until(lambda: bool(node.probes))
        bench.watch(W + 1)
        node.release.set()
        await sent
        assert bench.close(W).figures == (UNIT,)
        assert bench.close(W + 1).figures == (UNKNOWN,)

    async def test_an_answer_after_the_close_counts_nowhere(self, bench: Bench) -> None:
        node = Node(holds=True)
        await bench.node(node)
        prober = await bench.open()
        sent = asyncio.create_task(prober.probe_all())
        await until(lambda: bool(node.probes))
        assert bench.close(W).figures == (UNKNOWN,)
        node.release.set()
        await sent
        assert bench.evidence.size(W) == 0


class TestBadNode:
    """Each of these earns nothing, and leaves no evidence."""

    async def zero(self, bench: Bench) -> None:
        assert await bench.figure() == 0
        assert bench.evidence.size(W) == 0

    async def test_it_replays_an_old_answer(self, bench: Bench) -> None:
        node = Node()

        async def replay(request: web.Request) -> web.StreamResponse:
            await node.read(request)
            return as_json(node.answer(node.probes[0]))

        await bench.node(node, replay)
        assert await bench.figure(times=4) == UNIT // 4

    async def test_it_answers_for_another_window(self, bench: Bench) -> None:
        node = Node()

        async def early(request: web.Request) -> web.StreamResponse:
            probe = await node.read(request)
            return as_json(node.answer(probe, window=W + 1))

        await bench.node(node, early)
        await self.zero(bench)

    async def test_it_signs_with_the_wrong_key(self, bench: Bench) -> None:
        node = Node()

        async def wrong(request: web.Request) -> web.StreamResponse:
            return as_json(node.answer(await node.read(request), key=key_of("node", 9)))

        await bench.node(node, wrong)
        await self.zero(bench)

    async def test_it_names_a_key_that_did_not_sign(self, bench: Bench) -> None:
        node = Node()

        async def forged(request: web.Request) -> web.StreamResponse:
            answer = node.answer(await node.read(request), key=key_of("node", 9))
            return as_json(answer.model_copy(update={"node": account("node", 0)}))

        await bench.node(node, forged)
        await self.zero(bench)

    async def test_it_gives_the_answer_of_another_license(self, bench: Bench) -> None:
        node, other = Node(0), Node(1)

        async def borrowed(request: web.Request) -> web.StreamResponse:
            return as_json(other.answer(await node.read(request)))

        await bench.node(node, borrowed)
        await self.zero(bench)

    @pytest.mark.parametrize("change", [{"license_id": 999}, {"chain_id": 1}])
    async def test_it_names_another_license_or_chain(
        self, bench: Bench, change: dict[str, int]
    ) -> None:
        node = Node()

        async def other(request: web.Request) -> web.StreamResponse:
            changes: dict[str, Any] = dict(change)
            return as_json(node.answer(await node.read(request), **changes))

        await bench.node(node, other)
        await self.zero(bench)

    async def test_it_does_not_answer_in_time(self, bench: Bench) -> None:
        bench.settings = ProbeSettings(timeout=0.05, grace_windows=0)
        node = Node(holds=True)
        await bench.node(node)
        await self.zero(bench)
        node.release.set()

    async def test_it_redirects_to_a_good_node(self, bench: Bench) -> None:
        good = Node()
        port = await bench.serve({"POST /probe": good.handle})
        location = {"Location": f"http://127.0.0.1:{port}/probe"}
        await bench.node(Node(), replying(307, location))
        await self.zero(bench)
        assert good.probes == []

    async def test_it_sends_ten_megabytes(self, bench: Bench) -> None:
        node = Node()

        async def flood(request: web.Request) -> web.StreamResponse:
            body = node.answer(await node.read(request)).to_json()
            return web.Response(body=body + b" " * 10_000_000)

        await bench.node(node, flood)
        await self.zero(bench)

    @pytest.mark.parametrize("body", [b"", b"{}", b"no json", b"[]", bytes(1_000)])
    async def test_it_babbles(self, bench: Bench, body: bytes) -> None:
        await bench.node(Node(), replying(200, body=body))
        await self.zero(bench)

    @pytest.mark.parametrize("status", [204, 404, 500])
    async def test_it_answers_an_error(self, bench: Bench, status: int) -> None:
        await bench.node(Node(), replying(status))
        await self.zero(bench)

    async def test_nobody_is_there(self, bench: Bench) -> None:
        async with serving({}) as port:
            pass
        bench.add(Node(), f"http://127.0.0.1:{port}")
        await self.zero(bench)

    @pytest.mark.parametrize("endpoint", ["", "nonsense", "http://nowhere.invalid:1"])
    async def test_it_announces_no_usable_endpoint(self, bench: Bench, endpoint: str) -> None:
        bench.add(Node(), endpoint)
        await self.zero(bench)

    async def test_its_address_is_private(self, bench: Bench) -> None:
        bench.allow_private = False
        node = Node()
        await bench.node(node)
        await self.zero(bench)
        assert node.probes == []

    async def test_no_key_is_linked_to_its_license(self, bench: Bench) -> None:
        node = Node()
        port = await bench.serve({"POST /probe": node.handle})
        bench.add(node, f"http://127.0.0.1:{port}", linked=False)
        await self.zero(bench)


class TestDoubles:
    async def test_one_agent_that_answers_for_two_licenses_is_paid_once(self, bench: Bench) -> None:
        for index in (1, 0):
            await bench.node(Node(index, instance=b"i" * 16))
        prober = await bench.open()
        await prober.probe_all()
        found = bench.close()
        assert found.figures == (UNIT, 0)
        assert found.doubles == {FIRST_NODE + 1: FIRST_NODE}

    async def test_one_socket_under_two_names_is_paid_once(self, bench: Bench) -> None:
        nodes = {"127.0.0.1": Node(0), "localhost": Node(1)}

        async def handle(request: web.Request) -> web.StreamResponse:
            return await nodes[request.host.partition(":")[0]].handle(request)

        port = await bench.serve({"POST /probe": handle})
        for host, node in nodes.items():
            bench.add(node, f"http://{host}:{port}")
        prober = await bench.open()
        await prober.probe_all()
        assert bench.close().figures == (UNIT, 0)

    async def test_one_workload_behind_two_nodes_is_paid_once(self, bench: Bench) -> None:
        shared = await bench.serve({"GET /{any:.*}": replying(200)})
        for index in (0, 1):
            await bench.node(Node(index, workloads=[workload(port=shared)]))
        prober = await bench.open()
        await prober.probe_all()
        assert bench.close().figures == (UNIT, 0)

    async def test_one_workload_for_two_jobs_of_a_node_is_paid_once(self, bench: Bench) -> None:
        shared = await bench.serve({"GET /{any:.*}": replying(200)})
        both = [workload(1, port=shared), workload(2, port=shared)]
        await bench.node(Node(workloads=both), jobs=(1, 2))
        prober = await bench.open()
        await prober.probe_all()
        assert bench.close().figures == (UNIT, 0)

    async def test_an_answer_that_is_not_valid_takes_nobodys_pay(self, bench: Bench) -> None:
        """A license may announce the endpoint of another; that harms the other in nothing."""
        honest = Node(1)
        port = await bench.node(honest)
        bench.add(Node(0), f"http://127.0.0.1:{port}")
        prober = await bench.open()
        await prober.probe_all()
        assert bench.close().figures == (0, UNIT)


class TestManyWorkloads:
    async def test_each_job_is_judged_by_its_own_workloads(self, bench: Bench) -> None:
        """Those with a port are asked, those without are taken at the node's word."""
        up = await bench.serve({"GET /": replying(200)})
        async with serving({}) as down:
            pass
        works = [workload(1, port=up), workload(2), workload(3, port=down), workload(4, revision=0)]
        works.append(workload(5, spec_hash=keccak(b"another spec")))
        await bench.node(Node(workloads=works), jobs=(1, 2, 3, 4, 5, 6))
        prober = await bench.open()
        await prober.probe_all()
        assert bench.close().figures == (UNIT, UNIT, 0, UNIT, 0, 0)


class TestWorkload:
    async def with_workload(
        self, bench: Bench, handlers: dict[str, Handler] | None, known: Spec | None
    ) -> int:
        port = await bench.serve(handlers) if handlers is not None else None
        if known is not None:
            bench.specs[SPEC_HASH] = known
        await bench.node(Node(workloads=[workload(port=port)]))
        return await bench.figure()

    @pytest.mark.parametrize(("status", "figure"), [(200, UNIT), (204, UNIT), (500, 0), (302, 0)])
    async def test_its_health_check_decides(self, bench: Bench, status: int, figure: int) -> None:
        handlers = {"GET /healthz": replying(status, {"Location": "/ok"}), "GET /ok": replying(200)}
        assert await self.with_workload(bench, handlers, spec()) == figure

    async def test_without_a_health_check_any_answer_will_do(self, bench: Bench) -> None:
        known = spec(health=None)
        assert await self.with_workload(bench, {"GET /": replying(500)}, known) == UNIT

    @pytest.mark.parametrize(
        "health",
        [
            {"kind": "tcp"},
            {"kind": "command", "run": ["true"]},
            {"kind": "delay", "delay_ms": 0},
            {"path": "/healthz", "port": "admin"},
        ],
    )
    async def test_a_check_that_is_not_of_http_on_the_main_port_asks_for_a_connection_alone(
        self, bench: Bench, health: dict[str, Any]
    ) -> None:
        silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with silent:
            port = silent.sockets[0].getsockname()[1]
            ports = ({"name": "admin", "env": "ADMIN"},)
            bench.specs[SPEC_HASH] = spec(health=health, ports=ports)
            await bench.node(Node(workloads=[workload(port=port)]))
            assert await bench.figure() == UNIT

    async def test_where_nobody_takes_the_connection_it_is_down(self, bench: Bench) -> None:
        async with serving({}) as port:
            pass
        bench.specs[SPEC_HASH] = spec(health={"kind": "tcp"})
        await bench.node(Node(workloads=[workload(port=port)]))
        assert await bench.figure() == 0

    async def test_as_long_as_the_spec_is_not_here_too(self, bench: Bench) -> None:
        assert await self.with_workload(bench, {"GET /": replying(404)}, None) == UNIT

    async def test_a_port_that_nobody_listens_on_is_down(self, bench: Bench) -> None:
        async with serving({}) as port:
            pass
        await bench.node(Node(workloads=[workload(port=port)]))
        assert await bench.figure() == 0

    async def test_a_missing_port_is_down(self, bench: Bench) -> None:
        assert await self.with_workload(bench, None, spec()) == 0

    async def test_a_job_without_a_port_is_the_nodes_word(self, bench: Bench) -> None:
        assert await self.with_workload(bench, None, spec(port=None, health=None)) == UNIT


class TestTime:
    @pytest.mark.parametrize(
        ("now", "sent"),
        [
            (CLOCK.start(W) - 0.1, 0),
            (CLOCK.start(W), 1),
            (CLOCK.end(W) - 5.1, 1),
            (CLOCK.end(W) - 4.9, 0),
            (CLOCK.end(W) + 1.0, 0),
        ],
    )
    async def test_probes_are_sent_only_where_they_end_in_their_window(
        self, bench: Bench, now: float, sent: int
    ) -> None:
        node = Node()
        await bench.node(node)
        prober = await bench.open()
        bench.now = now
        await prober.probe_all()
        assert len(node.probes) == sent

    async def test_a_window_may_be_made_unknown(self, bench: Bench) -> None:
        await bench.node(Node())
        prober = await bench.open()
        await prober.probe_all()
        prober.mark_unknown(W, "the clock is off")
        found = bench.close()
        assert found.figures == (UNKNOWN,)
        assert found.reason == "the clock is off"

    async def test_nothing_is_probed_before_something_is_watched(self, bench: Bench) -> None:
        client = EndpointClient(allow_private=True)
        settings = ProbeSettings()
        evidence = EvidenceLog(bench.folder)
        prober = Prober(
            client,
            DOMAIN,
            CLOCK,
            lambda: 0.0,
            settings=settings,
            evidence=evidence,
            specs=lambda _: None,
        )
        await prober.probe_all()
        assert prober.watched == 0
        await client.close()


class TestMeter:
    """What a probe was, and what it said, is told once."""

    async def test_a_good_answer(self, bench: Bench) -> None:
        bench.meter = meter = RecordingMeter()
        await bench.node(Node(workloads=[workload(1), workload(2, healthy=False)]), jobs=(1, 2))
        prober = await bench.open()
        await prober.probe_all()
        tally = bench.close()
        assert [one for one in meter.told if one[0] != "probed"] == [
            ("watching", [FIRST_NODE]),
            ("judged", ["ok", "bad"]),
            ("kept",),
            ("closed", W, tally),
        ]
        ((_, license_id, seconds, answered),) = [one for one in meter.told if one[0] == "probed"]
        assert (license_id, answered) == (FIRST_NODE, True)
        assert seconds > 0

    async def test_no_answer(self, bench: Bench) -> None:
        bench.meter = meter = RecordingMeter()
        bench.add(Node(), "http://127.0.0.1:1")
        prober = await bench.open()
        await prober.probe_all()
        assert [one[3] for one in meter.told if one[0] == "probed"] == [False]
        assert ("judged", ["bad"]) in meter.told
        assert ("kept",) not in meter.told

    async def test_an_answer_after_the_close_is_a_probe_without_a_verdict(
        self, bench: Bench
    ) -> None:
        bench.meter = meter = RecordingMeter()
        node = Node(holds=True)
        await bench.node(node)
        prober = await bench.open()
        sent = asyncio.create_task(prober.probe_all())
        await until(lambda: bool(node.probes))
        bench.close()
        node.release.set()
        await sent
        assert [one[0] for one in meter.told] == ["watching", "closed", "probed"]

    async def test_a_disk_that_is_full_is_a_fault(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.meter = meter = RecordingMeter()
        await bench.node(Node())
        prober = await bench.open()
        full = OSError(errno.ENOSPC, "no space left on device")
        monkeypatch.setattr(bench.evidence, "add", Mock(side_effect=full))
        await prober.probe_all()
        assert ("fault", full) in meter.told
        assert bench.close().reason == "a probe broke"


class FakeTime:
    """A clock that stands still until it is slept on, and stops the run when its time is over."""

    def __init__(self, seconds: float, on_sleep: Callable[[], None] = lambda: None) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.on_sleep = on_sleep
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()
        if self.now >= self.seconds:
            self.over.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    @property
    def chance(self) -> Chance:
        return Chance(random.Random(7), monotonic=lambda: self.now, sleep=self.sleep)


async def run_until_over(prober: Prober, time: FakeTime) -> None:
    task = asyncio.create_task(prober.run())
    await time.over.wait()
    await until(lambda: not prober._running)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class TestRun:
    async def test_every_node_is_probed_about_once_an_interval(self, bench: Bench) -> None:
        time = FakeTime(20.0)
        bench.chance = time.chance
        nodes = [Node(index) for index in range(3)]
        for node in nodes:
            await bench.node(node)
        prober = await bench.open()
        await run_until_over(prober, time)
        assert all(12 <= len(node.probes) <= 40 for node in nodes)

    async def crowd(self, bench: Bench) -> tuple[Prober, Crowd]:
        """Open a prober of three at a time for twelve nodes."""
        bench.settings = ProbeSettings(timeout=5.0, concurrency=3, grace_windows=0)
        crowd = Crowd([Node(index) for index in range(12)])
        for node in crowd.nodes:
            await bench.node(node, crowd.handler(node))
        return await bench.open(), crowd

    async def test_no_more_probes_are_under_way_than_allowed(self, bench: Bench) -> None:
        time = FakeTime(2.0)
        bench.chance = time.chance
        prober, crowd = await self.crowd(bench)
        await run_until_over(prober, time)
        assert crowd.most == 3
        assert all(node.probes for node in crowd.nodes)

    async def test_probing_all_once_asked_every_node_at_the_same_time(self, bench: Bench) -> None:
        prober, crowd = await self.crowd(bench)
        await prober.probe_all()
        assert crowd.most == 3
        assert all(len(node.probes) == 1 for node in crowd.nodes)

    async def test_a_node_that_is_dropped_is_not_probed_any_more(self, bench: Bench) -> None:
        stay, go = Node(0), Node(1)
        before = 0

        def drop() -> None:
            nonlocal before
            if time.now >= 10 and len(bench.targets) == 2:
                before = len(go.probes) + len(prober._running)
                bench.targets = bench.targets[:1]
                bench.watch(W)

        time = FakeTime(20.0, drop)
        bench.chance = time.chance
        for node in (stay, go):
            await bench.node(node)
        prober = await bench.open()
        await run_until_over(prober, time)
        assert len(go.probes) <= before
        assert len(stay.probes) > before

    async def test_one_that_rests_probes_nobody_until_it_is_told_to(self, bench: Bench) -> None:
        node, resting = Node(), range(10, 20)
        heard: list[int] = []
        turned: set[str] = set()

        def turn() -> None:
            if time.now >= resting.stop and "on" not in turned:
                turned.add("on")
                heard.append(len(node.probes))
                bench.watch(W)
            elif time.now >= resting.start and "off" not in turned:
                turned.add("off")
                heard.append(len(node.probes) + len(prober._running))
                prober.rest()

        time = FakeTime(30.0, turn)
        bench.chance = time.chance
        await bench.node(node)
        prober = await bench.open()
        await run_until_over(prober, time)
        assert heard[0] > 0
        assert heard[1] <= heard[0] < len(node.probes)

    async def test_a_fault_of_the_program_ends_neither_the_run_nor_counts_as_down(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        time = FakeTime(5.0)
        bench.chance = time.chance
        node = Node()
        await bench.node(node)
        prober = await bench.open()
        asked: list[Probe] = []

        async def broken(_: Target, probe: Probe) -> None:
            asked.append(probe)
            raise RuntimeError("a slip")

        monkeypatch.setattr(prober, "_ask", broken)
        await run_until_over(prober, time)
        assert len(asked) > 2
        assert bench.close().figures == (UNKNOWN,)

    @pytest.mark.parametrize(("is_up", "figure"), [(True, 0), (False, UNKNOWN)])
    async def test_when_nobody_answers_the_control_target_tells_whose_fault_it_is(
        self, bench: Bench, is_up: bool, figure: int
    ) -> None:
        asked = 0

        async def control() -> bool:
            nonlocal asked
            asked += 1
            return is_up

        time = FakeTime(10.0)
        bench.chance, bench.control = time.chance, control
        await bench.node(Node(), replying(500))
        prober = await bench.open()
        await run_until_over(prober, time)
        assert 0 < asked <= 12
        assert bench.close().figures == (figure,)

    async def test_while_nodes_answer_the_control_target_is_left_alone(self, bench: Bench) -> None:
        async def control() -> bool:
            raise AssertionError("asked")

        time = FakeTime(10.0)
        bench.chance, bench.control = time.chance, control
        await bench.node(Node())
        prober = await bench.open()
        await run_until_over(prober, time)
        assert bench.close().figures == (UNIT,)
