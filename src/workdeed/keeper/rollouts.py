"""Moves the jobs whose revision changed, by asking their nodes for one step after the other.

What is next follows from the chain and the nodes alone (`rollout`), so a restart loses nothing, and
keepers need not agree on who acts: the others only wait a little, to spare the nodes.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from workdeed.chain.books import JobState
from workdeed.chain.keys import Signer
from workdeed.intent import Spec
from workdeed.keeper.logs import Log, OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.replicas import Lookout, Seen, decision_of
from workdeed.keeper.rollout import Decision, Step
from workdeed.keeper.stagger import Stagger
from workdeed.keeper.view import View
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import MessageError
from workdeed.protocol.messages import DispatchReply
from workdeed.protocol.noderequest import NodeRequest
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError

LOOK_SECONDS = 1.0
"""Between two looks at a job that is on its way."""

LONGEST_LOOK_SECONDS = 10.0
"""Between two looks at one on which nothing has moved for long: its nodes may be many."""

REST_SECONDS = 30.0
"""Between two looks at one that was given up; its nodes may have come back meanwhile."""

REPEAT_SECONDS = 5.0
"""After so long a step is asked for again that is still to be done."""

STAGGER_SECONDS = 2.0
"""What each member leaves to the one before it."""

Key = tuple[int, int, tuple[int, ...]]
"""A job, its revision and its placed licenses: what a rollout is about."""


@dataclass(frozen=True)
class Asking:
    """How nodes are asked.

    Attributes:
        signer: the member key.
        domain: the committee's, in which requests are signed.
        escrow: whose jobs are meant.
        endpoints: the HTTP client.

    """

    signer: Signer
    domain: Domain
    escrow: str
    endpoints: Endpoints

    async def ask(self, job: JobState, address: str, step: Step, asked_at: int) -> None:
        """Ask a node for a step.

        Raises:
            EndpointError: if it does not answer or refuses.
            MessageError: if its answer is malformed.

        """
        request = NodeRequest(
            escrow=self.escrow,
            job_id=job.job_id,
            license_id=step.license_id,
            revision=job.revision,
            action=step.action,
            argument=step.argument,
            asked_at=asked_at,
            account=self.signer.address,
        )
        signature = self.signer.sign_digest(request.digest(self.domain))
        signed = request.model_copy(update={"signature": signature})
        DispatchReply.parse(
            await self.endpoints.send("POST", address, "/requests", signed.to_json())
        )


class Rollouts:
    """The duty of a committee member to roll out revisions.

    Args:
        asking: how nodes are asked.
        lookout: looks at replicas.
        read_spec: where specs come from.
        log: told of phases.
        once: told of nodes that refuse.
        metrics: counts steps and shows phases.
        now: seconds of a clock that never goes back.
        wall: Unix seconds of this machine.

    """

    def __init__(
        self,
        asking: Asking,
        lookout: Lookout,
        read_spec: Callable[[bytes], Spec | None],
        log: Log,
        once: OnceLog,
        metrics: Metrics,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._asking = asking
        self._lookout = lookout
        self._read_spec = read_spec
        self._log = log
        self._once = once
        self._metrics = metrics
        self._now = now
        self._wall = wall
        self._stagger = Stagger(asking.signer.address, STAGGER_SECONDS)
        self._due: dict[Key, float] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._phases: dict[Key, tuple[str, str]] = {}
        # What was decided last, and since when it has been the same.
        self._decided: dict[Key, tuple[Decision, float]] = {}
        # When each step that is due may be asked for (again).
        self._asked: dict[tuple[Key, Step], float] = {}
        self._last_asked_at = 0
        self._seen = (-1, -1)

    async def run(self, view: View) -> None:
        """Start the looks that are due; they go on in the background."""
        if self._asking.signer.address not in {seat.signer for seat in view.books.members}:
            return
        self._update(view)
        for key, due in self._due.items():
            if key not in self._running and due <= self._now():
                task = asyncio.create_task(self._guarded(view, key))
                self._running[key] = task
                task.add_done_callback(partial(self._drop, key))

    async def settle(self) -> None:
        """Wait for the looks that are under way."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up what is under way: all of it can be repeated."""
        for task in self._running.values():
            task.cancel()
        await self.settle()

    def _update(self, view: View) -> None:
        """Take over what is to be rolled out, if that may have changed."""
        if self._seen == (view.version, view.window):
            return
        self._seen = view.version, view.window
        wanted = set(rollouts(view))
        for gone in self._due.keys() - wanted:
            self._forget(gone)
        for key in sorted(wanted - self._due.keys()):
            self._due[key] = self._now()
        self._show()

    async def _guarded(self, view: View, key: Key) -> None:
        """Look at a job; a fault of this program must not end the rollouts of others."""
        where = f"rollout job {key[0]}"
        try:
            await self._move(view, key)
        except Exception as error:
            self._due[key] = self._now() + REST_SECONDS
            self._metrics.duty_failures.labels(duty="rollouts").inc()
            self._once.trouble(where, f"{type(error).__name__}: {error}")
        else:
            self._once.fine(where)

    async def _move(self, view: View, key: Key) -> None:
        job = view.books.jobs[key[0]]
        seen = await self._lookout.look(view.books, job.job_id)
        decision = decision_of(job, self._read_spec(job.spec_hash), seen)
        self._tell(key, decision)
        steps = self._due_steps(view, key, decision)
        addresses = {one.license_id: one for one in seen}
        await asyncio.gather(*(self._ask(job, addresses[one.license_id], one) for one in steps))
        if key in self._due:
            self._due[key] = self._now() + self._pause(key, decision)

    def _pause(self, key: Key, decision: Decision) -> float:
        """Return the seconds until the next look: the longer nothing moved, the more."""
        before, since = self._decided.get(key, (None, 0.0))
        if decision != before:
            since = self._now()
            self._decided[key] = decision, since
        if decision.phase == "steady":
            return float("inf")
        if decision.phase == "reverted":
            return REST_SECONDS
        return min(max(LOOK_SECONDS, (self._now() - since) / 10), LONGEST_LOOK_SECONDS)

    def _due_steps(self, view: View, key: Key, decision: Decision) -> list[Step]:
        """Return the steps that nobody did in the time that was this keeper's to wait."""
        wait = self._stagger.delay(view, key[0])
        for one in [one for one in self._asked if one[0] == key and one[1] not in decision.steps]:
            del self._asked[one]
        due = []
        for step in decision.steps:
            if self._asked.setdefault((key, step), self._now() + wait) <= self._now():
                self._asked[key, step] = self._now() + REPEAT_SECONDS
                due.append(step)
        return due

    async def _ask(self, job: JobState, seen: Seen, step: Step) -> None:
        name = f"rollout job {job.job_id} license {step.license_id}"
        if seen.address is None:
            return
        # Those of one account must ascend, also within a millisecond.
        self._last_asked_at = max(int(self._wall() * 1_000), self._last_asked_at + 1)
        try:
            await self._asking.ask(job, seen.address, step, self._last_asked_at)
        except (EndpointError, MessageError) as error:
            self._once.trouble(name, f"{step.action}: {error}")
            return
        except Exception as error:  # a fault of this program must not end the steps of others
            self._metrics.duty_failures.labels(duty="rollouts").inc()
            self._once.trouble(name, f"{step.action}: {type(error).__name__}: {error}")
            return
        self._once.fine(name)
        self._lookout.statuses.forget(step.license_id)
        self._metrics.rollout_steps.labels(action=step.action).inc()
        self._log.info(
            "rollout_step",
            job_id=job.job_id,
            revision=job.revision,
            license_id=step.license_id,
            action=step.action,
            reason=step.argument,
        )

    def _tell(self, key: Key, decision: Decision) -> None:
        before = self._phases.get(key, ("", ""))
        told = (decision.phase, decision.reason if decision.phase == "reverting" else "")
        if told == before:
            return
        self._phases[key] = told
        self._show()
        if decision.phase != "steady" or before != ("", ""):
            self._log.info(
                "rollout",
                job_id=key[0],
                revision=key[1],
                phase=decision.phase,
                reason=decision.reason,
            )

    def _show(self) -> None:
        phases = [phase for phase, _ in self._phases.values()]
        for phase in self._metrics.rollout_phases:
            self._metrics.rollouts.labels(phase=phase).set(phases.count(phase))

    def _forget(self, key: Key) -> None:
        self._due.pop(key, None)
        self._phases.pop(key, None)
        self._decided.pop(key, None)
        for one in [one for one in self._asked if one[0] == key]:
            del self._asked[one]
        for license_id in key[2]:
            self._once.forget(f"rollout job {key[0]} license {license_id}")
        task = self._running.get(key)
        if task is not None:
            task.cancel()

    def _drop(self, key: Key, _: object) -> None:
        self._running.pop(key, None)


def rollouts(view: View) -> list[Key]:
    """Return what may have to be rolled out: jobs that were revised and are not over."""
    return [
        (job.job_id, job.revision, tuple(sorted(view.books.placed(job.job_id))))
        for job in view.books.jobs.values()
        if job.revision and job.active and not job.closed and not job.is_over(view.window)
    ]
