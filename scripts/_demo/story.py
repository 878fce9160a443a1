"""What happens on the stage: the jobs, two deaths, the settlement, and the fees handed on.

One job is extended, another scaled up and then cancelled. A third, where there is a container
engine, runs an image and is updated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from rich.markup import escape

from scripts._demo.containers import Host, cut_power
from scripts._demo.ledger import Account, Entry, Ledger
from scripts._demo.screen import Screen, money
from scripts._demo.specs import EVENING, MORNING, image_spec
from scripts._demo.stage import DemoError, Stage, read_json
from scripts._demo.update import Update
from workdeed.chain.rpc import RpcClient

POLL_SECONDS = 0.5
LIMIT_SECONDS = 420.0
FIRST_JOB, SECOND_JOB = {"slots": 2, "windows": 7}, {"slots": 1, "windows": 9}
IMAGE_JOB = {"slots": 2, "windows": 5}
SCALED_SLOTS, CANCEL_AFTER_CLAIMS = 2, 5
DYING_ORACLE = 4
RECEIVERS = ("the oracles", "the burn auction", "the treasury")


@dataclass
class Story:
    """Plays the demo on a stage and narrates what the chain says."""

    stage: Stage
    screen: Screen
    ledger: Ledger
    rpc: RpcClient
    session: aiohttp.ClientSession
    first: int = 0
    second: int = 0
    update: Update | None = None
    dead_node: int = 0
    extended: bool = False
    scaled: bool = False
    cancelled: bool = False
    claims: dict[int, int] = field(default_factory=dict)

    async def play(self) -> None:
        """Play until every job is settled.

        Raises:
            DemoError: if a process ends that was not told to, or it takes too long.

        """
        await self._open_jobs()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LIMIT_SECONDS
        while not self._settled():
            if loop.time() > deadline:
                raise DemoError(f"not settled in time; see {self.stage.folder / 'logs'}")
            await self._step()
            await asyncio.sleep(POLL_SECONDS)
        await self._hand_fees_on()
        await self._step()

    def containers(self) -> dict[str, Any]:
        """Return what `build/demo.json` holds of the job that runs an image."""
        if self.stage.host is None or self.update is None:
            return {"engine": None, "reason": self.stage.no_host}
        return {"engine": self.stage.host.engine, **self.update.result()}

    async def _hand_fees_on(self) -> None:
        """Bring the fees to the oracles, the auction and the treasury; anyone may."""
        for version in sorted({job.policy for job in self.ledger.jobs.values()}):
            await self._payer().flush_fees(version)
        await self._payer().pull_pots()

    async def _step(self) -> None:
        self._check_crew()
        await self._watch_workloads()
        for entry in await self.ledger.advance():
            self._narrate(entry)
        await self._act()
        self.screen.show(self.ledger, await self._window())

    async def _open_jobs(self) -> None:
        payer = self._payer()
        self.first = await payer.open_job(self.stage.spec, **FIRST_JOB)
        self.second = await payer.open_job(self.stage.spec, **SECOND_JOB)
        self.screen.runs |= {self.first: "git", self.second: "git"}
        if self.stage.host is not None:
            await self._open_image_job(self.stage.host)

    async def _open_image_job(self, host: Host) -> None:
        job_id = await self._payer().open_job(image_spec(host.image, MORNING), **IMAGE_JOB)
        living = tuple(url for key, url in self.stage.keepers.items() if key != DYING_ORACLE)
        self.screen.runs[job_id] = "image"
        evening = image_spec(host.image, EVENING)
        self.update = Update(job_id, IMAGE_JOB["slots"], evening, living)
        self.stage.open.push_async_callback(self.update.close)

    def _payer(self) -> Any:
        if self.stage.payer is None:
            raise DemoError("the payer is not connected")
        return self.stage.payer

    async def _act(self) -> None:
        """Do what the story asks for, as soon as the chain has come so far."""
        if self.update is not None and (news := await self.update.advance(self._payer())):
            self.screen.say(escape(news))
        if not self.dead_node and self.claims.get(self.first) and not self._is_updating():
            await self._kill_node()
        elif self.dead_node and not self.extended:
            self.extended = True
            await self._payer().extend_job(self.first, 1)
        elif not self.scaled and self.claims.get(self.second):
            self.scaled = True
            await self._payer().scale_job(self.second, SCALED_SLOTS)
        elif not self.cancelled and self.claims.get(self.second, 0) >= CANCEL_AFTER_CLAIMS:
            self.cancelled = True
            await self._payer().cancel_job(self.second)

    def _is_updating(self) -> bool:
        return self.update is not None and self.update.is_under_way

    async def _kill_node(self) -> None:
        """Cut the power of a node that was just paid, and of an oracle."""
        job = self.ledger.jobs[self.first]
        self.dead_node = min(job.units)
        endpoint = self.stage.nodes[self.dead_node]
        status = await read_json(self.session, f"{endpoint}/status")
        self.stage.crew.kill(f"node-{self.dead_node}", self._pids(status))
        if self.stage.host is not None:
            folder = self.stage.folder / f"node-{self.dead_node}"
            await asyncio.to_thread(cut_power, self.stage.host, folder)
        self.stage.crew.kill(f"oracle-{DYING_ORACLE}")
        self.screen.say(
            f"[bold]killed[/] the node of license {self.dead_node}, which serves job {self.first}, "
            f"and oracle {DYING_ORACLE}"
        )

    def _settled(self) -> bool:
        jobs = self.ledger.jobs
        if len(jobs) < self._opened() or not self.cancelled:
            return False
        return all(job.state == "closed" and self._drained(job) for job in jobs.values())

    def _opened(self) -> int:
        return 2 if self.update is None else 3

    def _drained(self, job: Account) -> bool:
        """Say whether all units that stayed funded were claimed; what is left then is dust."""
        return sum(job.units.values()) == job.funded_units

    def _check_crew(self) -> None:
        lost = self.stage.crew.lost()
        if lost:
            raise DemoError(f"{lost[0]} ended; see {self.stage.crew.logs(lost[0])}")

    async def _watch_workloads(self) -> None:
        """Record what runs on the nodes, so that nothing outlives the demo."""
        urls = [
            f"{endpoint}/status"
            for license_id, endpoint in self.stage.nodes.items()
            if license_id != self.dead_node
        ]
        for status in await asyncio.gather(*(read_json(self.session, url) for url in urls)):
            self.stage.crew.saw_workloads(self._pids(status))

    def _pids(self, status: Any) -> list[int]:
        """Return the processes of a node's workloads, without those that an engine looks after.

        Theirs may be numbers of another machine, such as the engine's virtual one.
        """
        contained = self.update.job_id if self.update is not None else 0
        workloads = status.get("workloads", []) if isinstance(status, dict) else []
        return [one["pid"] for one in workloads if one.get("pid") and one["job_id"] != contained]

    async def _window(self) -> int:
        head = await self.rpc.head()
        deployment = self.stage.deployment
        return (head.timestamp - deployment.genesis) // deployment.window + 1

    def _narrate(self, entry: Entry) -> None:
        event = entry.fields
        tell = getattr(self, f"_tell_{entry.name}", None)
        if tell is not None:
            self.screen.say(tell(event))
        if entry.name == "Claimed":
            self.claims[event["job_id"]] = self.claims.get(event["job_id"], 0) + 1

    def _tell_JobOpened(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        return (
            f"job {event['job_id']} opened: {event['slots']} slot(s) for {event['windows']} "
            f"windows, {money(event['deposit'])} locked"
        )

    def _tell_Placed(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        released = f", released {_ids(event['release'])}" if event["release"] else ""
        return (
            f"job {event['job_id']} placed on {_ids(event['assign'])}{released}, "
            f"from window {event['window'] + 1}"
        )

    def _tell_ReportSubmitted(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        signers = bin(event["signers"]).count("1")
        return f"report of window {event['window']} signed by {signers} oracles"

    def _tell_Claimed(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        return (
            f"job {event['job_id']} paid {money(event['amount'])} to license "
            f"{event['license_id']} ({event['units'] / 10_000:.4f} windows so far)"
        )

    def _tell_JobExtended(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        return (
            f"job {event['job_id']} extended by {event['windows']} window(s), "
            f"{money(event['deposit'])} more locked"
        )

    def _tell_JobScaled(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        moved = f"{money(event['deposit'])} more locked"
        if event["refund"]:
            moved = f"{money(event['refund'])} refunded"
        return (
            f"job {event['job_id']} scaled to {event['slots']} slot(s) from window "
            f"{event['window'] + 1}, {moved}"
        )

    def _tell_Pulled(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        return f"fees for {RECEIVERS[event['pot']]}: {money(event['amount'])}"

    def _tell_JobCancelled(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        return f"job {event['job_id']} cancelled, {money(event['refund'])} refunded at once"

    def _tell_JobClosed(self, event: Mapping[str, Any]) -> str:  # noqa: N802
        return f"job {event['job_id']} closed, {money(event['refund'])} refunded"


def _ids(ids: Any) -> str:
    return "license " + ", ".join(map(str, ids)) if ids else "nothing"
