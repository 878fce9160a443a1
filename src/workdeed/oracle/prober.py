"""Probes every node that serves, at times that nobody can foresee, and counts what it says.

Whose jobs are probed in a window follows from the chain (`targets`), what an answer is worth from
the rules (`judge`), and what comes of it for the window from the counts (`tallies`).
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Final, NamedTuple

import structlog

from workdeed.intent import MAIN, HttpCheck, Spec
from workdeed.oracle.endpoints import EndpointClient, Resolved
from workdeed.oracle.errors import EndpointError
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.holds import Holds
from workdeed.oracle.judge import Judge
from workdeed.oracle.ledger import JobKey
from workdeed.oracle.meter import Meter
from workdeed.oracle.patience import patience_of
from workdeed.oracle.schedule import Schedule
from workdeed.oracle.settings import ProbeSettings
from workdeed.oracle.tallies import Mark, Tallies, Verdict, WindowTally
from workdeed.oracle.targets import JobTarget, Target
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import MessageError, SignatureError
from workdeed.protocol.figures import Pair
from workdeed.protocol.messages import Answer, Probe, Workload
from workdeed.protocol.windows import WindowClock

_log = structlog.get_logger(__name__)

_NONCE_BYTES: Final = 32
_LONGEST_PAUSE: Final = 1.0

SpecSource = Callable[[bytes], Spec | None]
"""Returns the spec of a hash, None if it is not held."""

Control = Callable[[], Awaitable[bool]]
"""Tells whether something that should answer does: whether it is this oracle that is cut off."""


class Watch(NamedTuple):
    """What is probed in a window; `block_hash` is a settled block that probes name."""

    window: int
    block_hash: bytes
    targets: tuple[Target, ...]


class Heard(NamedTuple):
    """A valid answer, and where it came from."""

    answer: Answer
    node: Resolved


@dataclass(frozen=True, slots=True)
class Chance:
    """Where time and chance come from, so that tests can take their place.

    Attributes:
        random: draws pauses.
        nonce: draws bytes.
        monotonic: seconds of a clock that never goes back.
        sleep: waits for seconds.

    """

    random: Random = field(default_factory=SystemRandom)
    nonce: Callable[[int], bytes] = secrets.token_bytes
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Prober:
    """Measures the pairs of the window that it watches.

    Args:
        client: calls the nodes.
        domain: the committee's, in which nodes sign.
        windows: the calendar.
        now: the chain's time in Unix seconds.
        settings: how often, how long, how many.
        evidence: keeps the answers that count.
        specs: where specs come from, for the health checks that they name.
        control: asked when no node answers; its no makes the window unknown.
        chance: time and chance.
        meter: told of probes and what they say.
        holds: tells which workloads their payer stopped; without it these count as any other.

    """

    def __init__(
        self,
        client: EndpointClient,
        domain: Domain,
        windows: WindowClock,
        now: Callable[[], float],
        *,
        settings: ProbeSettings,
        evidence: EvidenceLog,
        specs: SpecSource,
        control: Control | None = None,
        chance: Chance | None = None,
        meter: Meter | None = None,
        holds: Holds | None = None,
    ) -> None:
        self._client = client
        self._domain = domain
        self._windows = windows
        self._now = now
        self._settings = settings
        self._evidence = evidence
        self._specs = specs
        self._control = control
        self._chance = chance or Chance()
        self._meter = meter or Meter()
        self._holds = holds
        self._schedule = Schedule(settings.interval, self._chance.random)
        self._tallies = Tallies()
        self._judge = Judge(settings.grace_windows, patience_of(specs, windows.window))
        self._watch: Watch | None = None
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._silent = 0
        self._check_control_at = 0.0

    @property
    def watched(self) -> int:
        """The window that is watched, 0 before the first."""
        return self._watch.window if self._watch else 0

    def watch(self, window: int, block_hash: bytes, targets: Sequence[Target]) -> None:
        """Probe these nodes from now on, and count for `window`."""
        self._watch = Watch(window, block_hash, tuple(targets))
        self._schedule.keep((one.license_id for one in targets), self._chance.monotonic())
        pairs = [job.pair for one in targets for job in one.jobs]
        self._judge.forget(pairs)
        if self._holds is not None:
            self._holds.forget(pairs)
        self._meter.watching([one.license_id for one in targets])

    def rest(self) -> None:
        """Probe nobody until the next `watch`."""
        self._watch = None
        self._schedule.keep((), self._chance.monotonic())
        self._meter.watching([])

    def mark_unknown(self, window: int, reason: str) -> None:
        """Report everything of `window` as unknown, for a fault of this oracle's own."""
        _log.info("oracle: window unknown", window=window, reason=reason)
        self._tallies.mark_unknown(window, reason)

    def close_window(self, window: int, pairs: tuple[Pair, ...]) -> WindowTally:
        """Return what was measured in `window`, once; a probe that is under way is left out.

        The caller makes the evidence of the window durable before it signs anything about it.
        """
        tally = self._tallies.close(window, pairs)
        self._meter.closed(window, tally)
        return tally

    async def run(self) -> None:
        """Probe until cancelled."""
        try:
            while True:
                await self._start_due()
                await self._ask_control()
                pause = self._schedule.pause(self._chance.monotonic())
                await self._chance.sleep(min(pause, _LONGEST_PAUSE))
        finally:
            await self._stop()

    async def probe_all(self) -> None:
        """Probe every node that is watched once, as many at a time as `run` does."""

        async def probe(target: Target) -> None:
            async with self._slots:
                await self._probe_guarded(target)

        if self._watch is not None:
            await asyncio.gather(*(probe(one) for one in self._watch.targets))

    async def _start_due(self) -> None:
        targets = {one.license_id: one for one in (self._watch.targets if self._watch else ())}
        for license_id in self._schedule.due(self._chance.monotonic()):
            target = targets.get(license_id)
            if target is None:
                continue
            await self._slots.acquire()
            task = asyncio.create_task(self._probe_guarded(target))
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._running.discard(task)

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _probe_guarded(self, target: Target) -> None:
        """Probe one node; a fault of this program must not end the probing of all others."""
        window = self.watched
        try:
            await self._probe(target)
        except Exception as error:
            _log.exception("oracle: a probe broke", license_id=target.license_id)
            self._meter.fault(error)
            self.mark_unknown(window, "a probe broke")

    async def _probe(self, target: Target) -> None:
        watch = self._watch
        if watch is None or not self._is_time(watch.window):
            return
        nonce = self._chance.nonce(_NONCE_BYTES)
        probe = Probe(nonce=nonce, window=watch.window, block_hash=watch.block_hash)
        began = self._chance.monotonic()
        heard = await self._ask(target, probe)
        seconds = self._chance.monotonic() - began
        self._meter.probed(target.license_id, seconds, answered=heard is not None)
        self._silent = 0 if heard else self._silent + 1
        verdicts = await self._verdicts(watch.window, target.jobs, heard)
        self._count(watch.window, target, heard, verdicts)

    def _is_time(self, window: int) -> bool:
        """Tell whether a probe that is sent now counts in `window`, and can end in it."""
        now = self._now()
        ends = self._windows.end(window) - self._settings.timeout
        return self._windows.start(window) <= now < ends

    async def _ask(self, target: Target, probe: Probe) -> Heard | None:
        """Return the node's answer if it is valid, else None."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                node = await self._client.resolve(target.endpoint)
                body = await self._client.post(
                    node, "/probe", probe.to_json(), seconds=self._settings.timeout
                )
        except (EndpointError, TimeoutError) as error:
            _log.debug("oracle: no answer", license_id=target.license_id, reason=str(error))
            return None
        return self._read(target, probe, node, body)

    def _read(self, target: Target, probe: Probe, node: Resolved, body: bytes) -> Heard | None:
        """Check that the answer is to this probe, for this license, and by its node."""
        try:
            answer = Answer.parse(body)
            signer = answer.verify(self._domain)
        except (MessageError, SignatureError) as error:
            _log.debug("oracle: bad answer", license_id=target.license_id, reason=str(error))
            return None
        is_its_own = (
            answer.answers(probe)
            and answer.chain_id == self._domain.chain_id
            and answer.license_id == target.license_id
            and signer == target.node
        )
        return Heard(answer, node) if is_its_own else None

    async def _verdicts(
        self, window: int, jobs: Sequence[JobTarget], heard: Heard | None
    ) -> list[Verdict]:
        """Return what the probe says of each job."""
        found = _by_job(_distinct(heard.answer.workloads) if heard else ())
        workloads = [found.get((job.pair.escrow, job.pair.job_id), ()) for job in jobs]
        served = [
            self._judge.serving(window, job, own) for job, own in zip(jobs, workloads, strict=True)
        ]
        if heard is not None:
            served = await self._answering(heard, served)
        found_so = list(zip(jobs, workloads, served, strict=True))
        idle = [(job, own) for job, own, one in found_so if one is None and own]
        held = await self._held(heard, idle) if heard is not None else set()
        return [
            "ok" if job.pair in held else self._judge.verdict(window, job, own, one)
            for job, own, one in found_so
        ]

    async def _held(
        self, heard: Heard, idle: Sequence[tuple[JobTarget, Sequence[Workload]]]
    ) -> set[Pair]:
        """Return those of these pairs that their payer stopped."""
        holds = self._holds
        if holds is None:
            return set()
        answers = await asyncio.gather(*(holds.held(heard.node, *one) for one in idle))
        return {job.pair for (job, _), held in zip(idle, answers, strict=True) if held}

    async def _answering(
        self, heard: Heard, served: Iterable[Workload | None]
    ) -> list[Workload | None]:
        """Return those of these workloads that answer too, None in place of each other.

        All with a port are asked at once. One without a port is not worth a task of its own: most
        nodes have several.
        """
        works = list(served)
        ported = [one for one in works if one is not None and one.port is not None]
        answers = await asyncio.gather(*(self._answers(heard.node, one) for one in ported))
        good = {one.key for one, answered in zip(ported, answers, strict=True) if answered}
        good |= {one.key for one in works if one is not None and self._needs_no_port(one)}
        return [one if one is not None and one.key in good else None for one in works]

    def _needs_no_port(self, work: Workload) -> bool:
        """Tell whether a workload has no port, and its spec, as far as it is held, wants none."""
        if work.port is not None:
            return False
        spec = self._specs(work.spec_hash)
        return spec is None or spec.port is None

    async def _answers(self, node: Resolved, work: Workload) -> bool:
        """Ask a workload at its main port.

        An HTTP check of its spec there must succeed. A check of another kind may mean a service
        that speaks no HTTP, which only has to take a connection. Without a check, or while the spec
        is not held here, any HTTP answer will do.
        """
        assert work.port is not None  # noqa: S101 - nobody else is asked
        spec = self._specs(work.spec_hash)
        check = spec.health if spec is not None else None
        where, seconds = node.workload(work.port), self._settings.timeout
        try:
            if isinstance(check, HttpCheck) and check.port == MAIN:
                status = await self._client.status(where, check.path, seconds=seconds)
                return 200 <= status < 300
            if check is not None:
                await self._client.connect(where, seconds=seconds)
            else:
                await self._client.status(where, "/", seconds=seconds)
        except EndpointError as error:
            _log.debug("oracle: a workload is silent", job_id=work.job_id, reason=str(error))
            return False
        return True

    def _count(
        self, window: int, target: Target, heard: Heard | None, verdicts: Iterable[Verdict]
    ) -> None:
        if not self._tallies.is_open(window):
            return
        found = list(verdicts)
        for job, verdict in zip(target.jobs, found, strict=True):
            self._tallies.count(window, job.pair, verdict)
        self._meter.judged(found)
        if heard is None:
            return
        self._tallies.mark(window, target.license_id, _marks(target, heard))
        if "ok" in found:
            self._tallies.keep(window, self._evidence.add(window, heard.answer))
            self._meter.kept()

    async def _ask_control(self) -> None:
        """When probes go out and nothing comes back, find out whether it is this oracle's fault."""
        now = self._chance.monotonic()
        if self._control is None or not self._silent or now < self._check_control_at:
            return
        self._check_control_at = now + self._settings.interval
        window = self.watched
        if not await self._control():
            self.mark_unknown(window, "no control target answers")


