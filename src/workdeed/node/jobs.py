"""One job on this node: its revisions, and how a new one takes over from the old."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import replace

import structlog

from workdeed.intent import parse_spec
from workdeed.node.drivers.base import TaskKey
from workdeed.node.errors import NodeError
from workdeed.node.records import JobRecord, Revision
from workdeed.node.workload import Tools, Workload

_log = structlog.get_logger(__name__)


class Job:
    """Runs the wanted revision of a job; while that is built, the one before it serves on.

    This is the rollout `recreate`: build, end the old, start the new. A new revision that can't
    be built leaves the old one running and says why; one that does not start is tried again.
    """

    def __init__(
        self,
        record: JobRecord,
        license_id: int,
        tools: Callable[[str, int], Tools],
        save: Callable[[JobRecord], None],
    ) -> None:
        """Take up `record`.

        Args:
            record: must hold a revision, and not be retired.
            license_id: this node's.
            tools: returns the tools for a runner's name and a revision of this job.
            save: writes the record durably.

        """
        self.record = record
        self.workloads: list[Workload] = []
        self._license_id = license_id
        self._tools = tools
        self._save = save
        self._rollout: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> Workload:
        """The revision to run in the end."""
        return self.workloads[-1]

    def begin(self) -> None:
        """Start or adopt what the record holds."""
        self.workloads = [self._workload(one) for one in self.record.revisions]
        for workload in self.workloads:
            workload.begin()
        self._roll_out()

    async def revise(self, revision: Revision) -> None:
        """Take another revision; one that waits to take over is dropped, the serving one stays.

        Raises:
            DriverError: if a dropped one can't be ended; nothing has changed then.

        """
        await self._cancel_rollout()
        # Another spec under the same number, after a reorg, would share its folders with the old
        # one.
        kept = [one for one in self.record.revisions[:1] if one.number != revision.number]
        try:
            await self._end_all_but([one.number for one in kept])
        except (NodeError, OSError):
            self._roll_out()
            raise
        self.record = replace(self.record, revisions=(*kept, revision), retired=None)
        self._save(self.record)
        self.workloads.append(self._workload(revision))
        self.wanted.begin()
        self._roll_out()

    async def end(self, reason: str) -> None:
        """End all revisions.

        Raises:
            DriverError: if a process can't be ended; the job may be ended again.

        """
        await self._cancel_rollout()
        for workload in self.workloads:
            await workload.end(reason)

    async def leave(self) -> None:
        """Stop watching; processes run on."""
        await self._cancel_rollout()
        for workload in self.workloads:
            await workload.leave()

    def remember_port(self, number: int, port: int) -> None:
        """Write down the port of a revision, before anything listens on it."""
        self.record = self.record.with_port(number, port)
        self._save(self.record)

    def _workload(self, revision: Revision) -> Workload:
        record = self.record
        key = TaskKey(record.escrow, record.job_id, self._license_id, revision.number)
        spec = parse_spec(revision.spec)
        tools = self._tools(spec.runner, revision.number)
        return Workload(key, spec, revision.spec_hash, revision.port, tools)

    def _roll_out(self) -> None:
        self.workloads[0].turn.set()
        if len(self.workloads) > 1:
            self._rollout = asyncio.create_task(self._hand_over())

    async def _hand_over(self) -> None:
        await self.wanted.ready.wait()
        # Where the new one may not be started, the old one is not to be ended either.
        await self.wanted.permission()
        # Written first: a crash from here on resumes with the new revision alone, and what is left
        # of the old one is ended because no record names it.
        self.record = replace(self.record, revisions=self.record.revisions[-1:])
        self._save(self.record)
        while len(self.workloads) > 1:
            try:
                await self._end_all_but([self.record.wanted.number])
            except (NodeError, OSError):
                # Tried until it is gone: two revisions must not run.
                _log.exception("job: an old revision can't be ended", job=self.record.job_id)
                await asyncio.sleep(1)
        self.wanted.turn.set()

    async def _end_all_but(self, numbers: Collection[int]) -> None:
        for workload in list(self.workloads):
            if workload.key.revision not in numbers:
                await workload.end("replaced by a newer revision")
                self.workloads.remove(workload)

    async def _cancel_rollout(self) -> None:
        task, self._rollout = self._rollout, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
