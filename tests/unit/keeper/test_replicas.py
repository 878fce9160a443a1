"""What is seen of a job's replicas, and what is shown of them."""

from __future__ import annotations

from typing import Any

import pytest
from books_support import ESCROW, Chain
from http_support import FakeEndpoints
from rollout_support import status

from workdeed.intent import Spec
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.replicas import (
    Lookout,
    Seen,
    decision_of,
    endpoints_of,
    progress_of,
)
from workdeed.keeper.statuses import Statuses
from workdeed.protocol.messages import ServiceStatus, Status, WorkloadStatus
from workdeed.protocol.rollouts import Endpoint
from workdeed.protocol.signing import to_checksum

NODE = to_checksum(b"\x07" * 20)
COMMIT = "ab" * 20


def spec(**changes: Any) -> Spec:
    content = {
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://git.test/hello", "commit": "0" * 40}},
        "run": ["serve"],
        "rollout": {"policy": "rolling"},
        "resources": {"cpu_milli": 100, "memory_mb": 100, "storage_mb": 100},
    }
    return Spec.model_validate(content | changes)


def well(revision: int, port: int | None = 8_000, **changes: Any) -> WorkloadStatus:
    main = ServiceStatus(name="main", state="running", version=COMMIT, pid=1, port=port)
    found = status(revision, well=100, port=port, **changes)
    return found.model_copy(update={"services": (main,)})


@pytest.fixture
def revised(chain: Chain) -> Chain:
    """Licenses 1 to 3 serve job 1, whose spec was just replaced."""
    for number in (1, 2, 3):
        chain.license(number, endpoint=f"http://node{number}:9000")
    chain.open_job(1, slots=3)
    chain.place(1, [3, 1, 2])
    chain.revise(1, b"new spec")
    return chain


async def test_a_fault_at_one_node_leaves_the_others_in_sight(revised: Chain) -> None:
    def broken(_: bytes) -> bytes:
        raise RuntimeError("no such thing")

    endpoints = FakeEndpoints()
    endpoints.on("GET", "http://node1:9000/status", broken)
    told = Status(license_id=2, node=NODE, workloads=(well(0),))
    endpoints.on("GET", "http://node2:9000/status", told.to_json())
    one, two, _ = await Lookout(ESCROW, AddressBook({}), Statuses(endpoints)).look(revised.books, 1)
    assert "this keeper failed to read its status" in one.unreachable
    assert two.works == (well(0),)


async def test_each_node_is_asked_for_the_works_of_the_job(revised: Chain) -> None:
    endpoints = FakeEndpoints()
    others = (status(0, job_id=2), well(0).model_copy(update={"escrow": NODE}))
    told = Status(license_id=1, node=NODE, workloads=(well(0), *others))
    endpoints.on("GET", "http://node1:9000/status", told.to_json())
    lookout = Lookout(ESCROW, AddressBook({}), Statuses(endpoints))
    one, two, three = await lookout.look(revised.books, 1)
    assert one == Seen(1, "http://node1:9000", (well(0),))
    assert (two.license_id, two.unreachable) == (2, "http://node2:9000: connection refused")
    assert three.license_id == 3
    assert len(await lookout.look(revised.books, 1, 2)) == 2


def test_callers_go_to_those_that_are_well_and_stay(revised: Chain) -> None:
    seen = [
        Seen(1, "http://node1:9000", (well(0),)),
        Seen(2, "https://[2001:db8::1]:9000", (well(0, draining=True), well(1, 8_001))),
        Seen(3, "http://node3:9000", (well(0, draining=True),)),
        Seen(4, "http://node4:9000", (status(0, "unhealthy"),)),
        Seen(5, "http://node5:9000", (well(0, None),)),
        Seen(6, "http://node6:9000", unreachable="no answer"),
        Seen(7, "http://node7:9000", (status(0, "running"),)),
    ]
    found = endpoints_of(revised.books.jobs[1], seen)
    assert found.replicas == 3
    assert found.endpoints == (
        Endpoint(license_id=1, host="node1", port=8_000, revision=0, version=COMMIT),
        Endpoint(license_id=2, host="2001:db8::1", port=8_001, revision=1, version=COMMIT),
    )


def test_an_address_that_names_no_host_takes_nobody_else_off_the_list(revised: Chain) -> None:
    seen = [Seen(1, "http://[node:9000", (well(0),)), Seen(2, "http://node2:9000", (well(0),))]
    found = endpoints_of(revised.books.jobs[1], seen)
    assert [one.license_id for one in found.endpoints] == [2]


def test_progress_tells_of_every_replica(revised: Chain) -> None:
    job = revised.books.jobs[1]
    seen = [
        Seen(1, "http://node1", (well(0), status(1, "pending", ready=True))),
        Seen(2, "http://node2", (well(0),)),
        Seen(3, "http://node3", unreachable="no answer in time"),
    ]
    found = progress_of(job, spec(), seen, decision_of(job, spec(), seen))
    assert (found.policy, found.phase, found.revision) == ("rolling", "rolling", 1)
    assert found.reason == "at most 1 may be unavailable, and 3 are"
    states = [(one.state, one.revision, one.reason) for one in found.replicas]
    assert states == [
        ("ready", 0, ""),
        ("absent", 0, ""),
        ("unreachable", None, "no answer in time"),
    ]


def test_a_node_that_claims_an_unread_revision_stops_no_other(revised: Chain) -> None:
    job = revised.books.jobs[1]
    works = (well(0), status(1, "pending", ready=True))
    liar = (*works, well(10**9))
    seen = [Seen(1, "http://node1", works), Seen(2, "http://node2", liar)]
    two = spec(rollout={"policy": "rolling", "max_unavailable": 2})
    decision = decision_of(job, two, seen)
    assert [(one.license_id, one.action) for one in decision.steps] == [(1, "take")]
    told = progress_of(job, two, seen, decision).replicas[1]
    assert (told.state, told.revision) == ("unreachable", None)
    assert told.reason == (
        "it claims revision 1000000000, and this keeper has read no later one than 1"
    )


def test_without_the_spec_nothing_is_decided(revised: Chain) -> None:
    job = revised.books.jobs[1]
    seen = [Seen(1, "http://node1", (well(0), status(1, "pending", ready=True)))]
    decision = decision_of(job, None, seen)
    assert decision.steps == ()
    assert decision.reason == "the spec of revision 1 is not here yet"
    assert progress_of(job, None, seen, decision).policy == ""
