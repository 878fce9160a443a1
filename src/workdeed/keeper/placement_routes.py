"""`POST /placements`: where leaders ask this member for its signature."""

from fastapi import APIRouter, Request, Response

from workdeed.keeper.http import error_response, read_body
from workdeed.keeper.placements import TOO_EARLY, Following, NotLeaderError, TooEarlyError
from workdeed.placement import PlacementError, PlacementRefusedError
from workdeed.protocol.messages import PlacementProposal


def placement_routes(following: Following) -> APIRouter:
    """Return the route. 403 for a wrong leader, 409 for a refusal, 425 where it came too early."""
    router = APIRouter()

    @router.post("/placements")
    async def placements(request: Request) -> Response:
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
