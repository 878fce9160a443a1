"""Simulated nodes for tests of keepers: real HTTP, real signatures, workloads that answer."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from workdeed.intent import Recreate, Spec, parse_spec
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.messages import (
    Dispatch,
    DispatchReply,
    ServiceStatus,
    State,
    Status,
    WorkloadStatus,
)
from workdeed.protocol.noderequest import NodeRequest

BUILD_SECONDS, START_SECONDS = 0.2, 0.2


@dataclass
class Revision:
    """One revision of the job on a simulated node."""

    number: int
    spec: Spec
    built: asyncio.Event = field(default_factory=asyncio.Event)
    granted: asyncio.Event = field(default_factory=asyncio.Event)
    state: State = "pending"
    well_since: float | None = None
    draining: bool = False
    failed: str = ""

    @property
    def well_ms(self) -> int:
        """For how long it has been well."""
        return 0 if self.well_since is None else int(1_000 * (time.monotonic() - self.well_since))

    def begin(self) -> None:
        """Serve."""
        self.state, self.well_since, self.draining = "running", time.monotonic(), False

    def end(self) -> None:
        """Serve no more."""
        self.state, self.well_since = "stopped", None


class SimNode:
    """Does what nodes do in a rollout, for one job.

    Attributes:
        broken: names of specs that never get well here.
        requests: what it was asked, by members whose signature it checked.
    """

    def __init__(self, license_id: int, node: str, escrow: str, domain: Domain) -> None:
        self.license_id = license_id
        self.broken: set[str] = set()
        self.requests: list[NodeRequest] = []
        self._node = node
        self._escrow = escrow
        self._domain = domain
        self._job_id = 0
        self._revisions: list[Revision] = []
        self._change: asyncio.Task[None] | None = None
        app = web.Application()
        app.add_routes(
            [
                web.post("/dispatch", self._dispatch),
                web.get("/status", self._status),
                web.post("/requests", self._request),
            ]
        )
        self._server = TestServer(app)
        work = web.Application()
        work.router.add_get("/", self._serve)
        self._workload = TestServer(work)

    async def begin(self, stack: AsyncExitStack) -> None:
        """Start to answer."""
        for server in (self._server, self._workload):
            await server.start_server()
            stack.push_async_callback(server.close)
        stack.push_async_callback(self._stop)

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(self._server.make_url("")).rstrip("/")

    @property
    def revisions(self) -> list[int]:
        """The numbers of the revisions that it has."""
        return [one.number for one in self._revisions]

    @property
    def serving(self) -> int | None:
        """The number of the revision that serves."""
        running = [one.number for one in self._revisions if one.state == "running"]
        return running[-1] if running else None

    def age(self, seconds: float) -> None:
        """Let the revision that serves have been well for so much longer."""
        for one in self._revisions:
            if one.number == self.serving and one.well_since is not None:
                one.well_since -= seconds

    async def _stop(self) -> None:
        if self._change is not None:
            self._change.cancel()
            await asyncio.gather(self._change, return_exceptions=True)

    async def _serve(self, _: web.Request) -> web.Response:
        if self.serving is None:
            return web.Response(status=503)
        return web.Response(text=str(self.serving))

    async def _dispatch(self, request: web.Request) -> web.Response:
        message = Dispatch.parse(await request.read())
        self._job_id = message.job_id
        if message.revision not in self.revisions:
            await self._stop()
            kept = [one for one in self._revisions if one.state == "running"]
            self._revisions = [*kept, Revision(message.revision, parse_spec(message.spec))]
            self._change = asyncio.create_task(self._roll_out())
        body = DispatchReply(state=self._revisions[-1].state)
        return web.Response(body=body.to_json(), status=202)

    async def _roll_out(self) -> None:
        new = self._revisions[-1]
        old = self._revisions[0] if len(self._revisions) > 1 else None
        await asyncio.sleep(BUILD_SECONDS)
        new.built.set()
        if old is not None:
            if not isinstance(new.spec.rollout, Recreate):
                await new.granted.wait()
            old.draining = True
            await asyncio.sleep(new.spec.rollout.drain_ms / 1_000)
            old.end()
        new.state = "starting"
        if new.spec.name in self.broken:
            await asyncio.sleep(new.spec.rollout.deadline_ms / 1_000)
            self._give_up("it was not well in time")
            return
        await asyncio.sleep(START_SECONDS)
        new.begin()

    def _give_up(self, reason: str) -> None:
        old, new = self._revisions
        new.end()
        new.failed = reason
        if old.state == "running":
            old.draining = False
        else:
            old.begin()

    async def _status(self, _: web.Request) -> web.Response:
        works = tuple(self._work(one) for one in self._revisions)
        body = Status(license_id=self.license_id, node=self._node, workloads=works)
        return web.Response(body=body.to_json())

    def _work(self, one: Revision) -> WorkloadStatus:
        port = self._workload.port
        main = ServiceStatus(name="main", state=one.state, pid=None, port=port)
        return WorkloadStatus(
            escrow=self._escrow,
            job_id=self._job_id,
            revision=one.number,
            state=one.state,
            pid=None,
            port=port,
            ready=one.built.is_set(),
            draining=one.draining,
            well_ms=one.well_ms,
            failed=one.failed,
            services=(main,),
        )

    async def _request(self, request: web.Request) -> web.Response:
        message = NodeRequest.parse(await request.read())
        message.verify(self._domain)
        assert (message.license_id, message.job_id) == (self.license_id, self._job_id)
        self.requests.append(message)
        new = self._revisions[-1]
        if message.action == "take":
            new.granted.set()
        elif message.action == "abandon" and len(self._revisions) > 1 and not new.failed:
            await self._stop()
            self._give_up(message.argument)
        elif message.action == "settle" and new.state == "running":
            self._revisions = [new]
        return web.Response(body=DispatchReply(state=new.state).to_json(), status=202)
