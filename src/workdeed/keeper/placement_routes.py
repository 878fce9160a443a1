"""`POST /placements`: where leaders ask this member for its signature."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from workdeed.keeper.http import error_response, read_body
from workdeed.keeper.placements import TOO_EARLY, Following, NotLeaderError, TooEarlyError
from workdeed.placement import PlacementError, PlacementRefusedError
from workdeed.protocol.messages import PlacementProposal


def placement_routes(
    following: Following, is_active: Callable[[], bool] = lambda: True
) -> APIRouter:
    """Return the route.

    403 for a wrong leader, 409 for a refusal, 425 where it came too early, 503 where another
    process acts for the member.

    Args:
        following: answers.
        is_active: whether this process acts for the member.

    """
    router = APIRouter()

    @router.post("/placements")
    async def placements(request: Request) -> Response:
        if not is_active():
            return error_response(503, "this keeper stands by; another acts for its member")
        body = await read_body(request, PlacementProposal.MAX_BYTES)
        proposal = PlacementProposal.parse(body)
        try:
            answer = await following.answer(proposal)
        except NotLeaderError as error:
            return error_response(403, str(error))
        except TooEarlyError as error:
            return error_response(TOO_EARLY, str(error))
        except PlacementRefusedError as error:
            return error_response(409, str(error), error.field)
        except PlacementError as error:
            return error_response(409, str(error))
        return Response(answer.to_json(), media_type="application/json")

    return router
