"""Which addresses may be called for others: those that everybody reaches."""

import ipaddress
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
