"""The agent's HTTP interface, as `docs/protocol.md` describes it."""

import re
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from workdeed.node.agent import Agent
from workdeed.node.controls import Controls
from workdeed.node.errors import DispatchRefusedError, NodeError, RequestRefusedError
from workdeed.node.jobs import Job
from workdeed.node.pod import Pod
from workdeed.node.workload import Workload as Running
from workdeed.protocol.errors import MessageError
from workdeed.protocol.limits import MAX_TEXT, MAX_WORKLOADS
from workdeed.protocol.messages import (
    Body,
    Dispatch,
    DispatchReply,
    ErrorBody,
    NodeProfile,
    Probe,
    ServiceStatus,
    Status,
    Workload,
    WorkloadStatus,
)
from workdeed.protocol.noderequest import READING, NodeRequest

_JSON = "application/json"
_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


class _RequestError(NodeError):
    """A request that is refused for its form, with the status that says so."""

    def __init__(self, status: int, text: str, field: str) -> None:
        super().__init__(text)
        self.status = status
        self.field = field


def create_app(
    agent: Agent, controls: Controls, profile: NodeProfile, draining: NodeProfile
) -> FastAPI:
    """Return the application that speaks for `agent`; all bodies and errors are JSON.

    Args:
        agent: who runs what the chain wants.
        controls: does what signed requests ask for.
        profile: what the node offers.
        draining: the profile with which it takes no new work. Which of both counts, says the chain.

    """
    app = FastAPI(title="Workdeed node", openapi_url=None, docs_url=None, redoc_url=None)
    _add_errors(app)
    _add_profiles(app, profile, draining)
    _add_requests(app, controls)

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response(b"{}", media_type=_JSON)

    @app.get("/readyz")
    async def readyz() -> Response:
        return _error(503, agent.problem) if agent.problem else await healthz()

    @app.post("/probe")
    async def probe(request: Request) -> Response:
        question = Probe.parse(await _read(request, Probe.MAX_BYTES))
        return _body(agent.identity.answer(question, _answered(agent)))

    @app.post("/dispatch")
    async def dispatch(request: Request) -> Response:
        order = Dispatch.parse(await _read(request, Dispatch.MAX_BYTES))
        return _body(DispatchReply(state=(await agent.dispatch(order)).value), 202)

    @app.get("/status")
    async def status() -> Response:
        return _body(_status(agent))

    @app.get("/proofs/{window}")
    async def proofs(window: str) -> Response:
        if not _NUMBER.fullmatch(window):
            raise _RequestError(400, "window: it is no number from 1 on; correct it", "window")
        kept = agent.proofs.kept(int(window))
        if kept is None:
            return _error(404, f"window: nothing is kept of report {window}", "window")
        return _body(kept)

    return app


def _add_requests(app: FastAPI, controls: Controls) -> None:
    """Take what payers, delegates and keepers ask for, and show the payers' word to oracles."""

    @app.post("/requests")
    async def requests(request: Request) -> Response:
        asked = NodeRequest.parse(await _read(request, NodeRequest.MAX_BYTES))
        reply = await controls.do(asked)
        return _body(reply, 200 if asked.action in READING else 202)

    @app.get("/jobs/{job_id}/hold")
    async def hold(job_id: str) -> Response:
        if not _NUMBER.fullmatch(job_id):
            raise _RequestError(400, "job_id: it is no number from 1 on; correct it", "job_id")
        return _body(controls.hold(int(job_id)))


def _add_profiles(app: FastAPI, profile: NodeProfile, draining: NodeProfile) -> None:
    """Serve exactly the bytes whose hash stands on chain, or may be put there."""

    @app.get("/profile")
    async def usual() -> Response:
        return Response(profile.canonical(), media_type=_JSON)

    @app.get("/profile/draining")
    async def without_offer() -> Response:
        return Response(draining.canonical(), media_type=_JSON)


def _add_errors(app: FastAPI) -> None:
    def answer(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def handler(_request: Request, error: Exception) -> Response:
            return _error(status, str(error), getattr(error, "field", ""))

        return handler

    app.add_exception_handler(MessageError, answer(400))
    app.add_exception_handler(DispatchRefusedError, answer(409))
    app.add_exception_handler(NodeError, answer(503))

    async def refused(_request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, RequestRefusedError) else 403
        return _error(status, str(error))

    app.add_exception_handler(RequestRefusedError, refused)

    async def form(_request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, _RequestError) else 400
        return _error(status, str(error), getattr(error, "field", ""))

    async def fault(_request: Request, _exception: Exception) -> Response:
        return _error(500, "the node failed at this request; see its log")

    app.add_exception_handler(_RequestError, form)
    app.add_exception_handler(Exception, fault)

    async def http(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = "path: the node has no such page or method; see docs/protocol.md"
        return _error(status, text, "path")

    app.add_exception_handler(HTTPException, http)


async def _read(request: Request, max_bytes: int) -> bytes:
    """Read a JSON body, and stop reading at the limit."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise _RequestError(415, f"body: send it as {_JSON}", "body")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise _RequestError(413, f"body: it exceeds {max_bytes} bytes; send less", "body")
    return bytes(body)


def _answered(agent: Agent) -> list[Workload]:
    return [_workload(one) for one in agent.pods()[:MAX_WORKLOADS]]


def _workload(pod: Pod) -> Workload:
    return Workload(
        escrow=pod.key.escrow,
        job_id=pod.key.job_id,
        revision=pod.number,
        spec_hash=pod.spec_hash,
        commit=pod.version,
        state=pod.state.value,
        healthy=pod.well,
        port=pod.port,
    )


def _status(agent: Agent) -> Status:
    workloads = [_pod(job, pod) for job in agent.jobs() for pod in job.pods]
    identity = agent.identity
    return Status(
        license_id=identity.license_id,
        node=identity.address,
        workloads=tuple(workloads[:MAX_WORKLOADS]),
    )


def _pod(job: Job, pod: Pod) -> WorkloadStatus:
    return WorkloadStatus(
        escrow=pod.key.escrow,
        job_id=pod.key.job_id,
        revision=pod.number,
        state=pod.state.value,
        reason=pod.reason[:MAX_TEXT],
        pid=pod.main.pid,
        port=pod.port,
        ready=pod.is_ready,
        draining=pod.draining,
        well_ms=int(pod.well_seconds * 1000),
        failed=job.record.of(pod.number).failed[:MAX_TEXT],
        services=tuple(_service(one) for one in pod.workloads.values()),
    )


def _service(one: Running) -> ServiceStatus:
    return ServiceStatus(
        name=one.key.service,
        state=one.state.value,
        reason=one.reason,
        cause=one.cause.value if one.cause is not None else "",
        version=one.version,
        pid=one.pid,
        port=one.main_port,
        restarts=one.restarts,
    )


def _body(body: Body, status: int = 200) -> Response:
    return Response(body.to_json(), status_code=status, media_type=_JSON)


def _error(status: int, text: str, field: str = "") -> Response:
    return _body(ErrorBody(error=text[:MAX_TEXT], field=field[:MAX_TEXT]), status)
