"""The duty that asks nodes for the steps of a rollout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from books_support import ESCROW, MEMBER_KEYS, MEMBERS, Chain
from http_support import FakeEndpoints
from rollout_support import SimReplica
from test_replicas import NODE, spec

from workdeed.chain.keys import LocalSigner
from workdeed.intent import encode_spec, spec_hash
from workdeed.keeper.logs import OnceLog, get_log
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.replicas import Lookout
from workdeed.keeper.rollout import Decision
from workdeed.keeper.rollouts import (
    LONGEST_LOOK_SECONDS,
    LOOK_SECONDS,
    REPEAT_SECONDS,
    REST_SECONDS,
    STAGGER_SECONDS,
    Asking,
    Rollouts,
    rollouts,
)
from workdeed.keeper.specs import SpecReader, SpecStore
from workdeed.keeper.statuses import Statuses
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.messages import DispatchReply, Status
from workdeed.protocol.noderequest import NodeRequest
from workdeed.sdk.errors import EndpointError, StatusError

DOMAIN = Domain(COMMITTEE_DOMAIN, 31_337, ESCROW)
SPEC = encode_spec(spec(rollout={"policy": "rolling", "settle_ms": 2_000}))


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Fleet:
    """Simulated nodes behind scripted endpoints; `requests` are what they were asked."""

    def __init__(self, endpoints: FakeEndpoints, count: int, old: int) -> None:
        self.replicas = {one: SimReplica(one, left=0) for one in range(1, count + 1)}
        self.requests: list[NodeRequest] = []
        self.refuses = ""
        self._old = old
        for license_id in self.replicas:
            base = f"http://node{license_id}"
            endpoints.on("GET", f"{base}/status", self._status(license_id))
            endpoints.on("POST", f"{base}/requests", self._request(license_id))

    def _status(self, license_id: int) -> Any:
        def answer(_: bytes) -> bytes:
            replica = self.replicas[license_id]
            if replica.cut_off:
                raise EndpointError(f"http://node{license_id}: no answer in time")
            works = tuple(
                one.model_copy(update={"revision": one.revision - 3}) for one in replica.works()
            )
            return Status(license_id=license_id, node=NODE, workloads=works).to_json()

        return answer

    def _request(self, license_id: int) -> Any:
        def answer(body: bytes) -> bytes:
            request = NodeRequest.parse(body)
            assert request.license_id == license_id
            assert request.verify(DOMAIN) in MEMBERS
            if self.refuses:
                raise StatusError(self.refuses, 403)
            self.requests.append(request)
            self.replicas[license_id].do(request.action, request.argument)
            return DispatchReply(state="pending").to_json()

        return answer

    def tick(self) -> None:
        for one in self.replicas.values():
            one.tick()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoints() -> FakeEndpoints:
    return FakeEndpoints()


@pytest.fixture
def fleet(endpoints: FakeEndpoints) -> Fleet:
    return Fleet(endpoints, 3, 0)


@pytest.fixture
def specs(tmp_path: Path) -> SpecStore:
    store = SpecStore(tmp_path / "specs")
    store.put(spec_hash(SPEC), SPEC)
    return store


@pytest.fixture
def revised() -> Chain:
    """A committee of two, and job 1 on three licenses, whose spec was just replaced."""
    chain = Chain()
    chain.found(members=2)
    for number in (1, 2, 3):
        chain.license(number, endpoint=f"http://node{number}")
    chain.open_job(1, slots=3)
    chain.place(1, [1, 2, 3])
    chain.revise(1, SPEC)
    return chain


def keeper(
    member: int,
    endpoints: FakeEndpoints,
    specs: SpecStore,
    once: OnceLog,
    metrics: Metrics,
    clock: Clock,
) -> Rollouts:
    asking = Asking(LocalSigner(MEMBER_KEYS[member]), DOMAIN, ESCROW, endpoints)
    lookout = Lookout(ESCROW, AddressBook({}), Statuses(endpoints, now=clock))
    return Rollouts(
        asking, lookout, SpecReader(specs), get_log(), once, metrics, now=clock, wall=clock
    )


@pytest.fixture
def first(
    endpoints: FakeEndpoints, specs: SpecStore, once: OnceLog, metrics: Metrics, clock: Clock
) -> Rollouts:
    """The keeper whose turn it is first: the lot is the job's number."""
    return keeper(1, endpoints, specs, once, metrics, clock)


