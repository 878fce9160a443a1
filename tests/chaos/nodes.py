"""Nodes over HTTP, honest ones and ones that lie; they remember what they said in each window."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from aiohttp import web

from tests.chaos.world import Scene, the_spec
from tests.integration.chain.contract_support import NODES
from workdeed.chain.keys import LocalSigner
from workdeed.intent import encode_spec, spec_hash
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Answer, Probe, Workload

Kind = Literal["replay", "idle", "double"]
KINDS: tuple[Kind, ...] = ("replay", "idle", "double")
"""How a node lies:

- replay: it gives an answer that it signed before, for another probe
- idle: it says that all is well, but nothing listens on the ports that it names
- double: it answers with the instance of another license
"""

HONEST = 2
"""How many nodes never lie."""

LIE_SHARE = 0.6
"""The chance of one of the others to lie in a window."""

LOOPBACK = "127.0.0.1"


class Lie(NamedTuple):
    """What a node did in a window; `of` is the license whose instance it showed, 0 for none."""

    kind: Kind
    of: int = 0


@dataclass
class Node:
    """One node: it answers probes at `url`, and serves each job at a port of its own.

    Attributes:
        license_id: its license.
        signer: the key that is linked to the license.
        instance: tells its agent from others.
        url: where it answers.
        ports: where its workloads listen, by job.
        dead: a port for each job that it holds, and on which nobody listens.
        said: its newest true answer.

    """

    license_id: int
    signer: LocalSigner
    instance: bytes
    url: str = ""
    ports: dict[int, int] = field(default_factory=dict)
    dead: dict[int, int] = field(default_factory=dict)
    said: Answer | None = None


@dataclass
class Fleet:
    """All nodes of a world.

    Attributes:
        seed: of who lies when, and how.
        scene: what stands on the chain.
        lies: every lie that an oracle was told, by license and window.

    """

    seed: int
    scene: Scene
    stack: AsyncExitStack
    lies: dict[tuple[int, int], Lie] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    _planned: dict[tuple[int, int], Lie | None] = field(default_factory=dict)
    _probed: set[tuple[int, int]] = field(default_factory=set)

    async def open(self) -> None:
        """Let every node listen."""
        for license_id, signer in zip(self.scene.licenses, NODES, strict=True):
            instance = keccak(f"instance {self.seed} {license_id}".encode())[:16]
            node = Node(license_id, signer, instance)
            app = web.Application()
            app.router.add_post("/probe", _Answering(self, node).handle)
            node.url = f"http://{LOOPBACK}:{await self._listen(app)}"
            self.nodes.append(node)

    async def serve(self, job_id: int) -> None:
        """Let every node serve a job too, whether it is placed there or not."""
        for node in self.nodes:
            app = web.Application()
            app.router.add_get("/health", _well)
            node.ports[job_id] = await self._listen(app)
            node.dead[job_id] = self._dead_port()

    def answer(self, node: Node, probe: Probe) -> Answer:
        """Return what a node says to a probe."""
        lie = self._lie(node, probe.window)
        self._probed.add((node.license_id, probe.window))
        if lie is None:
            node.said = self._signed(node, probe, node.instance, node.ports)
            return node.said
        self.lies[node.license_id, probe.window] = lie
        if lie.kind == "replay":
            return node.said or self._signed(node, _own_probe(probe), node.instance, node.ports)
        if lie.kind == "idle":
            return self._signed(node, probe, node.instance, node.dead)
        shown = next(one for one in self.nodes if one.license_id == lie.of)
        return self._signed(node, probe, shown.instance, node.ports)

    def caught(self, license_id: int, window: int, serving: Collection[int]) -> bool:
        """Tell whether oracles must have found a license out in a window.

        Args:
            license_id: who lied or not.
            window: when.
            serving: the licenses that were probed in the window: of those that show one instance
                its own license is paid, or without that the lowest; one alone is no double.

        """
        lie = self.lies.get((license_id, window))
        if lie is None or lie.kind != "double" or lie.of in serving:
            return lie is not None
        same = [one for one in serving if self.lies.get((one, window)) == lie]
        return license_id != min(same)

    def _lie(self, node: Node, window: int) -> Lie | None:
        """Return what a node does in a window: the same at every probe."""
        key = node.license_id, window
        if key not in self._planned:
            self._planned[key] = self._draw(node, window)
        return self._planned[key]

    def _draw(self, node: Node, window: int) -> Lie | None:
        luck = random.Random(f"{self.seed} {node.license_id} {window}")
        if self.nodes.index(node) < HONEST or luck.random() >= LIE_SHARE:
            return None
        kind = luck.choice(KINDS)
        if kind != "double":
            return Lie(kind)
        # Of one that was there before: an instance belongs to whom it was seen with first.
        honest = [one.license_id for one in self.nodes[:HONEST]]
        known = [one for one in honest if (one, window - 1) in self._probed]
        return Lie(kind, luck.choice(known)) if known else None

    def _signed(self, node: Node, probe: Probe, instance: bytes, ports: dict[int, int]) -> Answer:
        domain = self.scene.deployment.domain(COMMITTEE_DOMAIN)
        escrow = self.scene.deployment.address("JobEscrow")
        answer = Answer(
            chain_id=self.scene.deployment.chain_id,
            license_id=node.license_id,
            node=node.signer.address,
            nonce=probe.nonce,
            window=probe.window,
            instance_id=instance,
            workloads=tuple(_workload(escrow, job_id, ports[job_id]) for job_id in sorted(ports)),
        )
        return _sign(answer, domain, node.signer)

    def _dead_port(self) -> int:
        """Take a port that refuses every connection, and that nobody else gets."""
        held = self.stack.enter_context(socket.socket())
        held.bind((LOOPBACK, 0))
        port: int = held.getsockname()[1]
        return port

    async def _listen(self, app: web.Application) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, LOOPBACK, 0).start()
        port: int = runner.addresses[0][1]
        return port


@asynccontextmanager
async def open_fleet(seed: int, scene: Scene) -> AsyncIterator[Fleet]:
    """Run all nodes of a scene on free ports of loopback."""
    async with AsyncExitStack() as stack:
        fleet = Fleet(seed, scene, stack)
        await fleet.open()
        yield fleet


class _Answering:
    """The HTTP side of one node."""

    def __init__(self, fleet: Fleet, node: Node) -> None:
        self._fleet = fleet
        self._node = node

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a probe."""
        answer = self._fleet.answer(self._node, Probe.parse(await request.read()))
        return web.Response(body=answer.to_json(), content_type="application/json")


async def _well(_: web.Request) -> web.StreamResponse:
    return web.Response()


def _own_probe(probe: Probe) -> Probe:
    """Return a probe that nobody sent."""
    return probe.model_copy(update={"nonce": keccak(probe.nonce)})


def _workload(escrow: str, job_id: int, port: int) -> Workload:
    return Workload(
        escrow=escrow,
        job_id=job_id,
        revision=0,
        spec_hash=spec_hash(encode_spec(the_spec())),
        commit="0" * 40,
        state="running",
        healthy=True,
        port=port,
    )


def _sign(answer: Answer, domain: Domain, signer: LocalSigner) -> Answer:
    return answer.model_copy(update={"signature": signer.sign_digest(answer.digest(domain))})
