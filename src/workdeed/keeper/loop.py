"""The reconcile loop: look at the chain, then let every duty work towards what it should be.

Duties know nothing of each other. Each gets the latest view; one that is still busy with an older
view is left alone, so that a slow peer of one holds up no other. What goes wrong in a duty stays in
it, is logged when it changes and is tried again in the next round.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from workdeed.chain.clock import ChainClock
from workdeed.chain.errors import ChainError
from workdeed.chain.mirror import Mirror, MirrorUpdate
from workdeed.keeper.effects import EffectDesk
from workdeed.keeper.logs import Log, OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.storage import storage_kind
from workdeed.keeper.view import View
from workdeed.keeper.waking import Alarm

STOP_SECONDS = 5.0
"""How long duties may go on after the loop was told to stop."""


OUTBOX = "outbox"
"""What logs and metrics call the work of the outbox, beside the duties."""

MONEY = ("deposited", "paid", "fees", "refunded", "forfeited", "locked")
"""What is shown of the money of all jobs; names of `JobState`."""


@dataclass(frozen=True)
class Duty:
    """Something that is to be done again and again.

    Attributes:
        name: what logs and metrics call it.
        run: does what is due under a view; idempotent.

    """

    name: str
    run: Callable[[View], Awaitable[None]]


class Loop:
    """Runs rounds until it is told to stop.

    Args:
        mirror: the chain.
        clock: the chain's time, which each round tells the head.
        duties: what to do.
        on_rewound: told the last block that still counts after a reorg, before any duty runs.
        desk: where duties leave what shall be sent.
        poll_seconds: time from the start of a round to the start of the next.
        log, once, metrics: where it tells what happens.

    """

    def __init__(
        self,
        mirror: Mirror,
        clock: ChainClock,
        duties: Sequence[Duty],
        desk: EffectDesk,
        *,
        on_rewound: Callable[[int], None],
        poll_seconds: float,
        log: Log,
        once: OnceLog,
        metrics: Metrics,
    ) -> None:
        self._mirror = mirror
        self._clock = clock
        self._on_rewound = on_rewound
        self._duties = duties
        self._desk = desk
        self._poll_seconds = poll_seconds
        self._log = log
        self._once = once
        self._metrics = metrics
        self.alarm = Alarm()
        """Ends the pause between two rounds early."""
        self._busy: dict[str, asyncio.Task[None]] = {}
        for name in (OUTBOX, *(duty.name for duty in duties)):
            metrics.duty_failures.labels(duty=name)
        self._view: View | None = None
        self._version = 0
        self._cut: int | None = None
        self._shown: tuple[int, int, int] | None = None
        self._seen_at = 0.0

    @property
    def view(self) -> View | None:
        """The latest view, None before the first look at the chain."""
        return self._view

    @property
    def age(self) -> float | None:
        """Seconds since the last look at the chain that succeeded."""
        return None if self._view is None else time.monotonic() - self._seen_at

    async def run(self, stopping: asyncio.Event) -> None:
        """Run rounds until `stopping` is set, then finish what was signed."""
        while not stopping.is_set():
            started = time.monotonic()
            await self.round()
            pause = self._poll_seconds - (time.monotonic() - started)
            await self.alarm.pause(max(0.0, pause), stopping)
        await self._stop()

    async def round(self) -> None:
        """Look at the chain, let every idle duty run, then let the outbox send."""
        with self._metrics.rounds.time():
            view = await self._look()
            if view is None:
                return
            self._start_duties(view)
            # A duty that waits for a peer goes on beside the next rounds.
            if self._busy:
                await asyncio.wait(self._busy.values(), timeout=self._poll_seconds)
            await self._guard(OUTBOX, self._desk.step(view))

    async def _look(self) -> View | None:
        """Return the chain as it is now, None if it cannot be read."""
        try:
            view = self._observe(await self._mirror.refresh())
        except ChainError as error:
            self._count(error)
            self._once.trouble("chain", str(error))
            return None
        except Exception as error:  # no disk, database or RPC may end the keeper
            self._count(error)
            self._once.trouble("chain", f"{type(error).__name__}: {error}")
            return None
        self._once.fine("chain")
        return view

    def _observe(self, update: MirrorUpdate) -> View:
        self._version += bool(update.events or update.rewound_to is not None)
        self._undo(update.rewound_to)
        self._clock.observe(update.head)
        view = View(
            self._mirror.books, update.block, update.head, self._clock.windows, self._version
        )
        self._view, self._seen_at = view, time.monotonic()
        self._show(view)
        return view

    def _undo(self, rewound_to: int | None) -> None:
        """Let all forget what a reorg undid; what fails is done in the next round."""
        if rewound_to is not None:
            self._log.warning("reorg", rewound_to=rewound_to)
            self._metrics.reorgs.inc()
            self._cut = rewound_to if self._cut is None else min(self._cut, rewound_to)
        if self._cut is not None:
            self._desk.forget()
            self._on_rewound(self._cut)
            self._cut = None

    def _show(self, view: View) -> None:
        metrics = self._metrics
        metrics.head_block.set(view.head.number)
        metrics.head_time.set(view.head.timestamp)
        metrics.read_block.set(view.block)
        metrics.window.set(view.window)
        metrics.reported_window.set(view.reported)
        shown = view.version, view.window, view.reported
        if shown != self._shown:  # with many jobs, adding them up takes longer than the look
            self._shown = shown
            self._show_jobs(view)

    def _show_jobs(self, view: View) -> None:
        metrics, jobs = self._metrics, view.books.jobs.values()
        metrics.unreported_windows.set(view.unreported)
        metrics.open_jobs.set(sum(not job.closed for job in jobs))
        for use in MONEY:
            metrics.money.labels(use=use).set(sum(getattr(job, use) for job in jobs))

    def _count(self, error: Exception) -> None:
        kind = storage_kind(error)
        if kind is not None:
            self._metrics.storage_errors.labels(kind=kind).inc()

    def _start_duties(self, view: View) -> None:
        self._busy = {name: task for name, task in self._busy.items() if not task.done()}
        for duty in self._duties:
            if duty.name not in self._busy:
                work = self._guard(duty.name, duty.run(view))
                self._busy[duty.name] = asyncio.create_task(work, name=duty.name)

    async def _guard(self, name: str, work: Awaitable[None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:  # one duty's fault must not stop the others
            self._metrics.duty_failures.labels(duty=name).inc()
            self._count(error)
            self._once.trouble(name, f"{type(error).__name__}: {error}")
        else:
            self._once.fine(name)

    async def _stop(self) -> None:
        busy = list(self._busy.values())
        if busy:
            _, late = await asyncio.wait(busy, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._guard(OUTBOX, self._desk.finish())
