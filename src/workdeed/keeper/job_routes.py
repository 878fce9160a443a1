"""`GET /jobs/{id}/endpoints` and `/rollout`: where a job answers, and how it changes version."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from fastapi import APIRouter, Response

from workdeed.chain.books import JobState
from workdeed.intent import Spec
from workdeed.keeper.http import error_response
from workdeed.keeper.replicas import Lookout, Seen, decision_of, endpoints_of, progress_of
from workdeed.keeper.view import View
from workdeed.protocol.limits import MAX_REPLICAS
from workdeed.protocol.wire import Body

KEPT_SECONDS = 0.5
"""For how long a list serves others: with the age of the looks behind it, about a second."""

KEPT_LISTS = 256
"""Lists that are kept at most."""

AT_ONCE = 8
"""Lists that are made at a time."""

WAITING = 64
"""Requests that may wait for one; more are sent away."""

_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


class BusyError(Exception):
    """Too many lists are asked for."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list as it is sent, and until when it serves."""

    body: bytes
    until: float


class Lists:
    """Makes lists that anybody may ask for, few at a time, and keeps each for a moment.

    A list that took long to make is kept as long: whoever asks for many cannot take all of the
    keeper's time.

    Args:
        now: seconds of a clock that never goes back.

    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kept: OrderedDict[tuple[str, int], _Kept] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def get(self, kind: str, job_id: int, make: Callable[[], Awaitable[Body]]) -> bytes:
        """Return a list, made by `make` unless a recent one is kept.

        Raises:
            BusyError: if too many wait already.

        """
        if (found := self._fresh((kind, job_id))) is not None:
            return found
        if self._waiting >= WAITING:
            raise BusyError
        self._waiting += 1
        try:
            async with self._slots:
                return self._fresh((kind, job_id)) or await self._make((kind, job_id), make)
        finally:
            self._waiting -= 1

    def _fresh(self, key: tuple[str, int]) -> bytes | None:
        kept = self._kept.get(key)
        return kept.body if kept is not None and self._now() < kept.until else None

    async def _make(self, key: tuple[str, int], make: Callable[[], Awaitable[Body]]) -> bytes:
        began = self._now()
        body = (await make()).to_json()
        took = self._now() - began
        self._kept[key] = _Kept(body, self._now() + max(KEPT_SECONDS, took))
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT_LISTS:
            self._kept.popitem(last=False)
        return body


@dataclass(frozen=True)
class JobPages:
    """What the routes tell.

    Attributes:
        view: returns the latest view, None before the first.
        lookout: looks at replicas.
        read_spec: where specs come from.
        acts: whether this keeper moves rollouts, or others have to.

    """

    view: Callable[[], View | None]
    lookout: Lookout
    read_spec: Callable[[bytes], Spec | None]
    acts: bool

    async def endpoints(self, view: View, job: JobState) -> Body:
        """Return where callers of a job go."""
        return endpoints_of(job, await self._look(view, job))

    async def rollout(self, view: View, job: JobState) -> Body:
        """Return how far the current revision of a job is."""
        seen = await self._look(view, job)
        spec = self.read_spec(job.spec_hash)
        decision = decision_of(job, spec, seen)
        if decision.steps and not self.acts:
            reason = "a keeper with a member key has to ask for the next step; this one has none"
            decision = replace(decision, reason=decision.reason or reason)
        return progress_of(job, spec, seen, decision)

    async def _look(self, view: View, job: JobState) -> list[Seen]:
        if job.closed or job.is_over(view.window):
            return []
        return await self.lookout.look(view.books, job.job_id, MAX_REPLICAS)


def job_routes(pages: JobPages) -> APIRouter:
    """Return the routes. 404 for an unknown job, 503 before the chain was read or when busy."""
    router = APIRouter()
    lists = Lists()

    async def answer(
        kind: str, job_id: str, make: Callable[[View, JobState], Awaitable[Body]]
    ) -> Response:
        if not _NUMBER.fullmatch(job_id):
            return error_response(400, "job: it must be a decimal number above 0", "job")
        view = pages.view()
        if view is None:
            return error_response(503, "the chain was not read yet; try again")
        job = view.books.jobs.get(int(job_id))
        if job is None:
            return error_response(404, f"job: there is no job {job_id} here", "job")
        try:
            body = await lists.get(kind, job.job_id, lambda: make(view, job))
        except BusyError:
            return error_response(503, "too many ask for lists; try again in a moment")
        return Response(body, media_type="application/json")

    @router.get("/jobs/{job_id}/endpoints")
    async def endpoints(job_id: str) -> Response:
        return await answer("endpoints", job_id, pages.endpoints)

    @router.get("/jobs/{job_id}/rollout")
    async def rollout(job_id: str) -> Response:
        return await answer("rollout", job_id, pages.rollout)

    return router
