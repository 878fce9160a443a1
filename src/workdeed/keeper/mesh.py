"""Whether the other members of the committee answer, and go by the same rules.

Without a quorum of them no round succeeds.
"""

import asyncio
import time
from collections.abc import Callable

from workdeed.keeper.logs import OnceLog
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.rules import Rules
from workdeed.keeper.view import View
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.quorum import quorum
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError

SOONER = 10
"""How much sooner members are asked again while one of them does not answer."""


class Mesh:
    """Asks every other member for its rules now and then.

    Args:
        endpoints: the HTTP client.
        addresses: where members are.
        member: this keeper's signer.
        rules: what this keeper goes by.
        once: told of members that go by others.
        pause: seconds between two questions to a member, a tenth of it while one does not answer.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        endpoints: Endpoints,
        addresses: AddressBook,
        member: str,
        rules: Rules,
        once: OnceLog,
        *,
        pause: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._addresses = addresses
        self._member = member
        self._rules = rules
        self._once = once
        self._pause = pause
        self._now = now
        self._due = 0.0
        self._answers: dict[str, bool] = {}

    async def run(self, view: View) -> None:
        """Ask the other members, if it is time to."""
        if self._now() < self._due:
            return
        others = self._addresses.members(view.books, without=self._member)
        answers = await asyncio.gather(*(self._asks(*other) for other in others.items()))
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
            return (
                f"{answering} of {len(members) - 1} other members answer and go by the same rules,"
                f" {needed} are needed"
            )
        return ""

    async def _asks(self, member: str, address: str) -> bool:
        """Tell whether a member can be worked with."""
        where = f"member {member}"
        try:
            found = Rules.parse(await self._endpoints.get(address, "/rules"))
        except EndpointError:
            return False
        except ProtocolError as error:
            self._once.trouble(where, f"it speaks another version of the protocol ({error})")
            return False
        if differences := self._rules.differences(found):
            self._once.trouble(where, f"it goes by other rules: {differences}; agree on one")
            return False
        self._once.fine(where)
        return True
