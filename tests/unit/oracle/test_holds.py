"""Workloads that their payer stopped count as served; nothing else that stands still does."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from workdeed.chain.bindings import desk
from workdeed.oracle.endpoints import EndpointClient
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.holds import Holds
from workdeed.oracle.prober import Chance, Prober
from workdeed.oracle.settings import ProbeSettings
from workdeed.oracle.targets import Target, targets_of
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.figures import UNIT, UNKNOWN
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Workload, sign
from workdeed.protocol.noderequest import NodeRequest
from workdeed.protocol.signing import address_of, to_checksum

from .servers import Node, serving, workload
from .support import CLOCK, DOMAIN, ESCROW, FIRST_NODE, Sim, account, key_of

W = 3
PAYER, DELEGATE, STRANGER = key_of("payer"), key_of("delegate"), key_of("stranger")
SECOND = keccak(b"spec of revision 1")


def stop(key: bytes = PAYER, *, domain: Domain = DOMAIN, **changes: Any) -> NodeRequest:
    content = {
        "escrow": ESCROW,
        "job_id": 1,
        "license_id": FIRST_NODE,
        "revision": 0,
        "action": "stop",
        "asked_at": (CLOCK.start(2) + 1) * 1_000,
        "account": address_of(key),
    }
    return sign(NodeRequest(**(content | changes)), domain, key)


def stopped(**changes: Any) -> Workload:
    return workload(**changes).model_copy(update={"state": "stopped", "healthy": False})


@dataclass
class Bench:
    """A job on one node that stands still, and an oracle that probes it."""

    folder: Path
    stack: AsyncExitStack
    sim: Sim = field(default_factory=lambda: Sim(nodes=1))
    node: Node = field(default_factory=lambda: Node(workloads=(stopped(),)))
    shown: NodeRequest | bytes | None = None
    asked: int = 0

    async def figure(self, times: int = 1, window: int = W) -> int:
        """Probe, and return what the window's figure would be."""
        handlers = {"POST /probe": self.node.handle, "GET /jobs/1/hold": self._hold}
        port = await self.stack.enter_async_context(serving(handlers))
        self.sim.to_window(window)
        (target,) = targets_of(self.sim.books, self.sim.books, window)
        target = replace(target, endpoint=f"http://127.0.0.1:{port}")
        prober = await self._prober(target, window)
        for _ in range(times):
            await prober.probe_all()
        (figure,) = prober.close_window(window, tuple(job.pair for job in target.jobs)).figures
        return figure

    async def _prober(self, target: Target, window: int) -> Prober:
        client = await self.stack.enter_async_context(EndpointClient(allow_private=True))
        evidence = EvidenceLog(self.folder)
        self.stack.callback(evidence.shut)

        def now() -> float:
            return float(CLOCK.start(window) + 1)

        holds = Holds(client, DOMAIN, CLOCK, lambda: self.sim.books, now, seconds=5.0)
        prober = Prober(
            client,
            DOMAIN,
            CLOCK,
            now,
            settings=ProbeSettings(timeout=5.0, grace_windows=0),
            evidence=evidence,
            specs=lambda _: None,
            chance=Chance(random.Random(1)),
            holds=holds,
        )
        prober.watch(window, bytes(32), [target])
        return prober

    async def _hold(self, _: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.shown is None:
            return web.Response(status=404)
        body = self.shown if isinstance(self.shown, bytes) else self.shown.to_json()
        return web.Response(body=body, content_type="application/json")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        made = Bench(tmp_path, stack)
        made.sim.open_job(1, windows=20)
        made.sim.place(1, [FIRST_NODE])
        yield made


async def test_a_stop_by_the_payer_s_own_word_costs_the_operator_nothing(bench: Bench) -> None:
    bench.shown = stop()
    assert await bench.figure(times=3) == UNIT
    assert bench.asked == 1, "what was shown once is not asked for again"


async def test_a_stop_without_a_word_is_no_service(bench: Bench) -> None:
    assert await bench.figure() == 0


async def test_a_delegate_who_may_revise_may_stop(bench: Bench) -> None:
    bench.shown = stop(DELEGATE)
    payer, delegate = account("payer"), account("delegate")
    bench.sim.log(desk.Granted(payer, delegate, desk.REVISE | desk.OPEN, 0, 2**40))
    assert await bench.figure() == UNIT


@pytest.mark.parametrize("how", ["none", "other scopes", "over", "taken back", "of another"])
async def test_one_whom_the_payer_does_not_trust_with_it_may_not(bench: Bench, how: str) -> None:
    bench.shown = stop(DELEGATE)
    payer, delegate, other = account("payer"), account("delegate"), account("stranger")
    granted = {
        "none": [],
        "other scopes": [desk.Granted(payer, delegate, 31 - desk.REVISE, 0, 2**40)],
        "over": [desk.Granted(payer, delegate, desk.REVISE, 0, CLOCK.start(W) + 1)],
        "taken back": [
            desk.Granted(payer, delegate, desk.REVISE, 0, 2**40),
            desk.Granted(payer, delegate, 0, 0, 0),
        ],
        "of another": [desk.Granted(other, delegate, desk.REVISE, 0, 2**40)],
    }
    for event in granted[how]:
        bench.sim.log(event)
    assert await bench.figure() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"action": "restart"},
        {"action": "resume"},
        {"job_id": 2},
        {"license_id": FIRST_NODE + 1},
        {"escrow": to_checksum(b"\xef" * 20)},
        {"revision": 1},
        {"asked_at": (CLOCK.start(1) - 1) * 1_000},
        {"domain": Domain(COMMITTEE_DOMAIN, 1, DOMAIN.contract)},
        {"key": STRANGER},
    ],
)
async def test_another_request_is_no_hold(bench: Bench, change: dict[str, Any]) -> None:
    bench.shown = stop(**change)
    assert await bench.figure() == 0


