"""The round and the archive over real HTTP on the loopback address."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI

from workdeed.oracle.endpoints import EndpointClient
from workdeed.oracle.errors import EndpointError, NotYetError, StatusError
from workdeed.oracle.http import create_router
from workdeed.oracle.peers import HttpPeers, Peer, PeerControl, Peers
from workdeed.oracle.service import ServiceSettings
from workdeed.protocol.evidence import Evidence, EvidenceRequest
from workdeed.protocol.figures import UNIT
from workdeed.protocol.messages import ErrorBody, Observations, Proofs, Report, sign
from workdeed.protocol.signing import address_of

from .cluster import Cluster, Seat, check_signatures
from .support import CLOCK, DOMAIN, FIRST_NODE, Sim, key_of, with_job

NODE = FIRST_NODE
PATIENCE = 20.0


class Server(uvicorn.Server):
    """A server inside the test's loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpCluster(Cluster):
    """A committee whose members serve and call each other over HTTP."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, sim=with_job(Sim()))
        self.client = EndpointClient(allow_private=False)
        self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(self.n)]
        self.servers: list[tuple[Server, asyncio.Task[None]]] = []

    def url(self, index: int) -> str:
        return f"http://127.0.0.1:{self.sockets[index].getsockname()[1]}"

    def peer(self, index: int) -> Peer:
        return Peer(self.member(index), index + 1, self.url(index), trusted=True)

    def peers_of(self, member: str) -> Peers:
        return HttpPeers(self.client)

    def settings(self) -> ServiceSettings:
        urls = {index + 1: self.url(index) for index in range(self.n)}
        return ServiceSettings(self.rules, DOMAIN, urls)

    async def serve(self, index: int) -> Seat:
        seat = self.open(index)
        app = FastAPI()
        app.include_router(create_router(seat.service))
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        server = Server(config)
        task = asyncio.create_task(server.serve([self.sockets[index]]))
        self.servers.append((server, task))
        return seat

    async def close(self) -> None:
        for server, _ in self.servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self.servers))
        await super().close()
        await self.client.close()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[HttpCluster]:
    opened = HttpCluster(tmp_path)
    for index in range(4):
        await opened.serve(index)
    yield opened
    await opened.close()


@pytest.fixture
async def ready(cluster: HttpCluster) -> HttpCluster:
    """The cluster in turn 0 of window 2, which member 2 leads."""
    await cluster.to_window(3)
    cluster.sim.time = CLOCK.end(2) + 0.2
    return cluster


async def call(
    url: str,
    method: str,
    path: str,
    body: bytes | None = None,
    media: str = "application/json",
) -> tuple[int, bytes]:
    """Return status and body of a request."""
    async with aiohttp.ClientSession() as session:
        headers = {"Content-Type": media}
        async with session.request(method, url + path, data=body, headers=headers) as response:
            assert response.content_type == "application/json" or not response.content_length
            return response.status, await response.read()


async def refusal(
    cluster: HttpCluster, method: str, path: str, body: bytes | None = None, **more: str
) -> tuple[int, ErrorBody]:
    """Return the status and the sentence of a request to member 1 that is refused."""
    status, answer = await call(cluster.url(1), method, path, body, **more)
    return status, ErrorBody.parse(answer)


async def test_members_agree_over_http(cluster: HttpCluster) -> None:
    found = await cluster.settle(2)
    assert len(check_signatures(found, 4)) == 4
    found = await cluster.settle(3)
    assert cluster.leaves(1) == {(1, NODE): 2 * UNIT, (1, NODE + 1): 2 * UNIT}


async def test_everybody_learns_of_the_complete_report(ready: HttpCluster) -> None:
    await ready.turn(2, 0)
    assert {seat.service.status.ready for seat in ready.seats.values()} == {2}


class TestArchive:
    async def test_reports_proofs_and_observations(self, cluster: HttpCluster) -> None:
        found = await cluster.settle(2)
        status, body = await call(cluster.url(1), "GET", "/reports/2")
        assert status == 200
        Report.parse(body).check_pins()
        status, body = await call(cluster.url(1), "GET", f"/reports/2/proofs/1/{NODE}")
        assert status == 200
        Proofs.parse(body).check(found.root)
        status, _ = await refusal(cluster, "GET", "/observations/2")
        assert status == 425
        report = cluster.sim.books.latest_report
        assert report is not None
        cluster.sim.advance(report.final_at)
        status, body = await call(cluster.url(1), "GET", "/observations/2")
        assert status == 200
        assert len(Observations.parse(body).observations) == 4

    @pytest.mark.parametrize(
        "path", ["/reports/2", "/reports/2/proofs/1/101", "/reports/2/recovered/0"]
    )
    async def test_what_is_not_kept_is_not_found(self, cluster: HttpCluster, path: str) -> None:
        status, error = await refusal(cluster, "GET", path)
        assert status == 404
        assert error.error

    async def test_evidence_is_shown_to_who_has_a_part_in_the_job(
        self, cluster: HttpCluster
    ) -> None:
        def request(role: str) -> bytes:
            key = key_of(role)
            asked = EvidenceRequest(
                window=2,
                job_id=1,
                license_id=NODE,
                page=0,
                asked_at=int(cluster.sim.time),
                account=address_of(key),
            )
            return sign(asked, DOMAIN, key).to_json()

        status, told = await refusal(cluster, "POST", "/evidence/2", request("payer"))
        assert (status, told.error) == (425, "window: no final report covers 2 yet")
        await cluster.settle(2)
        report = cluster.sim.books.latest_report
        assert report is not None
        cluster.sim.advance(report.final_at)
        status, told = await refusal(cluster, "POST", "/evidence/2", request("stranger"))
        assert (status, told.field) == (403, "account")
        status, body = await call(cluster.url(1), "POST", "/evidence/2", request("payer"))
        assert status == 200
        assert Evidence.parse(body).check(DOMAIN) == []  # this prober keeps no answers
        status, told = await refusal(cluster, "POST", "/evidence/3", request("payer"))
        assert (status, told.field) == (400, "window")

    async def test_recovered_leaves_come_in_pages(self, cluster: HttpCluster) -> None:
        await cluster.settle(2)
        kept = await cluster.seats[1].service.archive.proofs(2, 1, NODE)
        assert kept is not None
        cluster.seats[1].store.put_recovered(2, kept.leaves)
        peers = HttpPeers(cluster.client)
        found = await peers.recovered(cluster.peer(1), 2, 0, seconds=PATIENCE)
        assert found == kept
        with pytest.raises(StatusError, match="recovered"):
            await peers.recovered(cluster.peer(1), 2, 1, seconds=PATIENCE)

    @pytest.mark.parametrize(
        "path",
        [
            "/reports/x",
            "/reports/-1",
            "/reports/02",
            "/reports/99999999999999999",
            "/observations/1.5",
            "/reports/1/proofs/x/1",
            "/reports/1/proofs/1/x",
            "/reports/1/recovered/x",
        ],
    )
    async def test_a_malformed_path_is_named(self, cluster: HttpCluster, path: str) -> None:
        status, error = await refusal(cluster, "GET", path)
        assert status == 400
        assert error.field


class TestStatuses:
    def request(self, cluster: HttpCluster, *, turn: int = 0, leader: int = 2) -> bytes:
        member = cluster.seats[leader].service._member
        return member.request(2, turn, [2], cluster.member(1)).to_json()

    async def test_a_request_is_answered(self, ready: HttpCluster) -> None:
        status, body = await call(
            ready.url(1), "POST", "/rounds/2/observation", self.request(ready)
        )
        assert status == 200
        assert Observations.parse(body).observations[0].member == ready.member(1)

    async def test_another_member_is_forbidden(self, ready: HttpCluster) -> None:
        status, error = await refusal(
            ready, "POST", "/rounds/2/observation", self.request(ready, leader=3)
        )
        assert (status, error.field) == (403, "member")

    async def test_a_turn_to_come_is_too_early(self, ready: HttpCluster) -> None:
        body = self.request(ready, turn=1, leader=3)
        status, _ = await refusal(ready, "POST", "/rounds/2/observation", body)
        assert status == 425

    async def test_path_and_body_name_one_window(self, ready: HttpCluster) -> None:
        body = self.request(ready)
        status, error = await refusal(ready, "POST", "/rounds/3/observation", body)
        assert (status, error.field) == (400, "window")

    async def test_a_proposal_that_differs_is_refused_with_the_reason(
        self, ready: HttpCluster
    ) -> None:
        leader = ready.seats[2].service
        facts = await leader._facts.round(2)
        own = await leader._desk.observations(facts)
        draft = leader._member.draft(facts, 0, own)
        body = leader._member.proposal(draft).to_json()
        status, error = await refusal(ready, "POST", "/rounds/2/proposal", body)
        assert status == 409
        assert error.error == "observations: window 2 is not observed by a quorum"

    async def test_signatures_that_are_no_quorum_are_refused(self, ready: HttpCluster) -> None:
        await ready.turn(2, 0)
        ready_report = ready.seats[1].service._ready
        assert ready_report is not None
        signatures = ready_report.signatures
        fewer = signatures.model_copy(update={"signatures": signatures.signatures[:2]})
        status, _ = await refusal(ready, "POST", "/rounds/2/signatures", fewer.to_json())
        assert status == 409
        status, body = await call(
            ready.url(1), "POST", "/rounds/2/signatures", signatures.to_json()
        )
        assert (status, body) == (202, b"")

    @pytest.mark.parametrize("body", [b"", b"no json", b"{}", b"[]"])
    @pytest.mark.parametrize("what", ["observation", "proposal", "signatures"])
    async def test_a_malformed_body_is_refused(
        self, cluster: HttpCluster, what: str, body: bytes
    ) -> None:
        status, error = await refusal(cluster, "POST", f"/rounds/2/{what}", body)
        assert status == 400
        assert error.error

    async def test_a_long_body_is_not_read_to_its_end(self, ready: HttpCluster) -> None:
        content = json.loads(self.request(ready)) | {"more": "x" * 5_000}
        status, _ = await refusal(
            ready, "POST", "/rounds/2/observation", json.dumps(content).encode()
        )
        assert status == 413

    async def test_a_proposal_longer_than_any_could_be_is_not_either(
        self, ready: HttpCluster
    ) -> None:
        limit = ready.seats[1].service.max_body
        assert limit < 2_000_000
        for what in ("proposal", "signatures"):
            status, error = await refusal(ready, "POST", f"/rounds/2/{what}", bytes(limit + 1))
            assert status == 413
            assert str(limit) in error.error

    async def test_another_media_type_is_refused(self, ready: HttpCluster) -> None:
        status, _ = await refusal(
            ready, "POST", "/rounds/2/observation", self.request(ready), media="text/plain"
        )
        assert status == 415

    async def test_another_method_is_refused(self, cluster: HttpCluster) -> None:
        status, _ = await call(cluster.url(1), "PUT", "/reports/2", b"{}")
        assert status == 405


class TestPeers:
    async def test_too_early_is_an_error_of_its_own(self, ready: HttpCluster) -> None:
        request = ready.seats[3].service._member.request(2, 1, [2], ready.member(1))
        with pytest.raises(NotYetError):
            await HttpPeers(ready.client).observations(ready.peer(1), request, seconds=PATIENCE)

    async def test_a_refusal_keeps_its_status_and_sentence(self, ready: HttpCluster) -> None:
        request = ready.seats[3].service._member.request(2, 0, [2], ready.member(1))
        with pytest.raises(StatusError, match="leads this turn") as caught:
            await HttpPeers(ready.client).observations(ready.peer(1), request, seconds=PATIENCE)
        assert caught.value.status == 403

    async def test_an_address_from_the_chain_must_be_public(self, ready: HttpCluster) -> None:
        peer = ready.peer(1)._replace(trusted=False)
        with pytest.raises(EndpointError, match="private"):
            await HttpPeers(ready.client).report(peer, 2, seconds=PATIENCE)

    async def test_a_peer_is_up_if_it_answers_anything(self, ready: HttpCluster) -> None:
        peers = HttpPeers(ready.client)
        assert await peers.is_up(ready.peer(1), seconds=PATIENCE)
        nobody = ready.peer(1)._replace(endpoint="http://127.0.0.1:1")
        assert not await peers.is_up(nobody, seconds=PATIENCE)
        others: list[Peer] = []
        control = PeerControl(peers, lambda: others, seconds=PATIENCE)
        assert await control()  # without others, nothing can be told
        others.append(nobody)
        assert not await control()
        others.append(ready.peer(1))
        assert await control()
