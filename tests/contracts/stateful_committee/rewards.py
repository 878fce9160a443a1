"""Rewards that come in, are shared, claimed and forfeited."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.stateful_committee.base import AMOUNT, CHECKED, EFFECTIVE, REFUSED, TRIED
from tests.contracts.stateful_committee.licenses import LicenseRules
from tests.contracts.stateful_committee.model import BLACKLISTED, GOOD
from tests.contracts.stateful_committee.reports import ReportRules
from tests.contracts.system import events


class RewardRules(LicenseRules, ReportRules):
    """Rewards that come in, are shared, claimed and forfeited."""

    def donate(self, data: st.DataObject) -> None:
        """R33: a donation is nobody's until somebody books it."""
        amount = data.draw(AMOUNT, label="amount")
        self.attempt(
            "donate", None, lambda: self.system.token.mint(self.system.committee.address, amount)
        )
        self.books.sent += amount

    def book(self, data: st.DataObject) -> None:
        """Book what was sent, if anything was."""
        if not self.rarely(data, "nothing"):
            self.donate(data)
        TRIED["book"] += 1
        self.system.committee.book_rewards(sender=self.system.stranger)
        EFFECTIVE["book"] += self.books.sent > 0
        self.books.unassigned += self.books.sent
        self.books.sent = 0

    def pull(self, data: st.DataObject) -> None:
        """Fees reach the committee over the vault, with what was donated."""
        amount = data.draw(AMOUNT, label="amount")
        self.system.token.mint(self.system.vault.address, amount)
        self.system.vault.book(amount, 0, 0)
        self.attempt("pull", None, self.system.vault.pull_oracles)
        self.books.unassigned += amount + self.books.sent
        self.books.sent = 0

    def settle(self, data: st.DataObject) -> None:
        """R33: share among who signed, mostly when there is something to share."""
        self.pull(data)
        if data.draw(st.booleans(), label="enough reports"):
            self.serve(data)
            self.until(self.books.latest_accepted_at() + self.books.terms.challenge)
        TRIED["settle"] += 1
        committee = self.system.committee
        committee.settle_rewards(sender=self.system.stranger)
        settled = events(committee, "RewardsSettled")
        before, shared = self.books.unassigned, self.books.settle(self.now)
        assert [entry.amount for entry in settled] == ([shared] if shared else [])
        EFFECTIVE["settle"] += shared > 0
        CHECKED["settlements that had to wait"] += before > 0 and not shared

    def claim(self, data: st.DataObject) -> None:
        """L22, R33: pay a reward, once, to who is in good standing."""
        license_id = self.license(
            data, lambda one, deed: deed.reward > 0 and self.worst(one) == GOOD
        )
        deed = self.books.licenses[license_id]
        held = self.worst(license_id) != GOOD
        TRIED["claim"] += 1
        if held:
            REFUSED["committee: payee held"] += 1
            with evm.reverts("committee: payee held"):
                self.system.committee.claim_reward(license_id)
            return
        amount = self.system.committee.claim_reward(license_id, sender=self.system.stranger)
        assert amount == self.books.take_reward(license_id)
        self.paid[deed.owner] += amount
        EFFECTIVE["claim"] += amount > 0

    def forfeit(self, data: st.DataObject) -> None:
        """L22, R33: who is blacklisted loses its reward, once, to the treasury."""
        if not self.rarely(data, "nobody new"):
            self.blacklist(data)
        license_id = self.license(
            data,
            lambda one, deed: deed.reward > 0 and self.worst(one) == BLACKLISTED,
        )
        TRIED["forfeit"] += 1
        if self.worst(license_id) != BLACKLISTED:
            REFUSED["committee: not blacklisted"] += 1
            with evm.reverts("committee: not blacklisted"):
                self.system.committee.forfeit_reward(license_id)
            return
        amount = self.system.committee.forfeit_reward(license_id, sender=self.system.stranger)
        assert amount == self.books.take_reward(license_id)
        self.books.in_vault += amount
        EFFECTIVE["forfeit"] += amount > 0
