"""Fetches the profiles that node licenses announce, for the choice of licenses.

Many nodes may be gone. So those that were never asked come first, and a proposal waits for none
but the nodes that it rests on, and not for long.
"""

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
from workdeed.protocol.messages import NodeProfile, PlacementProposal
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.keepers import get_profile

AT_ONCE = 32
"""Nodes that are asked at the same time: in the background, and as many more for each proposal."""


class ProfileSync:
    """Keeps the profiles of all node licenses.

    Args:
        profiles: where they are kept.
        addresses: where nodes are.
        endpoints: the HTTP client.
        log: told of nodes that give none.
        patience: seconds that a proposal waits for profiles.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        profiles: Profiles,
        addresses: AddressBook,
        endpoints: Endpoints,
        log: OnceLog,
        *,
        patience: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profiles = profiles
        self._addresses = addresses
        self._endpoints = endpoints
        self._log = log
        self._patience = patience
        # By license too: anyone may announce the profile of another.
        self._pauses: Pauses[tuple[int, bytes]] = Pauses(now)
        # Oldest first: what was asked for in vain.
        self._failures: dict[tuple[int, bytes], None] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def run(self, view: View) -> None:
        """Ask the nodes whose profile is missing, and drop those that stand no more."""
        books = view.books
        announced = {_key(item) for item in books.licenses.values()}
        self._profiles.keep({profile_hash for _, profile_hash in announced})
        self._pauses.keep(announced)
        self._failures = {key: None for key in self._failures if key in announced}
        await asyncio.gather(*(self._fetch_in_line(books, item) for item in self._due(books)))

    async def prepare(self, books: Books, proposal: PlacementProposal) -> None:
        """Ask the nodes that a proposal rests on for missing profiles, for a short while.

        They are those that it names, and those in place. What does not come in time stays missing,
        as with nodes that never answer.
        """
        placed = books.placed(proposal.job_id)
        named = dict.fromkeys((*proposal.assign, *proposal.release, *placed, *proposal.skipped))
        missing = [
            item
            for one in named
            if (item := books.licenses.get(one)) is not None
            and self._is_missing(item)
            # Whoever is to be assigned answered its leader just now.
            and (one in proposal.assign or self._pauses.is_due(_key(item)))
        ]
        fetches = {
            asyncio.create_task(self._fetch(books, item)): item for item in missing[:AT_ONCE]
        }
        if not fetches:
            return
        try:
            _, late = await asyncio.wait(fetches, timeout=self._patience)
            for task in late:
                self._failed(fetches[task], f"no answer within {self._patience:g} s")
        finally:
            for task in fetches:
                task.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)

    def _due(self, books: Books) -> list[LicenseState]:
        """Return whom to ask: all that never were, and of the others those that wait longest.

        So one look takes moments, however many nodes are gone, and the next finds new ones.
        """
        missing = {
            _key(item): item
            for item in books.licenses.values()
            if self._is_missing(item) and self._pauses.is_due(_key(item))
        }
        new = [item for key, item in missing.items() if key not in self._failures]
        again = [missing[key] for key in self._failures if key in missing]
        return new + again[:AT_ONCE]

    def _is_missing(self, item: LicenseState) -> bool:
        return item.kind == NODE and item.node is not None and self._profiles.lacks(item)

    async def _fetch_in_line(self, books: Books, item: LicenseState) -> None:
        async with self._gate:
            await self._fetch(books, item)

    async def _fetch(self, books: Books, item: LicenseState) -> None:
        try:
            await self._take(books, item)
        except (EndpointError, PlacementError) as error:
            self._failed(item, str(error))
        except Exception as error:  # a fault of this program must not end the other fetches
            self._failed(item, f"{type(error).__name__}: {error}")
        else:
            self._failures.pop(_key(item), None)
            self._log.fine(self._name(item))

    @staticmethod
    def _name(item: LicenseState) -> str:
        return f"profile of license {item.license_id}"

    def _failed(self, item: LicenseState, reason: str) -> None:
        self._log.trouble(self._name(item), reason)
        key = _key(item)
        self._pauses.failed(key)
        self._failures.pop(key, None)
        self._failures[key] = None

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


def _key(item: LicenseState) -> tuple[int, bytes]:
    return item.license_id, item.profile_hash
