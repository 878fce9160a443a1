"""What all routes share: reading a body up to a limit, and errors as the protocol writes them."""

from fastapi import Request, Response

from workdeed.protocol.errors import MessageError
from workdeed.protocol.limits import MAX_TEXT
from workdeed.protocol.messages import ErrorBody


def error_response(status: int, text: str, field: str = "") -> Response:
    """Return an error as the protocol writes it."""
    body = ErrorBody(error=text[:MAX_TEXT], field=field[:MAX_TEXT])
    return Response(body.to_json(), status_code=status, media_type="application/json")


async def read_body(request: Request, limit: int) -> bytes:
    """Return a request's body; raises `MessageError` as soon as it exceeds `limit` bytes."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise MessageError(f"body: it exceeds {limit} bytes")
    return bytes(data)
