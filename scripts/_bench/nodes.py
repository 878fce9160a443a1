"""Simulated nodes: a process that answers probes on a loopback port for each node.

They are nodes in what an oracle sees: each has a key, a port and an instance id of its own, reads
the probe, and signs its answer. They are none in what they cost: they share an interpreter, which
runs beside the oracle's, on a core of its own if there is one. Their CPU time is reported by
itself and is not the oracle's.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from scripts._bench.process import ROOT, BenchError, Figures, answer, figures_of
from scripts._bench.world import CHAIN_ID, DOMAIN, FIRST_NODE, World, key_of
from workdeed.protocol.messages import Answer, Probe, Workload
from workdeed.protocol.signing import address_of, sign_digest

SPARE_FILES = 2_048
"""Files that a process needs besides its listening sockets: connections, above all."""


@dataclass(frozen=True)
class Node:
    """What a simulated node knows of itself."""

    index: int
    key: bytes
    address: str
    workloads: tuple[Workload, ...]

    def answer(self, probe: Probe) -> Answer:
        """Return its signed answer."""
        unsigned = Answer(
            chain_id=CHAIN_ID,
            license_id=FIRST_NODE + self.index,
            node=self.address,
            nonce=probe.nonce,
            window=probe.window,
            instance_id=self.index.to_bytes(16, "big"),
            workloads=self.workloads,
        )
        signature = sign_digest(self.key, unsigned.digest(DOMAIN))
        return unsigned.model_copy(update={"signature": signature})


class Crowd:
    """The nodes `first`..`first + count - 1` of a world, and the sockets that they listen on."""

    def __init__(self, world: World, first: int, count: int) -> None:
        jobs = world.jobs_by_node()
        self._nodes: dict[int, Node] = {}
        self.sockets: list[socket.socket] = []
        self.answered = 0
        for index in range(first, first + count):
            listening = socket.create_server(("127.0.0.1", 0))
            self.sockets.append(listening)
            key = key_of("node", index)
            self._nodes[listening.getsockname()[1]] = Node(
                index, key, address_of(key), world.workloads(index, jobs[index])
            )

    @property
    def ports(self) -> list[int]:
        """The port of each node, in order."""
        return [one.getsockname()[1] for one in self.sockets]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a probe as the node whose port it came to; a GET as a workload that is well."""
        if request.method == "GET":
            return web.Response()
        assert request.transport is not None  # noqa: S101 - the request was just read from it
        node = self._nodes[request.transport.get_extra_info("sockname")[1]]
        body = node.answer(Probe.parse(await request.read())).to_json()
        self.answered += 1
        return web.Response(body=body, content_type="application/json")

    async def serve(self) -> None:
        """Say where the nodes are, and answer until stdin is closed."""
        loop = asyncio.get_running_loop()
        server = web.Server(self.handle)
        listening = [await loop.create_server(server, sock=one) for one in self.sockets]
        print(json.dumps(self.ports), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for one in listening:
            one.close()
        await server.shutdown(0.0)


def serve(nodes: int, placements: int, first: int, count: int) -> Figures:
    """Be `count` nodes from `first` on; return how many probes they answered."""
    raise_file_limit()
    crowd = Crowd(World(nodes, placements), first, count)
    asyncio.run(crowd.serve())
    return {"answered": crowd.answered}


def raise_file_limit() -> int:
    """Allow this process as many open files as its hard limit does; return that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard, 1 << 20) if hard != resource.RLIM_INFINITY else max(soft, 10_240)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def shares(nodes: int, files: int) -> list[tuple[int, int]]:
    """Return (first, count) for each process, so that none listens on more sockets than it may.

    Raises:
        BenchError: if a process may not even open its spare files.

    """
    most = files - SPARE_FILES
    if most < 1:
        raise BenchError(
            f"open files: a process may have {files}; allow more than {SPARE_FILES} (ulimit -Hn)"
        )
    return [(first, min(most, nodes - first)) for first in range(0, nodes, most)]


@dataclass
class Hosts:
    """The processes that are the nodes of a world.

    Attributes:
        ports: of the nodes, in order.
        figures: what each process said of itself when it ended.

    """

    ports: list[int]
    figures: list[Mapping[str, Any]]


@contextmanager
def hosted(world: World) -> Iterator[Hosts]:
    """Start the nodes of a world, and end them; their figures are there afterwards."""
    hosts = Hosts([], [])
    with ExitStack() as stack:
        children = [
            stack.enter_context(_start(world, first, count))
            for first, count in shares(world.nodes, raise_file_limit())
        ]
        for child in children:
            hosts.ports += _ports(child)
        yield hosts
        hosts.figures += [figures_of(child.communicate()[0]) for child in children]


@contextmanager
def _start(world: World, first: int, count: int) -> Iterator[subprocess.Popen[str]]:
    options = {
        "nodes": world.nodes,
        "placements": world.placements,
        "first": first,
        "count": count,
    }
    command = [sys.executable, "-m", "scripts._bench.nodes", json.dumps(options)]
    child = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def _ports(child: subprocess.Popen[str]) -> list[int]:
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    line = child.stdout.readline()
    if not line:
        raise BenchError("nodes: their process ended at once; its error is above")
    ports: list[int] = json.loads(line)
    return ports


if __name__ == "__main__":
    answer(serve)
