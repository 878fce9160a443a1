"""Which headers go through a proxy, and which it adds. Pure."""

from collections.abc import Mapping
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are between two neighbours alone; those that `Connection` names are too."""

_HANDSHAKE: Final = "sec-websocket-"


def passed_on(headers: "CIMultiDictProxy[str] | CIMultiDict[str]") -> "CIMultiDict[str]":
    """Return the headers that are meant for the other end."""
    named = {
        token.strip().lower()
        for value in headers.getall("Connection", ())
        for token in value.split(",")
    }
    left_out = HOP_BY_HOP | named
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in left_out
    )


def forwarded(
    headers: "CIMultiDictProxy[str]", *, remote: str | None, trust: bool
) -> "CIMultiDict[str]":
    """Return the headers of a request as a replica gets them.

    Args:
        headers: as the client sent them.
        remote: the client's address.
        trust: whether what the client says of those before it is kept.

    """
    found = passed_on(headers)
    before = _said(found) if trust else {}
    for name in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"):
        if not (trust and name == "Forwarded"):
            found.popall(name, None)
    chain = [one for one in (before.get("For"), remote) if one]
    if chain:
        found["X-Forwarded-For"] = ", ".join(chain)
    found["X-Forwarded-Proto"] = before.get("Proto") or "http"
    host = before.get("Host") or headers.get("Host")
    if host:
        found["X-Forwarded-Host"] = host
    return found


def without_length(headers: "CIMultiDict[str]") -> "CIMultiDict[str]":
    """Return the headers of a request whose length follows from what is sent.

    A length that is not the body's would take what is missing from the next request.
    """
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() != "content-length"
    )


def without_handshake(headers: "CIMultiDict[str]") -> "CIMultiDict[str]":
    """Return the headers of a WebSocket's request without those that each end makes itself."""
    return CIMultiDict(
        (name, value)
        for name, value in without_length(headers).items()
        if not name.lower().startswith(_HANDSHAKE)
    )


def _said(headers: "CIMultiDict[str]") -> Mapping[str, str]:
    return {
        part: ", ".join(headers.getall(f"X-Forwarded-{part}"))
        for part in ("For", "Proto", "Host")
        if f"X-Forwarded-{part}" in headers
    }
