"""Where names lead, and which addresses may be called for others: those that everybody reaches."""

import asyncio
import ipaddress
import socket
from typing import Final

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NEVER_PUBLIC: Final = tuple(
    # Site-local, IPv4-compatible, and NAT64 of a network's own: not all releases of Python know.
    map(ipaddress.IPv6Network, ("fec0::/10", "::/96", "64:ff9b:1::/48"))
)


def is_public(address: str) -> bool:
    """Tell whether an IP address is reachable from everywhere: not private, loopback, link-local.

    IPv6 addresses that carry an IPv4 address are judged by that one; a zone does not count.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in one for one in _NEVER_PUBLIC):
            return False
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


def is_literal(host: str) -> bool:
    """Tell whether a host is an IP address, with a zone or without."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


async def lookup(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, in the order in which they are to be tried.

    Whoever checks them has to connect to one of these, and not to look again. A host that is an
    address needs no resolver, and must not wait for one behind names that nobody answers for.

    Raises:
        OSError: if the name is unknown or malformed.

    """
    if is_literal(host):
        return [str(ipaddress.ip_address(host))]  # one spelling: two licenses may share no socket
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("the name is malformed") from error
    return [str(one[4][0]) for one in found]
