"""What a gateway answers itself: an error is one sentence, as everywhere in the protocol."""

from aiohttp import web

from workdeed.protocol.limits import MAX_TEXT
from workdeed.protocol.messages import ErrorBody


class RefusedError(Exception):
    """A request that the gateway answers itself.

    Attributes:
        status: the HTTP status.

    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def refusal(error: RefusedError) -> web.Response:
    """Return the answer to a request that goes to no replica, or found none."""
    body = ErrorBody(error=str(error)[:MAX_TEXT])
    response = web.Response(
        body=body.to_json(), status=error.status, content_type="application/json"
    )
    # What is left of the request's body is not read.
    response.force_close()
    return response