async def run(duty: Rollouts, chain: Chain) -> None:
    await duty.run(chain.view())
    await duty.settle()


async def play(duty: Rollouts, chain: Chain, fleet: Fleet, clock: Clock, seconds: int) -> None:
    for _ in range(seconds):
        fleet.tick()
        clock.now += LOOK_SECONDS + 0.1
        await run(duty, chain)


def test_only_revised_jobs_that_run_are_rolled_out(revised: Chain) -> None:
    revised.open_job(2)
    revised.place(2, [1])
    assert rollouts(revised.view()) == [(1, 1, (1, 2, 3))]
    revised.close(1, 0)
    assert rollouts(revised.view()) == []


async def test_it_brings_the_new_revision_to_all(
    first: Rollouts, revised: Chain, fleet: Fleet, clock: Clock, metrics: Metrics
) -> None:
    await play(first, revised, fleet, clock, 40)
    assert all(one.settled for one in fleet.replicas.values())
    told = [(one.action, one.license_id) for one in fleet.requests]
    assert told == [
        ("take", 1),
        ("take", 2),
        ("take", 3),
        ("settle", 1),
        ("settle", 2),
        ("settle", 3),
    ]
    times = [one.asked_at for one in fleet.requests]
    assert times == sorted(set(times))
    sample = metrics.registry.get_sample_value
    assert sample("workdeed_rollout_steps_total", {"action": "take"}) == 3
    assert sample("workdeed_rollouts", {"phase": "steady"}) == 1
    assert sample("workdeed_rollouts", {"phase": "rolling"}) == 0


async def test_a_steady_job_is_looked_at_no_more_until_something_changes(
    first: Rollouts, revised: Chain, fleet: Fleet, clock: Clock, endpoints: FakeEndpoints
) -> None:
    await play(first, revised, fleet, clock, 40)
    endpoints.asked.clear()
    await play(first, revised, fleet, clock, 10)
    assert endpoints.asked == []
    revised.place(1, [], release=[3])
    await play(first, revised, fleet, clock, 1)
    assert len(endpoints.asked) == 2


async def test_one_that_fails_brings_all_back_and_says_why(
    first: Rollouts,
    revised: Chain,
    fleet: Fleet,
    clock: Clock,
    log_lines: list[dict[str, Any]],
    endpoints: FakeEndpoints,
) -> None:
    fleet.replicas[2].is_bad = True
    await play(first, revised, fleet, clock, 40)
    assert {one.stage for one in fleet.replicas.values()} == {"old"}
    reason = "license 2: it was not well in time"
    assert {one.argument for one in fleet.requests if one.action == "abandon"} == {reason}
    phases = [line["phase"] for line in log_lines if line["event"] == "rollout"]
    assert phases == ["rolling", "reverting", "reverted"]
    endpoints.asked.clear()
    await play(first, revised, fleet, clock, int(REST_SECONDS))
    assert 0 < len(endpoints.asked) <= 6


async def test_a_member_waits_for_the_one_before_it(
    endpoints: FakeEndpoints,
    specs: SpecStore,
    once: OnceLog,
    metrics: Metrics,
    clock: Clock,
    revised: Chain,
    fleet: Fleet,
) -> None:
    second = keeper(0, endpoints, specs, once, metrics, clock)
    await play(second, revised, fleet, clock, 1)
    assert fleet.requests == []
    clock.now += STAGGER_SECONDS
    await run(second, revised)
    assert [one.action for one in fleet.requests] == ["take"]


