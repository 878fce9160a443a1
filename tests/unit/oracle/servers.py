"""Real HTTP servers on the loopback address: nodes that behave, and nodes that don't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from workdeed.protocol.messages import Answer, Probe, Workload, sign
from workdeed.protocol.signing import address_of

from .support import CHAIN_ID, DOMAIN, ESCROW, FIRST_NODE, SPEC_HASH, key_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handlers: dict[str, Handler]) -> AsyncIterator[int]:
    """Serve these handlers by "METHOD /path" on a free port, and yield the port."""
    app = web.Application(client_max_size=1 << 28)
    for route, handler in handlers.items():
        method, path = route.split(" ")
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


def workload(
    job_id: int = 1,
    *,
    port: int | None = None,
    revision: int = 0,
    healthy: bool = True,
    spec_hash: bytes = SPEC_HASH,
) -> Workload:
    return Workload(
        escrow=ESCROW,
        job_id=job_id,
        revision=revision,
        spec_hash=spec_hash,
        commit="",
        state="running",
        healthy=healthy,
        port=port,
    )


@dataclass
class Node:
    """A node's side of probing.

    Attributes:
        index: which node; decides license, key and instance.
        workloads: what it lists.
        probes: those it was sent.
        release: an answer waits for it where `holds` is set.
        most: the highest number of probes that were under way at a time.

    """

    index: int = 0
    workloads: Sequence[Workload] = field(default_factory=lambda: (workload(),))
    instance: bytes | None = None
    holds: bool = False
    probes: list[Probe] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most: int = 0

    @property
    def license_id(self) -> int:
        return FIRST_NODE + self.index

    @property
    def key(self) -> bytes:
        return key_of("node", self.index)

    def answer(self, probe: Probe, *, key: bytes | None = None, **changes: object) -> Answer:
        """Return a signed answer; by default the right one."""
        signing_key = key or self.key
        content: dict[str, object] = {
            "chain_id": CHAIN_ID,
            "license_id": self.license_id,
            "node": address_of(signing_key),
            "nonce": probe.nonce,
            "window": probe.window,
            "instance_id": self.instance or self.index.to_bytes(16, "big"),
            "workloads": tuple(sorted(self.workloads, key=lambda one: one.key)),
        }
        return sign(Answer.model_validate(content | changes), DOMAIN, signing_key)

    async def read(self, request: web.Request) -> Probe:
        """Take note of a probe."""
        probe = Probe.parse(await request.read())
        self.probes.append(probe)
        return probe

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer as a node should."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            probe = await self.read(request)
            if self.holds:
                await self.release.wait()
            return as_json(self.answer(probe))
        finally:
            self.under_way -= 1


def as_json(answer: Answer) -> web.Response:
    return web.Response(body=answer.to_json(), content_type="application/json")


def replying(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Handler:
    """Return a handler that always answers the same."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, body=body)

    return handle
