"""Hands specs to the nodes that are placed, until each node's own status shows the workload.

What is to be delivered follows from the books alone, so nothing has to be remembered: after a
restart everything is offered again, and a node starts a (job, license, revision) only once.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from workdeed.chain.books import Books
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.specs import SpecStore
from workdeed.keeper.statuses import Statuses
from workdeed.keeper.view import View
from workdeed.protocol.errors import MessageError
from workdeed.protocol.messages import Dispatch, DispatchReply
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError

FIRST_PAUSE = 0.25
MAX_PAUSE = 30.0

_GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, spread evenly, however many there are."""


@dataclass(frozen=True, slots=True, order=True)
class Delivery:
    """One revision of a job that one placed license has to have."""

    job_id: int
    license_id: int
    revision: int
    spec_hash: bytes

    @property
    def name(self) -> str:
        """What logs call it."""
        return f"dispatch job {self.job_id} revision {self.revision} license {self.license_id}"


@dataclass(slots=True)
class _Progress:
    """How far a delivery is: when it is due again, and how long the next pause is."""

    due: float
    pause: float = FIRST_PAUSE


def deliveries(books: Books, window: int) -> set[Delivery]:
    """Return what placed licenses have to have in `window`: the current spec of jobs not over."""
    return {
        Delivery(job.job_id, license_id, job.revision, job.spec_hash)
        for job in books.jobs.values()
        if job.active and not job.closed and not job.is_over(window)
        for license_id in books.placed(job.job_id)
    }


class Dispatcher:
    """Delivers in the background, one attempt per delivery at a time.

    Args:
        escrow: the escrow's address, which a dispatch names.
        addresses: where nodes are.
        endpoints: the HTTP client.
        statuses: what nodes say of themselves.
        specs: where the bytes come from.
        log: told of nodes that do not take a delivery.
        metrics: counts deliveries and failures.
        verify_seconds: time between two looks whether a node still has what it accepted; one look
            serves all that it has.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        escrow: str,
        addresses: AddressBook,
        endpoints: Endpoints,
        statuses: Statuses,
        specs: SpecStore,
        log: OnceLog,
        metrics: Metrics,
        *,
        verify_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._escrow = escrow
        self._addresses = addresses
        self._endpoints = endpoints
        self._statuses = statuses
        self._specs = specs
        self._log = log
        self._metrics = metrics
        self._verify_seconds = verify_seconds
        self._now = now
        self._progress: dict[Delivery, _Progress] = {}
        self._accepted: set[Delivery] = set()
        self._running: dict[Delivery, asyncio.Task[None]] = {}
        self._seen = (-1, -1)

    @property
    def accepted(self) -> frozenset[Delivery]:
        """What nodes have taken and, when last asked, still had."""
        return frozenset(self._accepted)

    async def run(self, view: View) -> None:
        """Start the attempts that are due; they go on in the background."""
        self._update(view)
        now = self._now()
        for delivery, progress in self._progress.items():
            if delivery in self._running or progress.due > now:
                continue
            address = self._addresses.of_license(view.books, delivery.license_id)
            task = asyncio.create_task(self._attempt(delivery, address, progress))
            self._running[delivery] = task
            task.add_done_callback(partial(self._drop, delivery))
        self._metrics.undelivered.set(len(self._progress) - len(self._accepted))

    def _update(self, view: View) -> None:
        """Take over what has to be delivered, if that may have changed."""
        if self._seen == (view.version, view.window):
            return
        self._seen = view.version, view.window
        wanted = deliveries(view.books, view.window)
        self._forget(self._progress.keys() - wanted)
        for delivery in sorted(wanted - self._progress.keys()):
            self._progress[delivery] = _Progress(due=self._now())

    async def settle(self) -> None:
        """Wait for the attempts that are under way."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up what is under way: nothing of it must be finished, all of it can be repeated."""
        for task in self._running.values():
            task.cancel()
        await self.settle()

    async def _attempt(self, delivery: Delivery, address: str | None, progress: _Progress) -> None:
        try:
            if address is None:
                raise EndpointError(f"license {delivery.license_id} announces no endpoint")
            if delivery not in self._accepted or not await self._still_there(delivery, address):
                await self._deliver(delivery, address)
        except (EndpointError, MessageError) as error:
            self._failed(delivery, progress, str(error))
        except Exception as error:  # a fault of this program must not be met again every round
            self._failed(delivery, progress, f"{type(error).__name__}: {error}")
        else:
            self._accepted.add(delivery)
            self._log.fine(delivery.name)
            progress.due, progress.pause = self._next_look(delivery.license_id), FIRST_PAUSE

    def _failed(self, delivery: Delivery, progress: _Progress, reason: str) -> None:
        self._accepted.discard(delivery)
        self._metrics.dispatch_failures.inc()
        self._log.trouble(delivery.name, reason)
        progress.due = self._now() + progress.pause
        progress.pause = min(2 * progress.pause, MAX_PAUSE)

    def _next_look(self, license_id: int) -> float:
        """Return when a node is looked at next: a time that all of its deliveries share.

        So one request serves all of them, and the nodes are spread over the time between.
        """
        now, period = self._now(), self._verify_seconds
        offset = license_id * _GOLDEN % 1 * period
        return now + period - (now - offset) % period

    async def _deliver(self, delivery: Delivery, address: str) -> None:
        data = self._specs.get(delivery.spec_hash)
        if data is None:
            raise EndpointError(f"spec 0x{delivery.spec_hash.hex()} is not here yet")
        message = Dispatch(
            escrow=self._escrow, job_id=delivery.job_id, revision=delivery.revision, spec=data
        )
        answer = await self._endpoints.send("POST", address, "/dispatch", message.to_json())
        DispatchReply.parse(answer)
        self._statuses.forget(delivery.license_id)
        self._metrics.dispatches.inc()

    async def _still_there(self, delivery: Delivery, address: str) -> bool:
        status = await self._statuses.read(delivery.license_id, address)
        return any(
            (work.escrow, work.job_id, work.revision)
            == (self._escrow, delivery.job_id, delivery.revision)
            for work in status.workloads
        )

    def _drop(self, delivery: Delivery, _: object) -> None:
        self._running.pop(delivery, None)

    def _forget(self, gone: Iterable[Delivery]) -> None:
        for delivery in list(gone):
            del self._progress[delivery]
            self._accepted.discard(delivery)
            self._log.forget(delivery.name)
            task = self._running.get(delivery)
            if task is not None:
                task.cancel()