async def test_a_key_without_a_seat_moves_nothing(
    endpoints: FakeEndpoints,
    specs: SpecStore,
    once: OnceLog,
    metrics: Metrics,
    clock: Clock,
    revised: Chain,
    fleet: Fleet,
) -> None:
    stranger = keeper(2, endpoints, specs, once, metrics, clock)
    await play(stranger, revised, fleet, clock, 5)
    assert endpoints.asked == []


async def test_a_refusal_is_a_trouble_and_is_tried_again(
    first: Rollouts,
    revised: Chain,
    fleet: Fleet,
    clock: Clock,
    log_lines: list[dict[str, Any]],
) -> None:
    fleet.refuses = "account: it may not ask for take"
    await play(first, revised, fleet, clock, 3)
    troubles = [line["reason"] for line in log_lines if line["event"] == "trouble"]
    assert troubles == ["take: account: it may not ask for take"]
    fleet.refuses = ""
    clock.now += REPEAT_SECONDS
    await run(first, revised)
    assert [one.action for one in fleet.requests] == ["take"]


async def test_the_longer_nothing_moves_the_less_it_looks(
    first: Rollouts, revised: Chain, fleet: Fleet, clock: Clock, endpoints: FakeEndpoints
) -> None:
    """A license that never comes up must not keep many nodes busy for days."""
    fleet.replicas[1].cut_off = True
    await play(first, revised, fleet, clock, 300)
    endpoints.asked.clear()
    await play(first, revised, fleet, clock, 100)
    looks = endpoints.asked.count(("GET", "http://node2/status"))
    assert looks == pytest.approx(110 / LONGEST_LOOK_SECONDS, abs=2)
    fleet.replicas[1].cut_off = False
    await play(first, revised, fleet, clock, 60)
    assert all(one.settled for one in fleet.replicas.values())


async def test_a_fault_in_one_job_is_told_and_counted(
    first: Rollouts,
    revised: Chain,
    fleet: Fleet,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> Decision:
        raise RuntimeError("no such thing")

    monkeypatch.setattr("workdeed.keeper.rollouts.decision_of", broken)
    await run(first, revised)
    failures = metrics.registry.get_sample_value
    assert failures("workdeed_duty_failures_total", {"duty": "rollouts"}) == 1


async def test_a_fault_at_one_node_leaves_the_steps_of_others_alone(
    first: Rollouts,
    revised: Chain,
    fleet: Fleet,
    clock: Clock,
    endpoints: FakeEndpoints,
    metrics: Metrics,
    log_lines: list[dict[str, Any]],
) -> None:
    answer = endpoints.handlers["POST", "http://node1/requests"]

    def broken(body: bytes) -> Any:
        if NodeRequest.parse(body).action == "settle":
            raise RuntimeError("no such thing")
        return answer(body)

    endpoints.on("POST", "http://node1/requests", broken)
    await play(first, revised, fleet, clock, 40)
    assert [fleet.replicas[one].settled for one in (1, 2, 3)] == [False, True, True]
    reasons = [line["reason"] for line in log_lines if line["event"] == "trouble"]
    assert reasons == ["settle: RuntimeError: no such thing"]
    failures = metrics.registry.get_sample_value
    assert failures("workdeed_duty_failures_total", {"duty": "rollouts"}) >= 1


async def test_another_revision_is_another_rollout(
    first: Rollouts, revised: Chain, fleet: Fleet, clock: Clock, metrics: Metrics
) -> None:
    await play(first, revised, fleet, clock, 3)
    revised.revise(1, b"newer")
    await play(first, revised, fleet, clock, 1)
    assert rollouts(revised.view()) == [(1, 2, (1, 2, 3))]
    assert metrics.registry.get_sample_value("workdeed_rollouts", {"phase": "starting"}) == 1
    await first.close()
