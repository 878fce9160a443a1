"""What the rules of money say, and what the chain says, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tests.contracts.system import POLICY, PRICE, UNIT, PolicyTerms, System

FEE_BPS = sum(POLICY[:3])


def gross(units: int, price: int = PRICE) -> int:
    """Return what cumulative units cost, in base units of the token."""
    return price * units // UNIT


def fee(units: int, price: int = PRICE) -> int:
    """Return the fees on cumulative units of one license, in base units of the token."""
    return gross(units, price) * FEE_BPS // 10_000


def net(units: int, price: int = PRICE) -> int:
    """Return what an operator gets for cumulative units in all, in base units of the token."""
    return gross(units, price) - fee(units, price)


@dataclass(frozen=True)
class Books:
    """Who has what, in base units of the token.

    Attributes:
        payer: balance of the payer.
        operators: balance of each operator.
        escrow: balance of the escrow.
        liabilities: what the escrow says that it owes.
        fees: fees that policy version 1 ever took.

    """

    payer: int
    operators: tuple[int, ...]
    escrow: int
    liabilities: int
    fees: int

    @classmethod
    def of(cls, system: System) -> Self:
        """Read the books."""
        balance = system.token.balanceOf
        return cls(
            payer=balance(system.payer),
            operators=tuple(balance(operator) for operator in system.operators),
            escrow=balance(system.escrow.address),
            liabilities=system.escrow.liabilities(),
            fees=system.escrow.ledger_of(1)[0],
        )

    def since(self, before: Books) -> Books:
        """Return the changes since `before`."""
        return Books(
            payer=self.payer - before.payer,
            operators=tuple(
                now - then for now, then in zip(self.operators, before.operators, strict=True)
            ),
            escrow=self.escrow - before.escrow,
            liabilities=self.liabilities - before.liabilities,
            fees=self.fees - before.fees,
        )


def parts(amount: int, policy: PolicyTerms = POLICY) -> tuple[int, int, int]:
    """Return what payer, burn and treasury get of a cumulative amount that was forfeited."""
    return _cut(amount, policy.forfeit_payer_bps, policy.forfeit_burn_bps, 10_000)


def pots(fees: int, policy: PolicyTerms = POLICY) -> tuple[int, int, int]:
    """Return what oracles, burn and treasury get of all the fees of a policy version."""
    return _cut(fees, policy.oracle_bps, policy.burn_bps, sum(policy[:3]))


def _cut(total: int, first: int, second: int, whole: int) -> tuple[int, int, int]:
    both = total * (first + second) // whole if whole else 0
    one = both * first // (first + second) if both else 0
    return one, both - one, total - both
