"""What comes from outside: prices, policies, pauses and donations."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.stateful.base import CHECKED, PARTS, SHARES, Base, policy_tuple
from tests.contracts.stateful.model import LedgerModel, PolicyModel

MAX_POLICIES = 8


class WorldRules(Base):
    """Calls of the governor and of strangers."""

    def donate(self, data: st.DataObject) -> None:
        """M1: a donation changes no entitlement."""
        amount = data.draw(st.integers(1, 10**18), label="amount")
        self.system.token.mint(self.system.escrow.address, amount)
        self.donated += amount

    def reprice(self, data: st.DataObject) -> None:
        """G27, M9: a new price is for new jobs only; a retired class comes back with it."""
        dearer = self.rarely(data, "dearer")
        price = data.draw(st.integers(1, 10**24 if dearer else self.prices[1]), label="price")
        self.attempt(
            "set_class",
            None,
            lambda: self.system.tariff.set_class(1, (price, 1, 1, 1), sender=self.system.governor),
        )
        self.prices[1] = price
        self.retired.discard(1)
        CHECKED["G27"] += 1

    def retire(self, data: st.DataObject) -> None:
        """G27: a retired class takes no new money."""
        if data.draw(st.integers(1, 3), label="retire") < 3:
            return
        reason = "tariff: class retired" if 1 in self.retired else None
        self.attempt(
            "retire_class",
            reason,
            lambda: self.system.tariff.retire_class(1, sender=self.system.governor),
        )
        self.retired.add(1)

    def add_policy(self, data: st.DataObject) -> None:
        """M12, G27: a new policy is for new jobs only."""
        if len(self.ledgers) == MAX_POLICIES:
            return
        shares = data.draw(SHARES, label="shares")
        parts = data.draw(PARTS, label="parts")
        policy = PolicyModel(
            *shares,
            payer_standing=data.draw(st.booleans(), label="standing"),
            payer_level=data.draw(st.integers(0, 1), label="level"),
            forfeit_payer_bps=parts[0],
            forfeit_burn_bps=parts[1],
        )
        version = self.attempt(
            "add_policy",
            None,
            lambda: self.system.tariff.add_policy(
                policy_tuple(policy), sender=self.system.governor
            ),
        )
        assert version == len(self.ledgers) + 1
        self.ledgers[version] = LedgerModel(policy)

    def pause(self, _: st.DataObject) -> None:
        """L23, M12: a pause stops opening and placing, and ends by itself."""
        now = evm.env.timestamp
        reason = "escrow: pause cooldown" if now < self.pause_again_at else None
        self.attempt("pause", reason, lambda: self.system.escrow.pause(sender=self.system.guardian))
        if reason is None:
            self.paused_until = now + self.system.freeze_period
            self.pause_again_at = now + 4 * self.system.freeze_period