def _distinct(workloads: Sequence[Workload]) -> tuple[Workload, ...]:
    """Leave out workloads on a port that a job before them uses: one process serves one job."""
    holders: dict[int, tuple[str, int]] = {}
    found = []
    for work in workloads:
        job = work.escrow, work.job_id
        if work.port is None or holders.setdefault(work.port, job) == job:
            found.append(work)
    return tuple(found)


def _by_job(workloads: Iterable[Workload]) -> dict[JobKey, list[Workload]]:
    """Return the workloads of each job, so that judging a job does not look at all of them."""
    found: dict[JobKey, list[Workload]] = {}
    for work in workloads:
        found.setdefault((work.escrow, work.job_id), []).append(work)
    return found


def _marks(target: Target, heard: Heard) -> list[Mark]:
    """Return what no other license may share with a node that gave this answer."""
    host, port = heard.node.origin.host.lower(), heard.node.origin.port
    address = heard.node.address
    marks = [
        Mark("instance", heard.answer.instance_id),
        Mark("endpoint", (host, port)),
        Mark("socket", (address, port)),
    ]
    jobs = {(job.pair.escrow, job.pair.job_id) for job in target.jobs}
    marks += (
        Mark("socket", (address, work.port))
        for work in heard.answer.workloads
        if work.port is not None and (work.escrow, work.job_id) in jobs
    )
    return marks
