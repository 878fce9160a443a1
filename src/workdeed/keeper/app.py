"""The keeper's HTTP: health, metrics, specs, status, and what the oracle and placements add."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from workdeed.keeper.errors import SpecRefusedError
from workdeed.keeper.http import error_response, read_body
from workdeed.keeper.metrics import CONTENT_TYPE, Metrics
from workdeed.keeper.rules import Rules
from workdeed.keeper.specs import SpecStore
from workdeed.keeper.status import status_of
from workdeed.keeper.view import View
from workdeed.protocol.errors import MessageError
from workdeed.protocol.fields import from_hex
from workdeed.protocol.limits import MAX_SPEC_BYTES

MAX_JOBS = 1_000


@dataclass(frozen=True)
class Readiness:
    """One thing that has to be in order.

    Attributes:
        name: what it is.
        trouble: returns a sentence, "" if it is in order.
        note: returns what is worth to know of it nevertheless, "" for nothing.

    """

    name: str
    trouble: Callable[[], str]
    note: Callable[[], str] = str


@dataclass(frozen=True)
class AppParts:
    """What the app serves.

    Attributes:
        specs: the spec store.
        metrics: the metrics.
        rules: what `/rules` shows.
        wake: ends the pause before the next round.
        view: returns the latest view, None before the first.
        readiness: what `/readyz` asks.
        routers: further routes, with their own error handling.
        is_active: whether this keeper acts for its member, and no other one does.

    """

    specs: SpecStore
    metrics: Metrics
    rules: Rules
    wake: Callable[[], None]
    view: Callable[[], View | None]
    readiness: Sequence[Readiness]
    routers: Sequence[APIRouter] = field(default_factory=tuple)
    is_active: Callable[[], bool] = lambda: True


def create_app(parts: AppParts) -> FastAPI:
    """Return the app of one keeper."""
    app = FastAPI(title="Workdeed keeper", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(SpecRefusedError, _on_error(400))
    app.add_exception_handler(MessageError, _on_error(400))
    app.include_router(_health_routes(parts))
    app.include_router(_readiness_routes(parts))
    app.include_router(_spec_routes(parts.specs))
    for router in parts.routers:
        app.include_router(router)
    return app


def _health_routes(parts: AppParts) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": True}

    @router.get("/rules")
    async def rules() -> Response:
        return Response(parts.rules.to_json(), media_type="application/json")

    @router.post("/wake")
    async def wake(request: Request) -> Response:
        # Each call may cost a look at the chain, which others must not be able to ask for.
        if request.client is None or not ip_address(request.client.host).is_loopback:
            return error_response(403, "only this machine may wake the keeper")
        parts.wake()
        return Response(status_code=204)

    @router.get("/metrics")
    async def metrics() -> Response:
        for one in parts.readiness:
            parts.metrics.ready.labels(part=one.name).set(not one.trouble())
        return Response(parts.metrics.text(), media_type=CONTENT_TYPE)

    @router.get("/status", response_model=None)
    async def status(
        limit: int = Query(default=200, ge=1, le=MAX_JOBS),
    ) -> dict[str, Any] | Response:
        view = parts.view()
        if view is None:
            return error_response(503, "the chain was not read yet; try again")
        return status_of(view, limit)

    return router


def _readiness_routes(parts: AppParts) -> APIRouter:
    router = APIRouter()

    @router.get("/readyz")
    async def readyz() -> Response:
        troubles = {one.name: one.trouble() for one in parts.readiness}
        notes = {one.name: note for one in parts.readiness if (note := one.note())}
        ready = not any(troubles.values())
        content = {"ready": ready, "troubles": troubles, "notes": notes}
        return JSONResponse(content, 200 if ready else 503)

    @router.get("/activez")
    async def activez() -> Response:
        """Tell a proxy which keeper of a pair it is to ask."""
        active = parts.is_active()
        return JSONResponse({"active": active}, 200 if active else 503)

    return router


def _spec_routes(specs: SpecStore) -> APIRouter:
    router = APIRouter()

    @router.put("/specs/{spec_hash}")
    async def put_spec(spec_hash: str, request: Request) -> Response:
        digest = _hash(spec_hash)
        specs.put(digest, await read_body(request, MAX_SPEC_BYTES))
        return Response(status_code=204)

    @router.get("/specs/{spec_hash}")
    async def get_spec(spec_hash: str) -> Response:
        data = specs.get(_hash(spec_hash))
        if data is None:
            return error_response(404, "this spec is not here; ask another keeper", "hash")
        return Response(data, media_type="application/json")

    return router


def _hash(text: str) -> bytes:
    try:
        return from_hex(text, 32)
    except ValueError as error:
        raise MessageError(f"hash: {error}", "hash") from error


def _on_error(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(_: Request, error: Exception) -> Response:
        return error_response(status, str(error), getattr(error, "field", ""))

    return handle
