"""Licenses, their bonds, and what guardian, governor and issuer say of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.stateful.base import CHECKED, Base
from tests.contracts.system import FOREVER, GOOD, ZERO_ADDRESS, account, subject
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of

MAX_LICENSES = 6

JUDGING = ["freeze", "suspend", "blacklist", "blacklist", "reinstate", "reinstate"]


class LicenseRules(Base):
    """Calls that change who may work and who is paid.

    Attributes:
        judging: the judgments to come.

    """

    judging: Iterator[str]

    def issue(self, data: st.DataObject) -> None:
        """Bring another node."""
        owner = data.draw(st.sampled_from(self.system.operators), label="owner")
        if len(self.owners) < MAX_LICENSES and self.standing_of(owner) == GOOD:
            self.bring_node(owner)

    def transfer(self, data: st.DataObject) -> None:
        """L21, L22: a transfer clears node and payout, and is refused out of good standing."""
        license_id = self.license(data)
        owner = self.owners[license_id]
        receiver = data.draw(st.sampled_from(self.system.operators), label="receiver")
        reason = None
        if self.standing(license_id) != GOOD:
            reason = "license: not in good standing"
        elif self.standing_of(receiver) != GOOD:
            reason = "license: receiver's standing"
        self.attempt(
            "transfer",
            reason,
            lambda: self.system.licenses.transferFrom(owner, receiver, license_id, sender=owner),
        )
        if reason is None:
            self.owners[license_id] = receiver
            self.linked.pop(license_id, None)
            self.payouts.pop(license_id, None)

    def relink(self, data: st.DataObject) -> None:
        """L21: unlink a node, or link a new one; the old link signature never works again."""
        license_id = self.license(data)
        owner = self.owners[license_id]
        good = self.standing(license_id) == GOOD
        if license_id not in self.linked:
            if good:
                self.link(license_id)
            return
        key = self.nodes[license_id]
        used = self.system.link_signature(
            license_id, key, nonce=self.system.licenses.link_nonce(address_of(key)) - 1
        )
        self.attempt(
            "unlink",
            None if good else "license: not in good standing",
            lambda: self.system.licenses.unlink_node(license_id, sender=owner),
        )
        if not good:
            return
        del self.linked[license_id]
        self.refuse(
            "replay_link",
            "license: wrong node signature",
            lambda: self.system.licenses.link_node(
                license_id, address_of(key), FOREVER, used, sender=owner
            ),
        )

    def set_payout(self, data: st.DataObject) -> None:
        """Change who is paid."""
        license_id = self.license(data)
        payout = data.draw(st.sampled_from(["", "payout 0", "payout 1"]), label="payout")
        target = account(payout) if payout else ZERO_ADDRESS
        owner = self.owners[license_id]
        self.attempt(
            "set_payout",
            None,
            lambda: self.system.licenses.set_payout(license_id, target, sender=owner),
        )
        if payout:
            self.payouts[license_id] = target
        else:
            self.payouts.pop(license_id, None)

    def slash(self, data: st.DataObject) -> None:
        """L25: what a license loses goes to payer, burn and treasury; it must be bonded anew."""
        license_id = self.license(data)
        system = self.system
        self.slashes += 1
        bond, unbonding, _ = system.licenses.bond_of(license_id)
        payer = data.draw(st.sampled_from([*self.payers, ZERO_ADDRESS]), label="harmed")
        before = system.token.balanceOf(payer)
        pots = system.vault.pots()
        slashed = self.attempt(
            "slash",
            None,
            lambda: system.licenses.slash(
                license_id,
                2**256 - 1,
                keccak(b"evidence %d" % self.slashes),
                payer,
                sender=system.governor,
            ),
        )
        to_payer = system.token.balanceOf(payer) - before
        burned, treasury = (
            new - old for old, new in zip(pots[1:], system.vault.pots()[1:], strict=True)
        )
        assert slashed == to_payer + burned + treasury
        assert slashed <= (bond + unbonding) * system.licenses.SLASH_CAP_BPS() // 10_000
        self.pots[1] += burned
        self.pots[2] += treasury
        if slashed:
            self.bonded.discard(license_id)
            CHECKED["L25"] += 1

    def post_bond(self, data: st.DataObject) -> None:
        """Bond a license up to the minimum again."""
        license_id = self.license(data)
        if license_id not in self.bonded:
            self.top_up(license_id)

    # Standing.

    def judge(self, data: st.DataObject) -> None:
        """L22, L23: change standings; license, owner and node share one freeze cooldown."""
        for act in islice(self.judging, data.draw(st.integers(1, 3), label="judgments")):
            self._judge(data, act)

    def _judge(self, data: st.DataObject, act: str) -> None:
        license_id = self.license(data)
        target = data.draw(st.sampled_from(self.targets(license_id)), label="target")
        if act == "freeze":
            self._freeze(license_id, target)
        elif act == "suspend":
            seconds = data.draw(st.integers(1, 3 * self.system.window), label="seconds")
            self.attempt(act, None, lambda: self.system.suspend(target, seconds))
            self.standings[target] = (2, evm.env.timestamp + seconds)
        elif act == "blacklist":
            self.attempt(act, None, lambda: self.system.blacklist(target))
            self.standings[target] = (3, FOREVER)
        else:
            # A judgment that hit stays the exception: the path of the money is what is tested most.
            bad = [one for one in self.standings if self.standing_of(one) != GOOD] or [target]
            for one in bad:
                self.attempt(act, None, lambda one=one: self.system.reinstate(one))
                self.standings[one] = (GOOD, FOREVER)

    def _freeze(self, license_id: int, target: int | str) -> None:
        now = evm.env.timestamp
        owner_alone = target == self.owners[license_id]
        bound = [target] if owner_alone else self.targets(license_id)
        reason = None
        if self.standing_of(target) != GOOD:
            reason = "trust: not in good standing"
        elif any(self.cooldowns.get(one, 0) > now for one in bound):
            reason = "trust: freeze cooldown"
        self.attempt("freeze", reason, lambda: self.system.freeze(target))
        if reason is None:
            self.standings[target] = (1, now + self.system.freeze_period)
            self.cooldowns |= dict.fromkeys(bound, now + 4 * self.system.freeze_period)
            CHECKED["L23"] += 1

    def guardian_reaches_no_further(self, data: st.DataObject) -> None:
        """L23, M12: the guardian can neither unfreeze, nor suspend, nor move money."""
        system, guardian = self.system, self.system.guardian
        target = subject(self.license(data))
        license_id = self.license(data)
        calls = {
            "reinstate": lambda: system.trust.reinstate(target, 1, bytes(32), sender=guardian),
            "suspend": lambda: system.trust.suspend(target, FOREVER, 1, bytes(32), sender=guardian),
            "blacklist": lambda: system.trust.blacklist(target, 1, bytes(32), sender=guardian),
        }
        act = data.draw(st.sampled_from(sorted(calls)), label="act")
        self.refuse("guardian", None, calls[act])
        self.refuse(
            "guardian",
            None,
            lambda: system.licenses.slash(license_id, 1, bytes(32), guardian, sender=guardian),
        )

    def attest(self, data: st.DataObject) -> None:
        """L24: an attestation holds unless it is revoked."""
        operators = [account(name) for name in ("operator 0", "operator 1")]
        held = [one for one in operators if one in self.verified]
        if not held or data.draw(st.booleans(), label="hold"):
            target = data.draw(st.sampled_from([account("payer"), *operators]), label="account")
            self.attempt("attest", None, lambda: self.system.attest(target))
            self.verified.add(target)
        else:
            target = data.draw(st.sampled_from(held), label="account")
            self.attempt(
                "revoke",
                None,
                lambda: self.system.trust.revoke(target, sender=self.system.issuer),
            )
            self.verified.discard(target)
