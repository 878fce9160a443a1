"""Fetches the profiles that node licenses announce, for the choice of licenses."""

import asyncio
import time
from collections.abc import Callable

from workdeed.chain.bindings.licenses import NODE
from workdeed.chain.books import Books, LicenseState
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.pauses import Pauses
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.view import View
from workdeed.placement import PlacementError, Profiles
from workdeed.protocol.messages import NodeProfile
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.keepers import get_profile

AT_ONCE = 16
"""Nodes that are asked at the same time."""


class ProfileSync:
    """Keeps the profiles of all node licenses.

    Args:
        profiles: where they are kept.
        addresses: where nodes are.
        endpoints: the HTTP client.
        log: told of nodes that give none.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        profiles: Profiles,
        addresses: AddressBook,
        endpoints: Endpoints,
        log: OnceLog,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profiles = profiles
        self._addresses = addresses
        self._endpoints = endpoints
        self._log = log
        self._pauses: Pauses[bytes] = Pauses(now)
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def run(self, view: View) -> None:
        """Ask the nodes whose profile is missing, and drop those that stand no more."""
        books = view.books
        announced = {item.profile_hash for item in books.licenses.values()}
        self._profiles.keep(announced)
        self._pauses.keep(announced)
        await asyncio.gather(*(self._fetch(books, item) for item in self._missing(books)))

    def _missing(self, books: Books) -> list[LicenseState]:
        return [
            item
            for item in books.licenses.values()
            if item.kind == NODE
            and item.node is not None
            and self._profiles.lacks(item)
            and self._pauses.is_due(item.profile_hash)
        ]

    async def _fetch(self, books: Books, item: LicenseState) -> None:
        async with self._gate:
            try:
                await self._take(books, item)
            except (EndpointError, PlacementError) as error:
                self._failed(item, str(error))
            except Exception as error:  # a fault of this program must not end the other fetches
                self._failed(item, f"{type(error).__name__}: {error}")
            else:
                self._log.fine(self._name(item))

    @staticmethod
    def _name(item: LicenseState) -> str:
        return f"profile of license {item.license_id}"

    def _failed(self, item: LicenseState, reason: str) -> None:
        self._log.trouble(self._name(item), reason)
        self._pauses.failed(item.profile_hash)

    async def _take(self, books: Books, item: LicenseState) -> None:
        address = self._addresses.of_license(books, item.license_id)
        if address is None:
            raise EndpointError("it announces no endpoint")
        found = await get_profile(self._endpoints, address)
        is_named = found.profile_hash == item.profile_hash
        profile = found if is_named else await self._draining(address)
        if profile is None or profile.profile_hash != item.profile_hash:
            raise EndpointError(f"{address} serves another profile than the chain names")
        self._profiles.add(profile)

    async def _draining(self, address: str) -> NodeProfile | None:
        """Return the profile with which a node takes no new work, None if it has none."""
        try:
            return await get_profile(self._endpoints, address, draining=True)
        except EndpointError:
            return None
