"""Placements over real connections while nodes take them and say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from books_support import CALENDAR, OPERATORS
from fastapi import FastAPI, Response
from test_placements import COMMITTEE, SPEC, Network, Prepare, arguments

from workdeed.chain.bindings import licenses
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.placement_routes import placement_routes
from workdeed.keeper.profilesync import ProfileSync
from workdeed.keeper.reach import Waits
from workdeed.node.server import HttpServer
from workdeed.placement import Profiles, queue
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of
from workdeed.sdk.endpoints import Endpoints

TURN_SECONDS = 16.0
"""Of this machine's time, which others share; the time of the chain stands still meanwhile."""

LEADER = 1
"""The member that leads turn 0 of window 1."""

WAITS = Waits.of(TURN_SECONDS)


class LoopbackNetwork(Network):
    """A network whose members listen, and whose nodes are where a test says.

    Only the leader holds the profiles: the others began a moment ago.
    """

    def __init__(self, folder: Path, once: OnceLog) -> None:
        self._opened: list[Endpoints] = []
        self._servers: list[HttpServer] = []
        self.syncs: list[ProfileSync] = []
        super().__init__(folder, once)
        for seat, keeper in enumerate(self.keepers):
            app = FastAPI()
            app.include_router(placement_routes(keeper.following))
            self.where[1_001 + seat] = self.serve(app)

    def serve(self, app: FastAPI) -> str:
        """Serve an application and return its address."""
        server = HttpServer("127.0.0.1", 0)
        server.begin(app)
        self._servers.append(server)
        return f"http://127.0.0.1:{server.port}"

    def live(self, license_id: int) -> str:
        """Return the address of a node that answers."""
        app = FastAPI()
        profile = self.profiles.of(self.chain.books.licenses[license_id])
        assert profile is not None
        body = profile.to_json()
        app.get("/healthz")(lambda: Response())
        app.get("/profile")(lambda: Response(body, media_type="application/json"))
        return self.serve(app)

    def client(self, timeout: float) -> Endpoints:
        made = Endpoints(allow_private=True, timeout=timeout)
        self._opened.append(made)
        return made

    def clients(self) -> tuple[Endpoints, Endpoints]:
        return self.client(WAITS.member), self.client(WAITS.node)

    def known(self, seat: int) -> tuple[Profiles, Prepare]:
        held = self.profiles if seat == LEADER else Profiles(COMMITTEE)
        sync = ProfileSync(
            held,
            AddressBook(self.where),
            self.client(WAITS.profile),
            self._once,
            patience=WAITS.node,
        )
        self.syncs.append(sync)
        return held, sync.prepare

    async def close(self) -> None:
        for client in self._opened:
            await client.close()
        for server in self._servers:
            await server.close()


@pytest.fixture
async def network(tmp_path: Path, once: OnceLog) -> AsyncIterator[LoopbackNetwork]:
    made = LoopbackNetwork(tmp_path, once)
    yield made
    await made.close()


@pytest.fixture
async def mute() -> AsyncIterator[str]:
    """The address of a server that takes connections and says nothing."""

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def placed(network: LoopbackNetwork) -> tuple[list[int], float]:
    """Let turn 0 pass; return who was placed, and how long it took."""
    started = time.monotonic()
    (effect,) = await network.lead()
    return arguments(network, effect)[1], time.monotonic() - started


async def ranked(network: LoopbackNetwork) -> list[int]:
    """Return the candidates of the job, the first one first."""
    network.chain.timestamp = CALENDAR.start(1)
    network.chain.mine()
    snapshot = await network.keepers[LEADER].leading.tools.snapshots.current(1)
    return list(queue(snapshot, 1, 9))


async def test_two_mute_nodes_that_rank_first_cost_no_turn(
    network: LoopbackNetwork, mute: str
) -> None:
    """Followers ask them too, and the leader gave up just before they were done."""
    for license_id in (1, 2, 3):
        network.node(license_id, owner=license_id)
    network.chain.open_job(1, slots=1, spec=SPEC)
    *first, last = await ranked(network)
    assert len(first) == 2
    for license_id in (1, 2, 3):
        profile = network.profiles.of(network.chain.books.licenses[license_id])
        assert profile is not None
        for keeper in network.keepers:
            keeper.leading.tools.snapshots.profiles.add(profile)
    network.where |= dict.fromkeys(first, mute) | {last: network.live(last)}
    assign, took = await placed(network)
    assert assign == [last]
    assert took < TURN_SECONDS


async def test_a_hundred_mute_licenses_without_a_profile_cost_no_turn(
    network: LoopbackNetwork, mute: str
) -> None:
    """Followers that had just started waited for the profiles of all of them."""
    for license_id in range(100, 200):
        network.chain.log(licenses.LicenseIssued(license_id, OPERATORS[0], licenses.NODE))
        node = address_of(keccak(b"mute %d" % license_id))
        network.chain.log(licenses.NodeLinked(license_id, node, OPERATORS[0]))
        network.chain.log(licenses.ProfileSet(license_id, keccak(node.encode()), mute))
    network.node(1)
    network.where[1] = network.live(1)
    network.chain.open_job(1, slots=1, spec=SPEC)
    busy = [asyncio.create_task(one.run(network.chain.view())) for one in network.syncs]
    try:
        await asyncio.sleep(0)
        assign, took = await placed(network)
    finally:
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
    assert assign == [1]
    assert took < TURN_SECONDS
