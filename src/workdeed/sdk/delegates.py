"""Delegates: accounts that open and change jobs of a payer, within a budget and a time.

Whatever they do, refunds go to the payer, and restore no budget.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from workdeed.chain.bindings.desk import SCOPES
from workdeed.sdk.allowances import raise_allowance
from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import Session


@dataclass(frozen=True, slots=True)
class DelegateView:
    """What a delegate may do for a payer.

    Attributes:
        scopes: names out of `SCOPES`; none if it may do nothing.
        budget: what it may still spend, in base units.
        expires_at: when the grant ends, Unix seconds.
        allowance: what the escrow may take of the payer in all, in base units.

    """

    payer: str
    delegate: str
    scopes: tuple[str, ...]
    budget: int
    expires_at: int
    allowance: int

    def to_json(self) -> dict[str, Any]:
        """Return the grant for JSON: amounts as decimal strings."""
        return {
            "payer": self.payer,
            "delegate": self.delegate,
            "scopes": list(self.scopes),
            "budget": str(self.budget),
            "expires_at": self.expires_at,
            "allowance": str(self.allowance),
        }


class Delegates:
    """What a payer does with delegates; reading needs no key."""

    session: Session

    async def grant(
        self, delegate: str, scopes: Collection[str], budget: int, expires_at: int
    ) -> None:
        """Let a delegate act for the sender; what was granted before is replaced.

        The escrow may then take the budget of the sender's tokens: what the sender opens itself is
        paid from the same allowance.

        Args:
            delegate: the account.
            scopes: names out of `SCOPES`.
            budget: what it may spend in all, in base units.
            expires_at: when the grant ends, Unix seconds.

        Raises:
            SdkError: if a scope is unknown, or the end has passed, or the contract refuses.

        """
        unknown = sorted(set(scopes) - SCOPES.keys())
        if unknown or not scopes:
            wrong = f"{unknown[0]!r} is unknown" if unknown else "none is named"
            raise SdkError(f"scopes: {wrong}; choose from {', '.join(SCOPES)}")
        if expires_at <= time.time():
            raise SdkError("expires_at: it has passed; choose a later time")
        suite = self.session.suite
        await raise_allowance(self.session, suite.escrow.address, budget)
        bits = sum(SCOPES[name] for name in set(scopes))
        await self.session.sender.send(suite.desk.grant(delegate, bits, budget, expires_at))

    async def revoke_grant(self, delegate: str) -> None:
        """Take back all that the sender granted to a delegate; the allowance stays."""
        await self.session.sender.send(self.session.suite.desk.grant(delegate, 0, 0, 0))

    async def delegate(self, payer: str, delegate: str) -> DelegateView:
        """Return what a delegate may do for a payer."""
        suite = self.session.suite
        found = await self.session.read(suite.desk.grant_of(payer, delegate))
        allowance = await self.session.read(suite.token.allowance(payer, suite.escrow.address))
        scopes = tuple(name for name, bit in SCOPES.items() if found.scopes & bit)
        return DelegateView(payer, delegate, scopes, found.budget, found.expires_at, allowance)
