"""Does what signed requests ask for, once they were allowed."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Literal

from workdeed.node.agent import Agent, hold
from workdeed.node.errors import RequestRefusedError
from workdeed.node.holds import Holds
from workdeed.node.jobs import Job
from workdeed.node.pod import Pod
from workdeed.node.records import JobRecord
from workdeed.node.requests import Requests
from workdeed.node.runners.base import Controllable, Runner
from workdeed.node.workload import Workload
from workdeed.protocol.messages import DispatchReply
from workdeed.protocol.noderequest import (
    MAX_LOG_BYTES,
    InspectionReply,
    LogReply,
    NodeRequest,
    PluginReply,
    ServicePort,
)
from workdeed.protocol.wire import Body

_CONFLICT = 409


class Controls:
    """What may be asked of an agent about its jobs.

    Args:
        agent: runs the jobs.
        requests: decides who may ask for what.
        holds: keeps what payers stopped.

    """

    def __init__(self, agent: Agent, requests: Requests, holds: Holds) -> None:
        self._agent = agent
        self._requests = requests
        self._holds = holds

    async def do(self, request: NodeRequest) -> Body:
        """Do what is asked for and return the reply to send.

        Raises:
            RequestRefusedError: if it may not be asked for, or concerns what is not here.
            NodeError: if it can't be done now.

        """
        # First of all: what is not here must not fill the memory of requests.
        self._agent.job(request.job_id)
        await self._requests.allow(request)
        job = self._agent.job(request.job_id)
        pod = _pod(job, request.revision)
        match request.action:
            case "take" | "abandon" | "settle":
                async with self._held(job):
                    await _roll(job, pod, request)
            case "stop" | "restart" | "resume":
                async with self._held(job):
                    await self._move(job, pod, request)
            case "logs":
                return await _logs(_workload(pod, request.service), request.argument)
            case "inspect":
                return await self._inspect(_workload(pod, request.service))
            case "command" | "configure" as action:
                workload = _workload(pod, request.service)
                return await self._control(workload, action, request.argument)
        return DispatchReply(state=pod.state.value)

    def hold(self, job_id: int) -> NodeRequest:
        """Return a word of the payer that keeps a job stopped.

        Its own goes before those of delegates. Which of those may still act the chain says: where
        there are several, one is shown as well as another, so that who asks again sees each.

        Raises:
            RequestRefusedError: if nothing keeps it stopped.

        """
        held = self._holds.of(job_id)
        if not held:
            raise RequestRefusedError("job_id: no word of its payer keeps it stopped", 404)
        record = self._agent.job(job_id).record
        best = max(_weight(one, record) for one in held)
        return secrets.choice([one for one in held if _weight(one, record) == best])

    @contextlib.asynccontextmanager
    async def _held(self, job: Job) -> AsyncIterator[None]:
        """Hold the lock of a job that is here still, though it may have been waited for."""
        async with hold(job):
            if self._agent.job(job.record.job_id) is not job:
                raise RequestRefusedError("job_id: it was placed anew meanwhile; ask again", 409)
            yield

    async def _move(self, job: Job, pod: Pod, request: NodeRequest) -> None:
        _check_serves(job, pod)
        workload = _workload(pod, request.service)
        if request.action == "stop":
            # First: a node that stands still must be able to show why.
            self._holds.note(request)
        try:
            await _do(workload, request.action)
        finally:
            # Last: while one service is stopped, the job can't serve, by its payer's word.
            self._holds.keep(request.job_id, _stopped(job.record))

    async def _inspect(self, workload: Workload) -> InspectionReply:
        cpu_seconds, memory, disk, processes = 0.0, 0, 0, 0
        if workload.running is not None:
            driver, handle = workload.running
            stats = await driver.stats(handle)
            cpu_seconds, memory, processes = (
                stats.cpu_seconds,
                stats.memory_bytes,
                stats.processes,
            )
            disk = await driver.disk_bytes(handle)
        disk += await self._agent.runner(workload.service.runner).disk_bytes(workload.key)
        return InspectionReply(
            revision=workload.key.revision,
            service=workload.key.service,
            state=workload.state.value,
            reason=workload.reason,
            version=workload.version,
            cpu_ms=int(cpu_seconds * 1000),
            memory_bytes=memory,
            disk_bytes=disk,
            processes=processes,
            restarts=workload.restarts,
            ports=tuple(ServicePort(name=name, port=port) for name, port in workload.ports.items()),
        )

    async def _control(
        self, workload: Workload, action: Literal["command", "configure"], argument: str
    ) -> PluginReply:
        runner: Runner = self._agent.runner(workload.service.runner)
        if not isinstance(runner, Controllable):
            name = workload.service.runner
            raise RequestRefusedError(
                f"action: the runner {name} takes no commands; see its documentation", _CONFLICT
            )
        data = await runner.control(workload.key, action, argument)
        return PluginReply(data=data)


def _pod(job: Job, number: int) -> Pod:
    for pod in job.pods:
        if pod.number == number:
            return pod
    held = ", ".join(str(pod.number) for pod in job.pods)
    raise RequestRefusedError(f"revision: this node has {held}, not {number}; name that", _CONFLICT)


def _check_serves(job: Job, pod: Pod) -> None:
    if pod is not job.serving:
        raise RequestRefusedError(
            f"revision: {job.serving.number} serves, not {pod.number}; name that", _CONFLICT
        )


def _workload(pod: Pod, service: str) -> Workload:
    found = pod.workloads.get(service)
    if found is None:
        names = ", ".join(pod.workloads)
        raise RequestRefusedError(
            f"service: the spec has {names}, not {service}; name one", _CONFLICT
        )
    return found


def _stopped(record: JobRecord) -> set[tuple[int, str]]:
    """Return revision and name of each service that its payer stopped."""
    return {(one.number, name) for one in record.revisions for name in one.stopped}


def _weight(stop: NodeRequest, record: JobRecord) -> tuple[bool, bool]:
    """Return what a stop is worth as a proof; the larger, the more."""
    in_force = (stop.revision, stop.service) in _stopped(record)
    return in_force and stop.revision == record.serving, stop.account == record.payer


async def _roll(job: Job, pod: Pod, request: NodeRequest) -> None:
    """Do a step of a rollout; it concerns the wanted revision alone."""
    if pod is not job.wanted:
        raise RequestRefusedError(
            f"revision: {job.wanted.number} is the one to roll out; name that", _CONFLICT
        )
    if request.action == "take":
        job.take()
    elif request.action == "abandon":
        await job.abandon(request.argument or "abandoned")
    elif not await job.settle():
        raise RequestRefusedError(
            f"revision: {pod.number} was not well for long enough; the one before it is kept",
            _CONFLICT,
        )


async def _do(workload: Workload, action: str) -> None:
    if action == "stop":
        await workload.stop()
    elif action == "restart":
        await workload.restart()
    else:
        await workload.resume()


async def _logs(workload: Workload, cursor: str) -> LogReply:
    found = await workload.recorded()
    if found is None:
        return LogReply(data=b"", cursor=cursor)
    driver, handle = found
    chunk = await driver.logs_after(handle, cursor, MAX_LOG_BYTES)
    return LogReply(data=chunk.data, cursor=chunk.cursor)
