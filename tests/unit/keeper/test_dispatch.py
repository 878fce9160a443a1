"""Deliveries: what has to be where, and how it gets there."""

from __future__ import annotations

from pathlib import Path

import pytest
from books_support import ESCROW, Chain
from http_support import FakeEndpoints

from workdeed.chain.bindings import desk as events
from workdeed.keeper.dispatch import Dispatcher, deliveries
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.specs import SpecStore
from workdeed.keeper.statuses import Statuses
from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Dispatch, DispatchReply, Status, WorkloadStatus
from workdeed.protocol.signing import to_checksum
from workdeed.sdk.errors import EndpointError

SPEC = canonical_bytes({"name": "one"})
NODE = to_checksum(b"\x07" * 20)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeNode:
    """Takes dispatches and shows them in its status; `refuses` says why it does not."""

    def __init__(self, endpoints: FakeEndpoints, base: str) -> None:
        self.dispatched: list[Dispatch] = []
        self.forgotten = False
        self.refuses = ""
        endpoints.on("POST", f"{base}/dispatch", self._dispatch)
        endpoints.on("GET", f"{base}/status", self._status)

    def _dispatch(self, body: bytes) -> bytes:
        if self.refuses:
            raise EndpointError(self.refuses)
        self.dispatched.append(Dispatch.parse(body))
        return DispatchReply(state="pending").to_json()

    def _status(self, _: bytes) -> bytes:
        held = [] if self.forgotten else self.dispatched
        workloads = tuple(
            WorkloadStatus(
                escrow=one.escrow,
                job_id=one.job_id,
                revision=one.revision,
                state="running",
                pid=None,
                port=None,
            )
            for one in held
        )
        return Status(license_id=1, node=NODE, workloads=workloads).to_json()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoints() -> FakeEndpoints:
    return FakeEndpoints()


@pytest.fixture
def node(endpoints: FakeEndpoints) -> FakeNode:
    return FakeNode(endpoints, "http://node")


@pytest.fixture
def specs(tmp_path: Path) -> SpecStore:
    return SpecStore(tmp_path / "specs")


@pytest.fixture
def dispatcher(
    endpoints: FakeEndpoints, specs: SpecStore, once: OnceLog, metrics: Metrics, clock: Clock
) -> Dispatcher:
    book = AddressBook({})
    statuses = Statuses(endpoints, now=clock)
    return Dispatcher(
        ESCROW, book, endpoints, statuses, specs, once, metrics, verify_seconds=30, now=clock
    )


@pytest.fixture
def placed(chain: Chain, specs: SpecStore) -> Chain:
    """License 1 is placed on job 1, whose spec is here."""
    specs.put(keccak(SPEC), SPEC)
    chain.license(1)
    chain.open_job(1, slots=2, spec=SPEC)
    chain.place(1, [1])
    return chain


async def run(dispatcher: Dispatcher, chain: Chain) -> None:
    await dispatcher.run(chain.view())
    await dispatcher.settle()


def test_current_revisions_go_to_placed_licenses_until_the_end(placed: Chain) -> None:
    assert {(one.license_id, one.revision) for one in deliveries(placed.books, 1)} == {(1, 0)}
    placed.license(2)
    placed.place(1, [2])
    placed.revise(1, b"two")
    found = deliveries(placed.books, 1)
    assert {(one.license_id, one.revision, one.spec_hash) for one in found} == {
        (1, 1, keccak(b"two")),
        (2, 1, keccak(b"two")),
    }
    placed.place(1, [], release=[1])
    assert {one.license_id for one in deliveries(placed.books, 2)} == {2}
    assert deliveries(placed.books, 12) == set()
    placed.log(events.JobCancelled(1, 3, 0, 0))
    assert deliveries(placed.books, 2) != set()
    assert deliveries(placed.books, 3) == set()


async def test_a_spec_is_delivered_once(
    dispatcher: Dispatcher, node: FakeNode, placed: Chain, metrics: Metrics
) -> None:
    for _ in range(3):
        await run(dispatcher, placed)
    (message,) = node.dispatched
    assert (message.escrow, message.job_id, message.revision) == (ESCROW, 1, 0)
    assert message.spec == SPEC
    assert len(dispatcher.accepted) == 1
    assert metrics.registry.get_sample_value("workdeed_undelivered") == 0


