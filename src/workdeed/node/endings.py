"""Ends jobs beside the rounds of the agent: for good, or for as long as the node may run nothing.

What goes wrong with one is logged, and the next round tries again.
"""

import asyncio
import contextlib
from dataclasses import replace

import structlog

from workdeed.node.errors import NodeError
from workdeed.node.holds import Holds
from workdeed.node.jobs import Job
from workdeed.node.leftovers import Leftovers
from workdeed.node.lifecycle import Cause
from workdeed.node.records import JobStore
from workdeed.node.roster import Roster
from workdeed.node.tasks import put_down
from workdeed.node.volumes import Volumes

_log = structlog.get_logger(__name__)


class Endings:
    """Those that are under way.

    Args:
        roster: which jobs there are.
        store: where their records are kept.
        holds: the words of payers, which go with their jobs.
        volumes: what is removed with a job.
        leftovers: told of what can't be removed now.

    """

    def __init__(
        self,
        roster: Roster,
        store: JobStore,
        holds: Holds,
        volumes: Volumes,
        leftovers: Leftovers,
    ) -> None:
        self._roster = roster
        self._store = store
        self._holds = holds
        self._volumes = volumes
        self._leftovers = leftovers
        self._retiring: dict[int, asyncio.Task[None]] = {}
        self._suspending: dict[int, asyncio.Task[None]] = {}
        self._unsuspended: set[int] = set()
        """Jobs of which something may still run though they ought to be suspended."""

    def has(self, job: Job) -> bool:
        """Tell whether a job is being ended for good, or is to be."""
        return job.record.job_id in self._retiring or job.record.retired is not None

    async def wait(self, job_id: int, seconds: float) -> None:
        """Wait for the end of a job, if one is under way, but not for longer."""
        if job_id in self._retiring:
            await asyncio.wait([self._retiring[job_id]], timeout=seconds)

    async def close(self, seconds: float) -> None:
        """Let what is under way come to its end, and cut it off after `seconds`."""
        under_way = [*self._retiring.values(), *self._suspending.values()]
        if under_way:
            await asyncio.wait(under_way, timeout=seconds)
        for task in under_way:
            await put_down(task)  # the next start goes on with it

    def retire(self, job: Job, last: int, reason: str) -> None:
        """Begin to end a job for good, unless that is under way; `last` is its last window."""
        job_id = job.record.job_id
        if job_id not in self._retiring:
            self._retiring[job_id] = asyncio.create_task(self._retire(job, last, reason))

    def suspend(self, reason: str) -> None:
        """Begin to end what runs of all jobs, which stay."""
        for job_id, job in self._roster.jobs.items():
            runs = job.runs or job_id in self._unsuspended
            if runs and job_id not in self._suspending and job_id not in self._retiring:
                self._suspending[job_id] = asyncio.create_task(self._suspend(job, reason))

    def resume(self) -> None:
        """Take note that jobs may run again."""
        self._unsuspended.clear()

    async def _suspend(self, job: Job, reason: str) -> None:
        job_id = job.record.job_id
        _log.warning("agent: a job is suspended", job=job_id, reason=reason)
        # The job itself knows of nothing that runs once it has stopped watching.
        self._unsuspended.add(job_id)
        try:
            async with job.lock:
                if job.record.retired is None:
                    await job.suspend(reason)
            self._unsuspended.discard(job_id)
        except Exception as error:
            _say_not_ended(job_id, error)
        finally:
            del self._suspending[job_id]

    async def _retire(self, job: Job, last: int, reason: str) -> None:
        job_id = job.record.job_id
        try:
            job.record = replace(job.record, retired=last)
            # On a full disk there is room for it only once the job has ended.
            with contextlib.suppress(OSError):
                self._store.save(job.record)
            async with job.lock:
                # Once more: a revision that was being taken up has taken it off.
                job.record = replace(job.record, retired=last)
                await self._end(job, reason)
            self._store.save(job.record)
            self._holds.forget(job_id)
            self._roster.retire(job)
        except Exception as error:
            _say_not_ended(job_id, error)
        finally:
            del self._retiring[job_id]

    async def _end(self, job: Job, reason: str) -> None:
        """End what runs of a job, then remove what it left, now or later.

        Raises:
            DriverError: if something of it may still run.

        """
        await job.leave()
        for pod in reversed(job.pods):
            await pod.halt(Cause.CHAIN, reason)
        try:
            await job.end(reason)
            await self._volumes.discard_job(job.wanted.key)
        except Exception as error:
            # Nothing of it runs any more: what can't be removed must not keep its room booked.
            text = str(error) or type(error).__name__
            _log.error("agent: what a job left stays", job=job.record.job_id, error=text)
            for workload in (one for pod in job.pods for one in pod.workloads.values()):
                self._leftovers.add(workload.key, workload.service.runner)


def _say_not_ended(job_id: int, error: Exception) -> None:
    """Log why a job still runs; what nobody reckoned with comes with where it happened."""
    expected = isinstance(error, NodeError | OSError)
    text = str(error) or type(error).__name__
    _log.error("agent: a job can't be ended", job=job_id, error=text, exc_info=not expected)
