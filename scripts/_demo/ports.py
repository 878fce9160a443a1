"""Ports that processes and their peers are told before anybody listens there."""

from __future__ import annotations

import socket

_HELD: list[socket.socket] = []


def free_port() -> int:
    """Return a loopback port that the system gives to nobody else while this process runs.

    It is bound, and not listened on: who asks for any port gets another one, and who is told this
    one can listen there, as servers set `SO_REUSEADDR` like the socket that holds it.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    port: int = held.getsockname()[1]
    return port


def free_ports(count: int) -> list[int]:
    """Return so many of them."""
    return [free_port() for _ in range(count)]
