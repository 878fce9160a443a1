"""Whether the other members of the committee answer: without a quorum of them no round succeeds."""

import asyncio
import time
from collections.abc import Callable

from workdeed.keeper.peers import AddressBook
from workdeed.keeper.view import View
from workdeed.protocol.quorum import quorum
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError

SOONER = 10
"""How much sooner members are asked again while one of them does not answer."""


class Mesh:
    """Asks every other member for its health now and then.

    Args:
        endpoints: the HTTP client.
        addresses: where members are.
        member: this keeper's signer.
        pause: seconds between two questions to a member, a tenth of it while one does not answer.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        endpoints: Endpoints,
        addresses: AddressBook,
        member: str,
        *,
        pause: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._addresses = addresses
        self._member = member
        self._pause = pause
        self._now = now
        self._due = 0.0
        self._answers: dict[str, bool] = {}

    async def run(self, view: View) -> None:
        """Ask the other members, if it is time to."""
        if self._now() < self._due:
            return
        others = self._addresses.members(view.books, without=self._member)
        answers = await asyncio.gather(*(self._asks(address) for address in others.values()))
        self._answers = dict(zip(others, answers, strict=True))
        # Members that start together should not have to wait for each other's next question.
        self._due = self._now() + (self._pause if all(answers) else self._pause / SOONER)

    def trouble(self, view: View) -> str:
        """Return what keeps a round from succeeding, "" if nothing does."""
        members = view.books.members
        if self._member not in {seat.signer for seat in members}:
            return f"the member key {self._member} has no seat"
        needed = quorum(len(members)) - 1
        answering = sum(self._answers.values())
        if answering < needed:
            return f"{answering} of {len(members) - 1} other members answer, {needed} are needed"
        return ""

    async def _asks(self, address: str) -> bool:
        try:
            await self._endpoints.get(address, "/healthz")
        except EndpointError:
            return False
        return True
