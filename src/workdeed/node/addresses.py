"""Resolves a name that came from the chain or a spec, once, and refuses what is not public.

The caller connects to the address returned here and never resolves again, so that a name which
changes its mind cannot lead to a private address.
"""

import asyncio
import ipaddress
import socket

from workdeed.node.errors import NodeError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER_PUBLIC = tuple(
    # Site-local, IPv4-compatible, and NAT64 of a network's own: not all releases of Python know.
    map(ipaddress.IPv6Network, ("fec0::/10", "::/96", "64:ff9b:1::/48"))
)


class AddressRefusedError(NodeError):
    """A name leads nowhere, or to an address that must not be connected to."""


def is_public(address: str) -> bool:
    """Tell whether an IP address is reachable from everywhere: not private, loopback, link-local.

    IPv6 addresses that carry an IPv4 address are judged by that one.
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in one for one in _NEVER_PUBLIC):
            return False
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


async def resolve(host: str, port: int, *, allow_private: bool) -> str:
    """Return the IP address to connect to for `host`.

    Raises:
        AddressRefusedError: if there is none, or none that is allowed.

    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefusedError(f"{host} can't be resolved; check the address") from error
    addresses = [str(one[4][0]) for one in found]
    for address in addresses:
        if allow_private or is_public(address):
            return address
    raise AddressRefusedError(
        f"{host} leads to the private address {addresses[0]}; use a public one"
    )
