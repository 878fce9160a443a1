"""Which nodes answer: asked all at once, and those that do not are not waited for twice."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Self

from workdeed.chain.books import Books
from workdeed.keeper.errors import KeeperError
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.peers import AddressBook
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError

AT_ONCE: Final = 32
"""Nodes that are asked at the same time. None waits for another: whoever is asked is asked now."""


NODE_SECONDS: Final = 5.0
"""How long a node may take at most, however long a turn is."""


@dataclass(frozen=True)
class Waits:
    """How long whom is waited for while a placement is on its way, in seconds.

    A node has a quarter of a turn. A member has three: it may wait a quarter for profiles and one
    for nodes, and reads the chain besides. So nodes that are silent cost no member's signature.

    Attributes:
        node: until a node is taken as silent.
        member: for a member's signature.
        profile: for a profile that nobody waits for.

    """

    node: float
    member: float
    profile: float

    @classmethod
    def of(cls, turn_seconds: float) -> Self:
        """Return what fits turns of a length."""
        node = min(NODE_SECONDS, turn_seconds / 4)
        return cls(node=node, member=3 * node, profile=min(NODE_SECONDS, turn_seconds / 2))


class TooManyAskedError(KeeperError):
    """Not all nodes could be asked now."""


@dataclass
class Reach:
    """Asks nodes whether they are there.

    Attributes:
        addresses: where nodes are.
        endpoints: the HTTP client; its timeout is how long a node may take.
        now: Unix seconds of the chain.
        remember: seconds for which a node that did not answer is taken as silent, unasked.
        once: told of nodes that answer, after a fault.
        fault: told of an error that nobody expected, and where.

    """

    addresses: AddressBook
    endpoints: Endpoints
    now: Callable[[], float]
    remember: float
    once: OnceLog
    fault: Callable[[str, Exception], None]
    _silent: dict[tuple[int, str], float] = field(default_factory=dict, init=False)
    _asking: int = field(default=0, init=False)

    async def silent(self, books: Books, licenses: Collection[int]) -> set[int]:
        """Return those of some licenses whose node does not answer.

        Takes no longer than one node may take.

        Raises:
            TooManyAskedError: if there are too many to ask at once. Those that did not answer are
                remembered, so that asking again gets further.

        """
        self._forget()
        where = {one: self.addresses.of_license(books, one) for one in sorted(licenses)}
        due = {
            one: address
            for one, address in where.items()
            if address is not None and (one, address) not in self._silent
        }
        asked = dict(list(due.items())[: max(0, AT_ONCE - self._asking)])
        answers = await self._ask(asked)
        if len(asked) < len(due):
            raise TooManyAskedError(
                f"{len(due) - len(asked)} of {len(due)} nodes could not be asked; ask again"
            )
        return {one for one in where if not answers.get(one, False)}

    async def _ask(self, addresses: dict[int, str]) -> dict[int, bool]:
        self._asking += len(addresses)
        try:
            answers = await asyncio.gather(*(self._answers(*one) for one in addresses.items()))
        finally:
            self._asking -= len(addresses)
        return dict(zip(addresses, answers, strict=True))

    async def _answers(self, license_id: int, address: str) -> bool:
        name = f"health of license {license_id}"
        try:
            await self.endpoints.get(address, "/healthz")
        except EndpointError:
            pass
        except Exception as error:  # a fault of this program must not end the whole placement
            self.fault(name, error)
        else:
            self.once.fine(name)
            return True
        self._silent[license_id, address] = self.now() + self.remember
        return False

    def _forget(self) -> None:
        now = self.now()
        self._silent = {key: until for key, until in self._silent.items() if until > now}
