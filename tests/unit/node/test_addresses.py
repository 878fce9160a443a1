"""Which addresses a name from the chain or a spec may lead to."""

import asyncio
import socket
from typing import Any

import pytest

from workdeed.node.addresses import AddressRefusedError, resolve
from workdeed.protocol.addresses import is_public


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses(address: str):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "fec0::1",
        "::7f00:1",
        "64:ff9b:1::7f00:1",
    ],
)
def test_addresses_that_are_not_public(address: str):
    assert not is_public(address)


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
