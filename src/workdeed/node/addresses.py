"""Resolves a name that came from the chain or a spec, once, and refuses what is not public.

The caller connects to the address returned here and never resolves again, so that a name which
changes its mind cannot lead to a private address.
"""

from workdeed.node.errors import NodeError
from workdeed.web.addresses import is_public, lookup


class AddressRefusedError(NodeError):
    """A name leads nowhere, or to an address that must not be connected to."""


async def resolve(host: str, port: int, *, allow_private: bool) -> str:
    """Return the IP address to connect to for `host`.

    Raises:
        AddressRefusedError: if there is none, or none that is allowed.

    """
    try:
        addresses = await lookup(host, port)
    except OSError as error:
        raise AddressRefusedError(f"{host} can't be resolved; check the address") from error
    for address in addresses:
        if allow_private or is_public(address):
            return address
    raise AddressRefusedError(
        f"{host} leads to the private address {addresses[0]}; use a public one"
    )
