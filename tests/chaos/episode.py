"""One world: victims work in it while faults are done to them, and then everything must finish."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.chaos.crash import POINTS, Crash
from tests.chaos.judge import Judge, Verdict
from tests.chaos.nodes import Fleet, open_fleet
from tests.chaos.pair import FAULTS as SHARED_FAULTS
from tests.chaos.pair import Pair
from tests.chaos.proxy import Proxy
from tests.chaos.server import FailingServer
from tests.chaos.tally import Tally
from tests.chaos.twofaced import Evidence, EvidenceFile
from tests.chaos.victim import BLOCKS_A_NAME, NO_END, SENDER, Beat, Order
from tests.chaos.victims import Victims
from tests.chaos.world import World
from tests.integration.chain.contract_support import BOND, ORACLES
from workdeed.chain.errors import ChainError
from workdeed.chain.fees import GWEI

ROUNDS_A_BLOCK = 3
"""Rounds that a victim gets from one block to the next, however busy the machine is."""

PACE_SECONDS, MAX_PACE_SECONDS = 0.03, 0.5
"""The least time from one block to the next, and the time after which no victim is waited for."""

DEAD_PACE_SECONDS = 0.2
"""The time after which none is waited for where one of two is often dead and the other works."""

PROBING_PACE_SECONDS = 0.15
"""The least time where probes go to nodes: a window is to hold some of each member and node."""

PATIENCE_BLOCKS = 300
"""Blocks without faults after which what is still missing counts as lost: 30 windows."""

STILL_SECONDS = 5.0
"""The same where the chain is to stand still until a victim is up again."""

LOOK_BLOCKS = 10
MAX_ROUNDS = 60
"""Rounds after which a victim that did not come to its crash point is killed all the same."""

BAD_SHARE = 0.1
"""Share of its requests that a bad node spoils."""

RATES = (0.0, 0.2, 5.0, 100.0)
"""How fast a clock runs that is wrong."""

SIGNING_POINTS = ("journal:after", "journal:after", "signature:after", "outbox:stored")
"""Where a process dies that has signed, but whose signature led to nothing yet: met more often."""

POINT_SHARE = 0.7
"""Share of the kills that are meant for a crash point; not all come to theirs."""

DEEPEST = 6
"""Blocks that a reorg replaces at most: thrice the confirmations."""


@dataclass
class Episode:
    """One world: jobs are opened and served while faults happen; then everything must finish.

    Attributes:
        seed: all chance follows from it.
        world: the chain.
        victims: starts the processes under test.
        proxy: what the victims know as their node.
        folder: holds what they leave on disk.
        tally: what was done.
        counts: whether the counter is moved meanwhile.
        longest_block: seconds after which a block is made though no victim has acted.
        pace: the least seconds from one block to the next.
        fleet: the nodes, where there are any.
        server: PostgreSQL, where the victims have a database there.

    """

    seed: int
    world: World
    victims: Victims
    proxy: Proxy
    folder: Path
    tally: Tally = field(default_factory=Tally)
    counts: bool = True
    longest_block: float = MAX_PACE_SECONDS
    pace: float = PACE_SECONDS
    fleet: Fleet | None = None
    server: FailingServer | None = None

    def __post_init__(self) -> None:
        self.luck = random.Random(self.seed)

    async def play(self, faults: Callable[[Episode], Awaitable[None]]) -> Tally:
        """Let `faults` happen, then wait until all is done, and judge."""
        await self._begin()
        working = asyncio.create_task(self._work(faults))
        mining = asyncio.create_task(self._mine())
        try:
            # Without blocks, work would wait for ever.
            await asyncio.wait((working, mining), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                mining.result()
            self._conclude(working.result())
        finally:
            for task in (working, mining):
                task.cancel()
            await asyncio.gather(working, mining, return_exceptions=True)
        return self.tally

    async def _begin(self) -> None:
        self.order = Order(
            seed=self.seed,
            rpc_url=self.proxy.url,
            database=self.server.new_database() if self.server else str(self.folder / "keeper.db"),
            folder=str(self.folder),
            counted=NO_END if self.counts else 0,
            counted_from=await self.world.height(),
            first_window=self.world.first_window,
        )

    async def _work(self, faults: Callable[[Episode], Awaitable[None]]) -> Verdict:
        await self._open_jobs(1)
        await faults(self)
        await self._stop_counting()
        with self.victims.running(self.order):
            return await self._finish()

    async def kill(self, kills: int) -> None:
        """Kill the victim so many times, most of them at points; jobs come in meanwhile."""
        for index in range(kills):
            if index % 8 == 4:
                await self._open_jobs(1)
            if index == kills // 2:
                await self._blacklist()
            # Half of the victims come back to the turn in which they died, half to a later one.
            self.longest_block = self.luck.choice((MAX_PACE_SECONDS, STILL_SECONDS))
            crash = self._crash() if self.luck.random() < POINT_SHARE else None
            rounds = MAX_ROUNDS if crash else self.luck.choice((0, 1, 10, 20))
            life = self.luck.uniform(0.0, 0.3)
            ending = await self.victims.sacrifice(self._next_order(crash), rounds, life)
            if ending != "broken":
                self._note_kill(crash.point if crash and ending == "point" else "random")
        self.longest_block = MAX_PACE_SECONDS

    async def reorg(self, reorgs: int) -> None:
        """Replace blocks so many times while the victim works, and kill it now and then."""
        while self.tally.faults["reorg"] < reorgs:
            if self.tally.faults["kill"] % 8 == 4:
                await self._open_jobs(1)
            with self.victims.running(self._next_order()):
                await self.world.pass_blocks(self.luck.randint(4, 10))
                if self.luck.random() < 0.7:
                    await self._replace_blocks()
                    await self.world.pass_blocks(self.luck.randint(1, 6))
            self._note_kill("random")
            if self.luck.random() < 0.3:
                await self._replace_blocks()

    async def bad_node(self, faults: int) -> None:
        """Let the victim's node spoil so many requests, and kill the victim meanwhile."""
        proxy, first = self.proxy, len(self.world.jobs)
        proxy.share = BAD_SHARE
        self.order = replace(self.order, witness=self.world.url)
        while sum(proxy.done.values()) < faults:
            if len(self.world.jobs) < first + 4:
                await self._open_jobs(1)
            with self.victims.running(self._next_order()):
                await self.world.pass_blocks(self.luck.randint(10, 40))
            self._note_kill("random")
        proxy.share = 0.0
        self.tally.faults["rpc"] += sum(proxy.done.values())
        self.tally.requests += proxy.done

    async def nonces(self, faults: int) -> None:
        """Raise fees, drop what the pool holds, and use the sender's nonces for something else."""
        for index in range(faults):
            if index % 8 == 4:
                await self._open_jobs(1)
            with self.victims.running(self.order):
                await self.world.pass_blocks(self.luck.randint(2, 8))
                kind = self.luck.choice(("fee_above_cap", "fee_raised", "dropped", "nonce_taken"))
                await self._disturb(kind)
                await self.world.pass_blocks(self.luck.randint(2, 8))
            self.tally.faults["nonce"] += 1
            self.tally.nonces[kind] += 1
            self._note_kill("random")

    async def _disturb(self, kind: str) -> None:
        world, cap = self.world, self.order.max_fee_gwei * GWEI
        if kind == "dropped":
            await world.drop_pending(SENDER.address)
        elif kind == "nonce_taken":
            await world.take_nonce(SENDER.address)
        else:
            world.base_fee = 2 * cap if kind == "fee_above_cap" else cap // 2
            await world.pass_blocks(self.luck.randint(2, 12))
            world.base_fee = 0
            await world.settle_fee()

    async def twins(self, faults: int) -> None:
        """Run a second keeper with the same sender on a database of its own."""
        folder = self.folder / "twin"
        twin = replace(
            self.order,
            database=str(folder / "keeper.db"),
            folder=str(folder),
            twin_of=str(self.folder),
            counted=0,
        )
        for _ in range(faults):
            await self._open_jobs(1)
            with self.victims.running(self.order), self.victims.running(twin):
                await self.world.pass_blocks(self.luck.randint(20, 60))
            self.tally.faults["twin"] += 1
            self._note_kill("random")
            self._note_kill("random")
        with self.victims.running(self.order), self.victims.running(twin):
            await self._finish()

    async def machine(self, faults: int) -> None:
        """Let disks be full and clocks run wrong."""
        for index in range(faults):
            if index % 6 == 2:
                await self._open_jobs(1)
            if index % 2:
                kind, order = "clock", replace(self.order, clock_rate=self.luck.choice(RATES))
            else:
                limit = self.luck.choice((100, 1_000, 10_000, 50_000, 200_000))
                kind, order = "disk", replace(self.order, file_limit=limit)
            with self.victims.running(order):
                await self.world.pass_blocks(self.luck.randint(8, 24))
            self.tally.faults[kind] += 1
            self._note_kill("random")

    async def nodes(self, lies: int) -> None:
        """Let nodes lie to members that probe them, a window each, until so many lies were told."""
        async with open_fleet(self.seed, self.world.scene) as fleet:
            self.fleet = fleet
            await self._announce(fleet)
            self.order = replace(self.order, probes=True)
            with self.victims.running(self.order):
                while len(fleet.lies) < lies:
                    await fleet.serve(len(self.world.jobs) + 1)
                    await self._open_jobs(1)
                    await self.world.pass_blocks(self.luck.randint(10, 30))
                await self._stop_counting()
                # To the end of all jobs: whoever starts anew within a window measured none of it.
                await self._finish()
        self.tally.faults["node"] += len(fleet.lies)
        self.tally.nodes += Counter(lie.kind for lie in fleet.lies.values())
        self.longest_block, self.pace = MAX_PACE_SECONDS, PACE_SECONDS

    async def _announce(self, fleet: Fleet) -> None:
        """Put on chain where nodes answer, and let them serve the jobs that there are."""
        self.longest_block = PACE_SECONDS
        for job_id in self.world.jobs:
            await fleet.serve(job_id)
        for node in fleet.nodes:
            await self.world.announce(node.license_id, node.url)
        self.longest_block, self.pace = STILL_SECONDS, PROBING_PACE_SECONDS

    async def leaders(self, turns: int) -> None:
        """Let a leader propose two reports in so many turns, and prove it to the contract.

        The victim is killed meanwhile, at times while a report is proposed.
        """
        member = self.luck.randrange(len(ORACLES))
        await self.world.bond(member + 1, BOND)
        self.order = replace(self.order, two_faced=member)
        told = EvidenceFile(self.folder)
        while len(told.read()) < turns:
            await self._open_jobs(1)
            with self.victims.running(self.order):
                await self.world.pass_blocks(self.luck.randint(20, 60))
            self._note_kill("random")
        found = told.read()
        with self.victims.running(self.order):
            for evidence in found:
                await self._prove(evidence)
        self.tally.faults["equivocation"] += len(found)

    async def _prove(self, evidence: Evidence) -> None:
        """Let the contract slash for an equivocation; that it does not is a loss."""
        what = f"seed {self.seed}: two roots of window {evidence.window}, turn {evidence.turn}"
        try:
            taken = await self.world.slash(evidence)
        except ChainError as error:
            self.tally.lost.append(f"{what} were not slashed: {error}")
            return
        self.tally.slashed += 1
        if not taken:
            self.tally.lost.append(f"{what} cost nothing")

    async def postgres(self, faults: int) -> None:
        """Let two keepers share a database, and fail them and its server in turn.

        The second one claims and closes only; whichever has the lease on the sender moves the
        counter, and what one has begun the other goes on with.
        """
        assert self.server is not None
        other = replace(self.order, folder=str(self.folder / "other"), twin_of=str(self.folder))
        orders = [self.order, other]
        self.longest_block = DEAD_PACE_SECONDS
        pair = Pair(self.victims, orders, self.server, self.luck, self._crash)
        pair.start()
        try:
            for index in range(faults):
                if index % 4 == 1:
                    await self._open_jobs(1)
                await self.world.pass_blocks(self.luck.randint(4, 10))
                kind = SHARED_FAULTS[index % len(SHARED_FAULTS)]
                await pair.fail(kind)
                self.tally.faults["postgres"] += 1
                self.tally.databases[kind] += 1
            await self._stop_counting()
            self.longest_block = MAX_PACE_SECONDS
            pair.restart()
            await self._finish()
        finally:
            pair.end()

    async def _replace_blocks(self) -> None:
        depth = self._depth()
        keep = self.luck.choice((0.0, 0.5, 1.0))
        lost = await self.world.reorg(depth, keep, [SENDER.address], self.luck)
        self.tally.dropped += lost
        self.tally.faults["reorg"] += 1
        self.tally.depths[depth] += 1

    def _depth(self) -> int:
        """Draw a depth: half of the reorgs stay within the confirmations."""
        within = self.order.confirmations
        if self.luck.random() < 0.5:
            return self.luck.randint(1, within)
        return self.luck.randint(within + 1, DEEPEST)

    def _note_kill(self, point: str) -> None:
        self.tally.faults["kill"] += 1
        self.tally.points[point] += 1

    def _next_order(self, crash: Crash | None = None) -> Order:
        """Return what the next victim is told: where it dies, and which member is silent."""
        silent = self.luck.choice((-1, -1, 0, 1, 2, 3))
        if silent >= 0:
            self.tally.faults["silent_oracle"] += 1
        return replace(self.order, crash=crash, silent=silent)

    def _crash(self) -> Crash:
        point = self.luck.choice(POINTS if self.luck.random() < 0.6 else SIGNING_POINTS)
        return Crash(point, self.luck.choice((1, 1, 1, 2, 3, 4, 6)))

    async def _mine(self) -> None:
        """Make blocks for ever, each once the victim had time to act on the one before."""
        beat = Beat(self.folder)
        try:
            while True:
                await self.world.mine()
                await self._until_acted(beat)
        finally:
            beat.close()

    async def _until_acted(self, beat: Beat) -> None:
        began, seen = time.monotonic(), beat.count
        await asyncio.sleep(self.pace)
        while beat.count < seen + ROUNDS_A_BLOCK:
            if time.monotonic() > began + self.longest_block:
                return
            await asyncio.sleep(PACE_SECONDS / 3)

    async def _open_jobs(self, count: int) -> None:
        for _ in range(count):
            slots, windows = self.luck.randint(1, 3), self.luck.randint(2, 5)
            await self.world.open_job(slots, windows)

    async def _blacklist(self) -> None:
        await self.world.blacklist(self.luck.choice(self.world.scene.licenses))

    async def _stop_counting(self) -> None:
        """Let no further name come up: those so far are to be counted."""
        if self.counts:
            blocks = await self.world.height() - self.order.counted_from
            self.order = replace(self.order, counted=blocks // BLOCKS_A_NAME)

    async def _finish(self) -> Verdict:
        """Wait until nothing is missing, and a while longer: a doubled effect may come late."""
        caught = self.fleet.caught if self.fleet else None
        judge = Judge(self.world.rpc, self.world.scene, [self.folder], caught)
        stop = await self.world.height() + PATIENCE_BLOCKS
        while True:
            verdict = await judge.judge(self.world.jobs, self.order.counted)
            if not verdict.lost or await self.world.height() > stop:
                break
            await self.world.pass_blocks(LOOK_BLOCKS)
        await self.world.pass_blocks(LOOK_BLOCKS)
        return await judge.judge(self.world.jobs, self.order.counted)

    def _conclude(self, verdict: Verdict) -> None:
        name = f"seed {self.seed}"
        tally = self.tally
        tally.wanted = verdict.wanted + tally.slashed
        tally.lost += [f"{name}: {text}" for text in verdict.lost]
        tally.doubled = [f"{name}: {text}" for text in verdict.doubled]
        tally.differences = [f"{name}: {text}" for text in verdict.differences]
        tally.broken = [f"{name}: {text}" for text in self.victims.broken]