@pytest.mark.parametrize(
    "shown",
    [b"", b"{}", b"x" * 100_000, stop().model_copy(update={"signature": bytes(65)}).to_json()],
    ids=["nothing", "no request", "too long", "unsigned"],
)
async def test_what_is_no_signed_request_is_no_hold(bench: Bench, shown: bytes) -> None:
    bench.shown = shown
    assert await bench.figure() == 0


@pytest.mark.parametrize("state", ["failed", "lost", "pending", "starting", "unhealthy"])
async def test_what_does_not_stand_still_by_plan_is_not_held(bench: Bench, state: str) -> None:
    """A node must not be paid for a crash because it was stopped once."""
    work = stopped().model_copy(update={"state": state})
    bench.node.workloads = (work,)
    bench.shown = stop()
    assert await bench.figure() == 0
    assert bench.asked == 0


async def test_a_newer_revision_cannot_be_sat_out(bench: Bench) -> None:
    bench.shown = stop()
    bench.sim.to_window(2)
    bench.sim.log(desk.JobRevised(1, 1, 2, SECOND))
    bench.node.workloads = (stopped(), stopped(revision=1, spec_hash=SECOND))
    # Not known how long its rollout may take, as its spec is not held here; but not served.
    assert await bench.figure() == UNKNOWN


async def test_a_hold_of_an_earlier_term_cannot_be_sat_out(bench: Bench) -> None:
    bench.shown = stop()
    bench.sim.to_window(3)
    bench.sim.place(1, release=[FIRST_NODE])
    bench.sim.to_window(5)
    bench.sim.place(1, [FIRST_NODE])
    assert await bench.figure(window=7) == 0


async def test_a_workload_of_another_spec_is_not_held(bench: Bench) -> None:
    bench.node.workloads = (stopped(spec_hash=SECOND),)
    bench.shown = stop()
    assert await bench.figure() == 0


async def test_a_grant_that_is_taken_back_ends_the_hold(bench: Bench) -> None:
    bench.shown = stop(DELEGATE)
    payer, delegate = account("payer"), account("delegate")
    bench.sim.log(desk.Granted(payer, delegate, desk.REVISE, 0, 2**40))
    assert await bench.figure() == UNIT
    bench.sim.log(desk.Granted(payer, delegate, 0, 0, 0))
    assert await bench.figure(window=W + 1) == 0
