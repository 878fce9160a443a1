"""Which addresses may be called for others, and where names lead."""

import asyncio
from typing import Any

import pytest

from workdeed.web.addresses import is_literal, is_public, lookup

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700::1111",
    "2606:2800:220:1:248:1893:25c8:1946",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]
OTHERS = [
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
    "::7f00:1",
    "::8.8.8.8",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::7f00:1",
    "fc00::1",
    "fd00::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", OTHERS)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", [*PUBLIC, *OTHERS])
def test_addresses_are_literal(host: str) -> None:
    assert is_literal(host)


@pytest.mark.parametrize("host", ["localhost", "127.1", "example.org", ""])
def test_names_are_not(host: str) -> None:
    assert not is_literal(host)


async def test_all_addresses_of_a_name_are_told_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def getaddrinfo(self: Any, host: str, port: int, **kwargs: Any) -> list[Any]:
        return [(0, 0, 0, "", (one, port)) for one in ("10.0.0.1", "8.8.8.8")]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    assert await lookup("host.example.org", 443) == ["10.0.0.1", "8.8.8.8"]


@pytest.mark.parametrize(("host", "reason"), [("a..b", "malformed"), ("nowhere.invalid", "Errno")])
async def test_unknown_and_malformed_names_are_told_alike(host: str, reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        await lookup(host, 443)


async def test_an_address_does_not_wait_behind_names_whose_resolver_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def getaddrinfo(self: Any, host: str, port: int, **kwargs: Any) -> list[Any]:
        raise AssertionError(f"{host} needs no resolver")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    assert await lookup("8.8.8.8", 443) == ["8.8.8.8"]
    assert await lookup("2606:4700::1111", 443) == ["2606:4700::1111"]


@pytest.mark.parametrize("host", ["2606:4700::1", "2606:4700:0:0::0001", "2606:4700::0.0.0.1"])
async def test_an_address_has_one_spelling(host: str) -> None:
    assert await lookup(host, 443) == ["2606:4700::1"]
