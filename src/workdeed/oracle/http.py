"""The oracle's HTTP paths, as `docs/protocol.md` describes them, for the keeper's application."""

import re
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from workdeed.chain.errors import ChainError
from workdeed.oracle.errors import (
    DataMissingError,
    ForbiddenError,
    JournalError,
    NotYetError,
    OracleError,
    RefusedError,
    RoundOverError,
    SettlementError,
)
from workdeed.oracle.service import OracleService
from workdeed.protocol.canonical import MAX_SAFE_INTEGER
from workdeed.protocol.errors import MessageError
from workdeed.protocol.evidence import EvidenceRequest
from workdeed.protocol.limits import MAX_TEXT
from workdeed.protocol.messages import (
    Body,
    ErrorBody,
    ObservationRequest,
    Proposal,
    Signatures,
)

B = TypeVar("B", bound=Body)

_JSON: Final = "application/json"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")

_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (MessageError, 400),
    (ForbiddenError, 403),
    (RefusedError, 409),
    (RoundOverError, 409),
    (JournalError, 409),
    (SettlementError, 409),
    (NotYetError, 425),
    (DataMissingError, 503),
    (OracleError, 503),
    (ChainError, 503),
)


class _BodyError(Exception):
    """A body that is not read: too long, or not JSON by its header."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _OracleRoute(APIRoute):
    """A route that answers errors as the protocol says."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except _BodyError as error:
                return _error(error.status, error)
            except tuple(kind for kind, _ in _STATUSES) as error:
                status = next(code for kind, code in _STATUSES if isinstance(error, kind))
                return _error(status, error)

        return answer


def create_router(service: OracleService) -> APIRouter:
    """Return the paths that speak for `service`: rounds, observations and reports.

    Errors are answered here, whatever handlers the application has.
    """
    router = APIRouter(route_class=_OracleRoute)
    _add_rounds(router, service)
    _add_archive(router, service)
    return router


def _add_rounds(router: APIRouter, service: OracleService) -> None:
    @router.post("/rounds/{window}/observation")
    async def observation(window: str, http: Request) -> Response:
        request = await _read(http, ObservationRequest)
        _check_window(window, request.window)
        return _body(await service.answer_request(request))

    @router.post("/rounds/{window}/proposal")
    async def proposal(window: str, http: Request) -> Response:
        found = await _read(http, Proposal, service.max_body)
        _check_window(window, found.header.window)
        return _body(await service.answer_proposal(found))

    @router.post("/rounds/{window}/signatures")
    async def signatures(window: str, http: Request) -> Response:
        found = await _read(http, Signatures, service.max_body)
        _check_window(window, found.header.window)
        service.take_signatures(found)
        return Response(status_code=202)


def _add_archive(router: APIRouter, service: OracleService) -> None:
    archive = service.archive

    @router.get("/observations/{window}")
    async def observations(window: str) -> Response:
        found = await archive.observations(_number(window, "window"))
        return _body_or_404(found, f"window: no observation of {window} is kept")

    @router.post("/evidence/{window}")
    async def evidence(window: str, http: Request) -> Response:
        request = await _read(http, EvidenceRequest)
        _check_window(window, request.window)
        return _body(await service.showing.show(request))

    @router.get("/reports/{window}")
    async def report(window: str) -> Response:
        found = await archive.report(_number(window, "window"))
        return _body_or_404(found, f"window: no report of {window} is kept")

    @router.get("/reports/{window}/proofs/{job}/{license_id}")
    async def proofs(window: str, job: str, license_id: str) -> Response:
        numbers = _number(window, "window"), _number(job, "job"), _number(license_id, "license")
        found = await archive.proofs(*numbers)
        return _body_or_404(found, f"license: the report of {window} holds no such leaf here")

    @router.get("/reports/{window}/recovered/{page}")
    async def recovered(window: str, page: str) -> Response:
        found = await archive.recovered(_number(window, "window"), _number(page, "page"))
        return _body_or_404(found, f"page: no such leaves of {window} were recovered")


async def _read(http: Request, kind: type[B], max_bytes: int | None = None) -> B:
    """Read a message, and stop reading at its limit, or at a lower one."""
    limit = kind.MAX_BYTES if max_bytes is None else min(max_bytes, kind.MAX_BYTES)
    media = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != _JSON:
        raise _BodyError(415, f"body: it must be {_JSON}")
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > limit:
            raise _BodyError(413, f"body: it exceeds {limit} bytes; send less")
    return kind.parse(bytes(body))


def _number(text: str, field: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_SAFE_INTEGER:
        raise MessageError(f"{field}: it must be a decimal number", field)
    return int(text)


def _check_window(text: str, window: int) -> None:
    if _number(text, "window") != window:
        raise MessageError(f"window: path and body differ, {text} and {window}", "window")


def _body_or_404(found: Body | None, text: str) -> Response:
    return (
        _body(found) if found is not None else _error(404, MessageError(text, text.split(":")[0]))
    )


def _body(body: Body) -> Response:
    return Response(body.to_json(), media_type=_JSON)


def _error(status: int, error: Exception) -> Response:
    body = ErrorBody(error=str(error)[:MAX_TEXT], field=getattr(error, "field", "")[:MAX_TEXT])
    return Response(body.to_json(), status_code=status, media_type=_JSON)