async def test_a_node_that_refuses_is_asked_again_at_growing_pauses(
    dispatcher: Dispatcher, node: FakeNode, placed: Chain, clock: Clock, endpoints: FakeEndpoints
) -> None:
    node.refuses = "its RPC is behind"
    for _ in range(2):
        await run(dispatcher, placed)
    assert len(endpoints.asked) == 1
    clock.now += 0.25
    await run(dispatcher, placed)
    clock.now += 0.25
    await run(dispatcher, placed)
    assert len(endpoints.asked) == 2
    node.refuses = ""
    clock.now += 0.5
    await run(dispatcher, placed)
    assert len(node.dispatched) == 1


async def test_a_fault_at_a_delivery_is_met_again_at_growing_pauses(
    dispatcher: Dispatcher,
    placed: Chain,
    clock: Clock,
    endpoints: FakeEndpoints,
    metrics: Metrics,
    log_lines: list[dict[str, object]],
) -> None:
    """Its task died without a word, and began anew in every round."""

    def broken(_: bytes) -> bytes:
        raise RuntimeError("no such thing")

    endpoints.on("POST", "http://node/dispatch", broken)
    for _ in range(3):
        await run(dispatcher, placed)
    assert len(endpoints.asked) == 1
    assert log_lines[-1]["reason"] == "RuntimeError: no such thing"
    assert metrics.registry.get_sample_value("workdeed_dispatch_failures_total") == 1
    clock.now += 0.25
    await run(dispatcher, placed)
    assert len(endpoints.asked) == 2


async def test_a_node_that_lost_its_memory_gets_it_again(
    dispatcher: Dispatcher, node: FakeNode, placed: Chain, clock: Clock
) -> None:
    await run(dispatcher, placed)
    clock.now += 30
    await run(dispatcher, placed)
    assert len(node.dispatched) == 1
    node.forgotten = True
    clock.now += 30
    await run(dispatcher, placed)
    assert len(node.dispatched) == 2


async def test_a_missing_spec_and_a_missing_endpoint_are_troubles(
    dispatcher: Dispatcher,
    placed: Chain,
    log_lines: list[dict[str, object]],
    endpoints: FakeEndpoints,
    clock: Clock,
) -> None:
    placed.license(3, endpoint="")
    placed.place(1, [3])
    placed.revise(1, b"unknown")
    await run(dispatcher, placed)
    clock.now += 1
    await run(dispatcher, placed)
    reasons = [str(line["reason"]) for line in log_lines if line["event"] == "trouble"]
    assert sorted(reasons) == [
        "license 3 announces no endpoint",
        f"spec 0x{keccak(b'unknown').hex()} is not here yet",
    ]
    assert endpoints.asked == []


async def test_overrides_go_over_the_chain(
    endpoints: FakeEndpoints,
    specs: SpecStore,
    once: OnceLog,
    metrics: Metrics,
    placed: Chain,
) -> None:
    node = FakeNode(endpoints, "http://10.0.0.1:1")
    book = AddressBook({1: "http://10.0.0.1:1"})
    statuses = Statuses(endpoints)
    dispatcher = Dispatcher(
        ESCROW, book, endpoints, statuses, specs, once, metrics, verify_seconds=30
    )
    await run(dispatcher, placed)
    assert len(node.dispatched) == 1
    await dispatcher.close()


async def test_what_is_no_longer_wanted_is_forgotten(
    dispatcher: Dispatcher, node: FakeNode, placed: Chain
) -> None:
    await run(dispatcher, placed)
    placed.place(1, [], release=[1])
    await run(dispatcher, placed)
    assert dispatcher.accepted == frozenset()
    assert len(node.dispatched) == 1


async def test_one_look_at_a_node_serves_all_that_it_has(
    dispatcher: Dispatcher, node: FakeNode, placed: Chain, clock: Clock, endpoints: FakeEndpoints
) -> None:
    """Each placement had a look of its own: a core's work at 100,000 of them."""
    await run(dispatcher, placed)
    for job_id in (2, 3):
        clock.now += 7
        placed.open_job(job_id, spec=SPEC)
        placed.place(job_id, [1])
        await run(dispatcher, placed)
    assert len(node.dispatched) == 3
    endpoints.asked.clear()
    for _ in range(30):
        clock.now += 1
        await run(dispatcher, placed)
    assert endpoints.asked == [("GET", "http://node/status")]
    clock.now += 30
    await run(dispatcher, placed)
    assert len(endpoints.asked) == 2
