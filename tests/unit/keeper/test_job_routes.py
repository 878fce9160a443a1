"""What anybody may ask about a job's replicas."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from books_support import ESCROW, Chain
from fastapi import FastAPI
from http_support import FakeEndpoints
from rollout_support import status
from test_replicas import NODE, spec, well

from workdeed.keeper import job_routes as module
from workdeed.keeper.job_routes import KEPT_SECONDS, BusyError, JobPages, Lists, job_routes
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.replicas import Lookout
from workdeed.keeper.statuses import Statuses
from workdeed.node.server import HttpServer
from workdeed.protocol.messages import ErrorBody, Status
from workdeed.protocol.rollouts import EndpointList, RolloutProgress
from workdeed.protocol.wire import Body


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Around:
    """A keeper that has read a chain with a revised job on two licenses, the second away."""

    def __init__(self, chain: Chain) -> None:
        self.chain: Chain | None = chain
        self.endpoints = FakeEndpoints()
        for number in (1, 2):
            chain.license(number, endpoint=f"http://node{number}:9000")
        chain.open_job(1, slots=2)
        chain.place(1, [1, 2])
        chain.revise(1, b"new spec")
        works = (well(0), status(1, "pending", ready=True))
        told = Status(license_id=1, node=NODE, workloads=works)
        self.endpoints.on("GET", "http://node1:9000/status", told.to_json())

    def app(self, *, acts: bool = True) -> FastAPI:
        lookout = Lookout(ESCROW, AddressBook({}), Statuses(self.endpoints))
        pages = JobPages(
            view=lambda: self.chain.view() if self.chain else None,
            lookout=lookout,
            read_spec=lambda _: spec(rollout={"policy": "rolling", "max_unavailable": 2}),
            acts=acts,
        )
        app = FastAPI()
        app.include_router(job_routes(pages))
        return app


@pytest.fixture
def around(chain: Chain) -> Around:
    return Around(chain)


async def ask(app: FastAPI, path: str) -> tuple[int, bytes]:
    server = HttpServer("127.0.0.1", 0)
    server.begin(app)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{server.port}{path}") as response,
        ):
            return response.status, await response.read()
    finally:
        await server.close()


async def test_it_lists_where_callers_go(around: Around) -> None:
    code, body = await ask(around.app(), "/jobs/1/endpoints")
    found = EndpointList.parse(body)
    assert (code, found.job_id, found.replicas) == (200, 1, 2)
    assert [(one.host, one.port) for one in found.endpoints] == [("node1", 8_000)]


async def test_it_tells_how_a_rollout_goes(around: Around) -> None:
    code, body = await ask(around.app(), "/jobs/1/rollout")
    found = RolloutProgress.parse(body)
    assert (code, found.phase, found.reason) == (200, "rolling", "")
    assert [one.state for one in found.replicas] == ["ready", "unreachable"]


async def test_a_keeper_that_moves_nothing_says_so(around: Around) -> None:
    _, body = await ask(around.app(acts=False), "/jobs/1/rollout")
    assert "this one has none" in RolloutProgress.parse(body).reason


async def test_a_job_that_is_over_has_no_endpoints(around: Around) -> None:
    assert around.chain is not None
    around.chain.close(1, 0)
    _, body = await ask(around.app(), "/jobs/1/endpoints")
    assert EndpointList.parse(body).endpoints == ()
    assert around.endpoints.asked == []


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/jobs/9/endpoints", 404, "there is no job 9"),
        ("/jobs/9/rollout", 404, "there is no job 9"),
        ("/jobs/0/endpoints", 400, "decimal number"),
        ("/jobs/one/rollout", 400, "decimal number"),
    ],
)
async def test_what_is_no_job_is_refused(around: Around, path: str, code: int, text: str) -> None:
    found, body = await ask(around.app(), path)
    assert found == code
    assert text in ErrorBody.parse(body).error


async def test_before_the_chain_was_read_it_cannot_tell(around: Around) -> None:
    around.chain = None
    assert (await ask(around.app(), "/jobs/1/endpoints"))[0] == 503


class Maker:
    """Makes lists, and counts them."""

    def __init__(self, clock: Clock, took: float = 0.0) -> None:
        self.made = 0
        self.clock = clock
        self.took = took

    async def __call__(self) -> Body:
        self.made += 1
        self.clock.now += self.took
        await asyncio.sleep(0)
        return ErrorBody(error=str(self.made))


async def test_a_list_serves_others_for_a_moment() -> None:
    clock = Clock()
    lists, maker = Lists(clock), Maker(clock)
    await asyncio.gather(*(lists.get("endpoints", 1, maker) for _ in range(30)))
    first = maker.made
    assert first <= module.AT_ONCE
    clock.now += KEPT_SECONDS / 2
    await lists.get("endpoints", 1, maker)
    assert maker.made == first
    await lists.get("endpoints", 2, maker)
    await lists.get("rollout", 1, maker)
    assert maker.made == first + 2
    clock.now += KEPT_SECONDS
    await lists.get("endpoints", 1, maker)
    assert maker.made == first + 3


async def test_a_list_that_took_long_is_kept_as_long() -> None:
    clock = Clock()
    lists, maker = Lists(clock), Maker(clock, took=4.0)
    await lists.get("endpoints", 1, maker)
    clock.now += 3.9
    await lists.get("endpoints", 1, maker)
    assert maker.made == 1


async def test_who_asks_for_too_many_is_sent_away() -> None:
    lists, never = Lists(), asyncio.Event()

    async def stuck() -> Body:
        await never.wait()
        return ErrorBody(error="")

    waiting = [
        asyncio.create_task(lists.get("endpoints", job, stuck)) for job in range(module.WAITING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await lists.get("endpoints", 999, stuck)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    never.set()
    assert await lists.get("endpoints", 999, stuck)


async def test_only_so_many_lists_are_kept() -> None:
    lists, maker = Lists(), Maker(Clock())
    for job_id in range(2 * module.KEPT_LISTS):
        await lists.get("endpoints", job_id, maker)
    assert len(lists._kept) == module.KEPT_LISTS
