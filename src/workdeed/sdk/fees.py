"""Fees: what was taken of claims, handed to the vault, and sent on to whom it belongs.

Anyone may do each step. Amounts are base units of the settlement token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workdeed.chain.bindings.escrow import FeesFlushed
from workdeed.chain.bindings.vault import POTS, Pots, Pulled
from workdeed.sdk.session import Session


@dataclass(frozen=True, slots=True)
class PolicyFees:
    """The fees of a policy version: taken so far, and handed to the vault."""

    policy_version: int
    fees: int
    flushed: int

    @property
    def waiting(self) -> int:
        """What the escrow still holds of them."""
        return self.fees - self.flushed


@dataclass(frozen=True, slots=True)
class FeesView:
    """The fees of every policy version, and what the vault's pots hold."""

    policies: tuple[PolicyFees, ...]
    pots: Pots

    def to_json(self) -> dict[str, Any]:
        """Return the view for JSON: amounts as decimal strings."""
        return {
            "policies": [
                {
                    "policy_version": one.policy_version,
                    "fees": str(one.fees),
                    "flushed": str(one.flushed),
                    "waiting": str(one.waiting),
                }
                for one in self.policies
            ],
            "pots": {name: str(getattr(self.pots, name)) for name in POTS},
        }


class Fees:
    """What anyone does with fees; reading needs no key."""

    session: Session

    async def fees(self) -> FeesView:
        """Return the fees of every policy version and the pots."""
        suite = self.session.suite
        count = await self.session.read(suite.tariff.policy_version())
        versions = range(1, count + 1)
        ledgers = await self.session.read_all([suite.escrow.ledger_of(one) for one in versions])
        policies = tuple(
            PolicyFees(version, ledger.fees, ledger.flushed)
            for version, ledger in zip(versions, ledgers, strict=True)
        )
        return FeesView(policies, await self.session.read(suite.vault.pots()))

    async def flush_fees(self, version: int) -> Pots:
        """Hand the fees of a policy version to the vault; return what each pot got.

        Raises:
            SdkError: if the escrow refuses.

        """
        receipt = await self.session.sender.send(self.session.suite.escrow.flush_fees(version))
        flushed = receipt.event(FeesFlushed)
        if flushed is None:
            return Pots(0, 0, 0)
        return Pots(flushed.oracles, flushed.burned, flushed.treasury)

    async def pull_pots(self, names: Sequence[str] = POTS) -> Pots:
        """Send pots of the vault on, leaving empty ones alone; return what was sent of each.

        Raises:
            SdkError: if the vault refuses.

        """
        vault = self.session.suite.vault
        held = await self.session.read(vault.pots())
        calls = {
            "oracles": vault.pull_oracles(),
            "burn": vault.pull_burn(),
            "treasury": vault.pull_treasury(),
        }
        sent = dict.fromkeys(POTS, 0)
        for name in names:
            if getattr(held, name):
                receipt = await self.session.sender.send(calls[name])
                pulled = receipt.event(Pulled)
                sent[name] = pulled.amount if pulled else 0
        return Pots(**sent)
