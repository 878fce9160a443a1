"""Endpoints as they are written: `http(s)://host[:port]`, and no more."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from workdeed.web.addresses import is_literal

_PORTS: Final = {"http": 80, "https": 443}
_MAX_NAME: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class OriginError(ValueError):
    """An endpoint is malformed, or carries more than it may; the text says what to set."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an endpoint is: scheme, host and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as a `Host` header has them: without the port that the scheme implies."""
        host = _bracketed(self.host)
        return host if _PORTS[self.scheme] == self.port else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"


def parse_origin(endpoint: str) -> Origin:
    """Return what `http(s)://host[:port]` names.

    Raises:
        OriginError: if it is malformed or carries more than that.

    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        text = f"endpoint {endpoint!r}: it is malformed; set http(s)://host:port"
        raise OriginError(text) from None
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in _PORTS or not host or not plain or port == 0:
        raise OriginError(f"endpoint {endpoint!r}: it is not http(s)://host:port; set one that is")
    if not _is_host(host):
        raise OriginError(
            f"endpoint {endpoint!r}: its host is neither an IP address nor a name in ASCII; set one"
        )
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_host(host: str) -> bool:
    """Tell whether it is an IP address, or a name that nobody takes for one.

    HTTP libraries read other digits, such as full-width ones, as those of an address, and resolvers
    take `127.1` or `0x7f000001` for one: these would pass checks of addresses by their looks.
    """
    if is_literal(host):
        return "%" not in host
    labels = host.removesuffix(".").split(".")
    fits = len(host) <= _MAX_NAME and all(_LABEL.fullmatch(one) for one in labels)
    return fits and not _NUMBER.fullmatch(labels[-1])
