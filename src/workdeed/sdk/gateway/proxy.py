"""Carries a request to a replica and its answer back; tries another one where that is harmless."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from workdeed.sdk.endpoints import PublicResolver
from workdeed.sdk.gateway.bodies import Body
from workdeed.sdk.gateway.headers import forwarded, passed_on, without_length
from workdeed.sdk.gateway.pool import Pool, Target
from workdeed.sdk.gateway.replies import RefusedError, refusal
from workdeed.sdk.gateway.settings import GatewaySettings
from workdeed.sdk.gateway.sockets import Sockets
from workdeed.web.answers import KEEP_ALIVE_SECONDS
from workdeed.web.why import why

_log = structlog.get_logger(__name__)

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""Methods that may be done twice (RFC 9110, 9.2.2)."""

_AUTOMATIC: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class _UnsentError(Exception):
    """A replica that took no connection: it never saw the request."""


class _BrokenError(Exception):
    """A replica that broke off before it answered: it may have done what it was asked."""


class Proxy:
    """Answers requests by those of replicas.

    Args:
        settings: limits and times.
        pool: chooses replicas.
        trouble: returns why there is no list of them, "" if there is one.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        settings: GatewaySettings,
        pool: Pool,
        trouble: Callable[[], str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._trouble = trouble
        self._now = now
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self.sockets = Sockets(settings)
        self.idle = asyncio.Event()
        """Set while no request is under way."""
        self.idle.set()
        self._under_way = 0

    async def close(self) -> None:
        """Close all connections to replicas."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        if self._under_way >= self._settings.max_requests:
            return refusal(RefusedError(503, "too many requests are under way; try again"))
        self._under_way += 1
        self.idle.clear()
        try:
            return await self._answer(request)
        except RefusedError as error:
            return refusal(error)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.idle.set()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not request.raw_path.startswith("/"):
            raise RefusedError(400, "path: it must begin with /; this is no forward proxy")
        if reason := self._trouble():
            raise RefusedError(503, f"no replica is known: {reason}")
        body = Body(request, self._settings)
        await body.open()
        tried: list[Target] = []
        last = ""
        while len(tried) < self._settings.attempts:
            target = self._pool.choose(self._now(), tried)
            if target is None:
                break
            tried.append(target)
            try:
                with self._pool.using(target):
                    return await self._try(request, body, target)
            except _UnsentError as error:
                last = str(error)
                self._fails(target, last)
            except _BrokenError as error:
                last = str(error)
                self._fails(target, last)
                if request.method not in IDEMPOTENT or not body.may_be_sent:
                    break
        if not tried:
            raise RefusedError(503, "no replica is well; try again in a moment")
        raise RefusedError(502, f"no replica answered: {last}")

    async def _try(
        self, request: web.BaseRequest, body: Body, target: Target
    ) -> web.StreamResponse:
        if self.sockets.is_wanted(request):
            return await self._socket(request, target)
        async with contextlib.AsyncExitStack() as stack:
            answer = await self._send(request, body, target, stack)
            body.answered()
            return await self._pass_back(request, answer, target)

    async def _send(
        self,
        request: web.BaseRequest,
        body: Body,
        target: Target,
        stack: contextlib.AsyncExitStack,
    ) -> aiohttp.ClientResponse:
        """Send a request and return the answer's beginning."""
        # A kept connection may have been closed at the other end meanwhile: what must not be done
        # twice goes over a new one, where a refusal comes before the request.
        fresh = request.method not in IDEMPOTENT or not body.is_kept
        headers = self._headers(request)
        try:
            sending = self._session(fresh).request(
                request.method,
                _url(target, request),
                data=body.data(),
                headers=without_length(headers) if body.is_kept else headers,
                skip_auto_headers=_AUTOMATIC,
                allow_redirects=False,
            )
            return await stack.enter_async_context(sending)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _UnsentError(_said(target, error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if body.refused is not None:
                raise body.refused from error
            if isinstance(error, TimeoutError):
                raise RefusedError(504, f"{target} did not answer in time") from error
            raise _BrokenError(_said(target, error)) from error

    async def _pass_back(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, target: Target
    ) -> web.StreamResponse:
        """Send an answer on as it comes."""
        response = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=passed_on(answer.headers)
        )
        await response.prepare(request)
        while chunk := await self._next_part(request, answer, target):
            await response.write(chunk)
        await response.write_eof()
        return response

    async def _next_part(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, target: Target
    ) -> bytes:
        try:
            return await answer.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._fails(target, _said(target, error))
            # A part of the answer is out: only an end without a proper one tells that it lacks.
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the replica broke off") from error

    async def _socket(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        headers = self._headers(request)
        try:
            url = _url(target, request)
            upstream = await self.sockets.connect(self._session(True), url, headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _UnsentError(_said(target, error)) from error
        except aiohttp.WSServerHandshakeError as error:
            # It answered, so it is not broken: nobody may take it away by asking for what it lacks.
            status = error.status if error.status >= 300 else 502
            raise RefusedError(status, "the replica takes no WebSocket here") from error
        except TimeoutError as error:
            raise RefusedError(504, f"{target} did not answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _BrokenError(_said(target, error)) from error
        return await self.sockets.join(request, upstream)

    def _headers(self, request: web.BaseRequest) -> "CIMultiDict[str]":
        trust = self._settings.trust_forwarded
        return forwarded(request.headers, remote=request.remote, trust=trust)

    def _fails(self, target: Target, reason: str) -> None:
        _log.warning("gateway: a replica fails", target=str(target), reason=reason)
        self._pool.failed(target, self._now())

    def _session(self, fresh: bool) -> aiohttp.ClientSession:
        """Return the session whose connections are kept for a while, or used once."""
        if fresh not in self._sessions:
            settings = self._settings
            connector = aiohttp.TCPConnector(
                resolver=PublicResolver(settings.allow_private, ()),
                limit=2 * settings.max_requests,
                **({"force_close": True} if fresh else {"keepalive_timeout": KEEP_ALIVE_SECONDS}),
            )
            self._sessions[fresh] = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=settings.connect, sock_read=settings.answer
                ),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._sessions[fresh]


def _url(target: Target, request: web.BaseRequest) -> URL:
    # Joined as text: a path that begins with two slashes must not become another host.
    return URL(f"http://{target}{request.raw_path}", encoded=True)


def _said(target: Target, error: BaseException) -> str:
    return f"{target}: {why(error, quote=True)}"
