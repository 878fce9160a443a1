"""Why an HTTP request came to nothing, in words."""

import asyncio
import os
import socket

import aiohttp


def why(error: BaseException, *, quote: bool = False) -> str:
    """Return what went wrong with a request.

    Args:
        error: what the client raised.
        quote: whether the library's own words may be used for what is not known here; they may
            name the address, and it may hold a password.

    """
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        # A resolver of our own says in words why it takes no address.
        own = quote and not isinstance(error.os_error, socket.gaierror)
        return str(error.os_error) if own else "its name is not known"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS can't be agreed on, or its certificate is not valid"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    system = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(system, OSError) and system.errno is not None and system.errno > 0:
        return os.strerror(system.errno)  # asyncio's own text names the address once more
    return (str(error) if quote else "") or type(error).__name__
