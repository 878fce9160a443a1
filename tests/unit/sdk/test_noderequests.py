"""Requests to nodes: signed for one node and time, and answers held to what was asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from workdeed.chain.keys import LocalSigner
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_BODY
from workdeed.protocol.noderequest import (
    MAX_LOG_BYTES,
    InspectionReply,
    LogReply,
    NodeRequest,
    PluginReply,
    ServicePort,
)
from workdeed.protocol.signing import to_checksum
from workdeed.sdk import noderequests as module
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError, SdkError
from workdeed.sdk.noderequests import NodeRequests, Replica

ESCROW, COMMITTEE = to_checksum(b"\xee" * 20), to_checksum(b"\xcc" * 20)
DOMAIN = Domain(COMMITTEE_DOMAIN, 31_337, COMMITTEE)
PAYER = LocalSigner(keccak(b"payer"))
REPLICA = Replica(3, 7, "http://node7:8470", 2, "cache")
INSPECTION = InspectionReply(
    revision=2,
    service="cache",
    state="running",
    reason="",
    version="0" * 40,
    cpu_ms=1_500,
    memory_bytes=10**7,
    disk_bytes=2**20,
    processes=3,
    restarts=1,
    ports=(ServicePort(name="main", port=8_080),),
)


class FakeEndpoints(Endpoints):
    def __init__(self) -> None:
        super().__init__(allow_private=True)
        self.asked: list[NodeRequest] = []
        self.answer = b"{}"

    async def send(
        self, method: str, base: str, path: str, body: bytes, max_bytes: int = MAX_BODY
    ) -> bytes:
        assert (method, base, path) == ("POST", REPLICA.endpoint, "/requests")
        self.asked.append(NodeRequest.parse(body))
        return self.answer


@dataclass
class Bench:
    """A session whose licenses announce these endpoints."""

    endpoints: FakeEndpoints = field(default_factory=FakeEndpoints)
    announced: dict[int, str] = field(default_factory=dict)
    placed: list[int] = field(default_factory=list)
    now: float = 1_700_000_000.0

    def open(self) -> NodeRequests:
        bench = self

        class Session:
            endpoints = bench.endpoints
            deployment = type("Deployment", (), {"domain": lambda _, name: DOMAIN})()
            suite: Any = type("Suite", (), {})

            async def read_all(self, calls: list[int]) -> list[str]:
                return [bench.announced.get(one, "") for one in calls]

        Session.suite.escrow = type("Escrow", (), {"address": ESCROW})
        Session.suite.licenses = type("Licenses", (), {"endpoint_of": staticmethod(int)})
        session: Any = Session()
        return NodeRequests(session, PAYER, now=lambda: self.now)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()

    async def placed(session: Any, job_id: int, job: Any) -> list[int]:
        return made.placed

    monkeypatch.setattr(module, "placed_licenses", placed)
    return made


async def test_a_request_is_signed_for_one_node_service_and_time(bench: Bench) -> None:
    requests = bench.open()
    for action in ("restart", "stop", "resume"):
        await getattr(requests, action)(REPLICA)
    assert [one.action for one in bench.endpoints.asked] == ["restart", "stop", "resume"]
    for one in bench.endpoints.asked:
        assert one.verify(DOMAIN) == PAYER.address
        assert (one.escrow, one.job_id, one.license_id) == (ESCROW, 3, 7)
        assert (one.revision, one.service) == (2, "cache")
    times = [one.asked_at for one in bench.endpoints.asked]
    assert times == [1_700_000_000_000 + index for index in range(3)]


async def test_a_clock_that_is_set_back_does_not_repeat_a_time(bench: Bench) -> None:
    requests = bench.open()
    await requests.stop(REPLICA)
    bench.now -= 50
    await requests.resume(REPLICA)
    first, second = (one.asked_at for one in bench.endpoints.asked)
    assert second > first


async def test_logs_are_asked_for_by_cursor(bench: Bench) -> None:
    bench.endpoints.answer = LogReply(data=b"\x1b[31mred\n", cursor="12").to_json()
    reply = await bench.open().logs(REPLICA, "7")
    assert (reply.data, reply.cursor) == (b"\x1b[31mred\n", "12")
    assert bench.endpoints.asked[0].argument == "7"


async def test_the_longest_piece_of_a_log_fits_a_body(bench: Bench) -> None:
    whole = LogReply(data=b"x" * MAX_LOG_BYTES, cursor="c" * 256).to_json()
    assert len(whole) <= MAX_BODY
    assert LogReply.parse(whole).data == b"x" * MAX_LOG_BYTES


async def test_an_inspection_is_of_what_was_asked_for(bench: Bench) -> None:
    bench.endpoints.answer = INSPECTION.to_json()
    assert await bench.open().inspect(REPLICA) == INSPECTION
    for change in ({"revision": 1}, {"service": "main"}):
        bench.endpoints.answer = INSPECTION.model_copy(update=change).to_json()
        with pytest.raises(EndpointError, match="something else"):
            await bench.open().inspect(REPLICA)


async def test_a_malformed_answer_is_told_by_its_node(bench: Bench) -> None:
    bench.endpoints.answer = b"<html>"
    with pytest.raises(EndpointError, match="http://node7:8470: its answer is malformed"):
        await bench.open().logs(REPLICA)


async def test_a_command_goes_to_an_instance_as_canonical_json(bench: Bench) -> None:
    bench.endpoints.answer = PluginReply(data=b'{"text":"Hello","rate":1.5}').to_json()
    requests = bench.open()
    assert await requests.command(REPLICA, "greet", {"name": "Ada", "at": 1}) == {
        "text": "Hello",
        "rate": 1.5,
    }
    await requests.command(REPLICA, "count", instance="french")
    assert [(one.action, one.argument) for one in bench.endpoints.asked] == [
        (
            "command",
            '{"arguments":{"at":1,"name":"Ada"},"command":"greet","instance":"main"}',
        ),
        ("command", '{"arguments":{},"command":"count","instance":"french"}'),
    ]


@pytest.mark.parametrize(
    ("answer", "applied"), [(b'{"applied":true}', True), (b'{"applied":false}', False)]
)
async def test_a_configuration_tells_whether_it_is_in_force(
    bench: Bench, answer: bytes, applied: bool
) -> None:
    bench.endpoints.answer = PluginReply(data=answer).to_json()
    assert await bench.open().configure(REPLICA, {"rate": 2}, instance="b") is applied
    (asked,) = bench.endpoints.asked
    assert (asked.action, asked.argument) == ("configure", '{"config":{"rate":2},"instance":"b"}')


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rate": 1.5}, "command: "),
        ({"text": "x" * 33_000}, "command: it has .* and may have 32768; send less"),
    ],
)
async def test_arguments_that_no_request_can_carry_are_not_sent(
    bench: Bench, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SdkError, match=sentence):
        await bench.open().command(REPLICA, "greet", arguments)
    assert bench.endpoints.asked == []


async def test_an_answer_of_a_plugin_that_is_no_json_is_told(bench: Bench) -> None:
    bench.endpoints.answer = PluginReply(data=b"{").to_json()
    with pytest.raises(EndpointError, match="its plugin's answer is no JSON"):
        await bench.open().command(REPLICA, "greet")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"service": "Foo"}, "service: 'Foo' is malformed"),
        ({"revision": -1}, "revision: -1 is malformed"),
        ({"license_id": 0}, "license_id: 0 is malformed"),
    ],
)
async def test_what_no_request_can_name_is_told_by_its_field(
    bench: Bench, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SdkError, match=sentence):
        await bench.open().restart(replace(REPLICA, **changes))
    assert bench.endpoints.asked == []


class TestReplicas:
    view: Any = type("JobView", (), {"job_id": 3, "job": type("Job", (), {"revision": 4})})

    async def test_all_in_place_by_default(self, bench: Bench) -> None:
        bench.placed = [9, 7]
        bench.announced = {7: "http://node7", 9: "http://node9"}
        found = await bench.open().replicas(self.view)
        assert [(one.license_id, one.endpoint, one.revision) for one in found] == [
            (7, "http://node7", 4),
            (9, "http://node9", 4),
        ]

    async def test_those_that_are_named(self, bench: Bench) -> None:
        bench.announced = {8: "http://node8"}
        (found,) = await bench.open().replicas(
            self.view, licenses=(8,), service="cache", revision=0
        )
        assert found == Replica(3, 8, "http://node8", 0, "cache")

    async def test_none_in_place(self, bench: Bench) -> None:
        with pytest.raises(SdkError, match="no license is in place"):
            await bench.open().replicas(self.view)

    async def test_one_without_an_endpoint_keeps_nobody_from_asking_the_others(
        self, bench: Bench
    ) -> None:
        bench.placed, bench.announced = [7, 9], {7: REPLICA.endpoint}
        requests = bench.open()
        reached, silent = await requests.replicas(self.view)
        with pytest.raises(EndpointError, match="license 9: it announces no endpoint; ask its op"):
            await requests.stop(silent)
        await requests.stop(reached)
        assert [one.license_id for one in bench.endpoints.asked] == [7]
