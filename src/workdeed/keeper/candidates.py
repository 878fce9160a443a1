"""`POST /candidates`: the nodes that a job could be placed on, for payers who seal secrets."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fastapi import APIRouter, Request, Response
from pydantic_core import from_json

from workdeed.intent import Spec, SpecError, load_spec
from workdeed.keeper.errors import KeeperError
from workdeed.keeper.http import error_response, read_body
from workdeed.keeper.view import View
from workdeed.placement import PlacementError, Profiles, candidates
from workdeed.placement import View as PlacementView
from workdeed.protocol.candidates import Candidates, CandidatesRequest
from workdeed.protocol.messages import NodeProfile

_WAITING: Final = 8
"""Questions that may wait: each looks at all licenses."""


class CandidatesBusyError(KeeperError):
    """More is asked at once than is answered."""


def placement_view(
    view: View, profiles: Profiles, specs: Callable[[bytes], Spec | None]
) -> PlacementView:
    """Return the view that placements are judged by, at the block of `view`, without strikes."""
    return PlacementView(
        books=view.books,
        block_hash=view.head.hash,
        timestamp=view.timestamp,
        window=view.window,
        profiles=profiles,
        specs=specs,
        strikes={},
    )


@dataclass
class CandidateFinder:
    """Answers from what this keeper knows already; no question costs a look at the chain.

    Attributes:
        profiles: the profiles that are held.
        view: returns the latest view, None before the first.

    """

    profiles: Profiles
    view: Callable[[], View | None]
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _asking: int = field(default=0, init=False)

    async def answer(self, request: CandidatesRequest) -> Candidates:
        """Return profiles of nodes that the spec could be placed on.

        Raises:
            SpecError: if the spec is malformed.
            PlacementError: if there is no such class.
            CandidatesBusyError: if too many ask, or the chain was not read yet.

        """
        spec = _read_spec(request.spec)
        view = self.view()
        if view is None:
            raise CandidatesBusyError("the chain was not read yet; try again")
        if self._asking >= _WAITING:
            raise CandidatesBusyError("too many ask at once; try again in a moment")
        self._asking += 1
        try:
            async with self._turn:
                found = await asyncio.to_thread(self._find, view, spec, request)
        finally:
            self._asking -= 1
        return Candidates(profiles=tuple(found))

    def _find(self, view: View, spec: Spec, request: CandidatesRequest) -> list[NodeProfile]:
        judged = placement_view(view, self.profiles, lambda _: None)
        others = candidates(
            judged, request.class_id, spec, request.count, without=frozenset(request.placed)
        )
        known = view.books.licenses
        items = [known[one] for one in (*request.placed, *others) if one in known]
        profiles = (self.profiles.of(item) for item in items)
        return [one for one in profiles if one is not None]


def candidate_routes(finder: CandidateFinder) -> APIRouter:
    """Return the route. 400 for a malformed question, 503 where too much is asked."""
    router = APIRouter()

    @router.post("/candidates")
    async def find(request: Request) -> Response:
        body = await read_body(request, CandidatesRequest.MAX_BYTES)
        question = CandidatesRequest.parse(body)
        try:
            answer = await finder.answer(question)
        except SpecError as error:
            return error_response(400, f"spec: {error}", "spec")
        except PlacementError as error:
            return error_response(400, str(error), "class_id")
        except CandidatesBusyError as error:
            return error_response(503, str(error))
        return Response(answer.to_json(), media_type="application/json")

    return router


def _read_spec(data: bytes) -> Spec:
    try:
        # Not the standard library's parser: deep nesting runs it out of stack.
        document = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise SpecError(f"it is not JSON in UTF-8 ({error})") from error
    return load_spec(document)
