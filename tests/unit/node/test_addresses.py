"""Which addresses a name from the chain or a spec may lead to."""

import asyncio
import socket
from typing import Any

import pytest

from workdeed.node.addresses import AddressRefusedError, resolve


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    asked: list[str] = []

    async def getaddrinfo(self: Any, host: str, port: int, **kwargs: Any) -> list[Any]:
        asked.append(host)
        if not addresses:
            raise socket.gaierror("unknown")
        return [(0, 0, 0, "", (one, port)) for one in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


async def test_the_first_public_address_is_taken(monkeypatch: pytest.MonkeyPatch):
    asked = names(monkeypatch, "10.0.0.1", "93.184.216.34", "93.184.216.35")
    assert await resolve("host.example.org", 443, allow_private=False) == "93.184.216.34"
    assert asked == ["host.example.org"]


async def test_private_addresses_are_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch):
    names(monkeypatch, "10.0.0.1")
    with pytest.raises(AddressRefusedError, match=r"private address 10\.0\.0\.1"):
        await resolve("host.example.org", 443, allow_private=False)
    assert await resolve("host.example.org", 443, allow_private=True) == "10.0.0.1"


async def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch):
    names(monkeypatch)
    with pytest.raises(AddressRefusedError, match="can't be resolved"):
        await resolve("host.example.org", 443, allow_private=True)


async def test_a_malformed_name_is_told_as_one_that_is_unknown():
    with pytest.raises(AddressRefusedError, match=r"a\.\.b can't be resolved"):
        await resolve("a..b", 443, allow_private=False)
