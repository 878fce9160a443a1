"""What moves under the seats: licenses, links, bonds, standings."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.contracts.stateful_committee.base import (
    AMOUNT,
    CHECKED,
    KEY_OF,
    MAX_LICENSES,
    OWNERS,
    Base,
)
from tests.contracts.stateful_committee.model import BLACKLISTED, GOOD, NEVER, SUSPENDED, License
from tests.contracts.system import ORACLE


class LicenseRules(Base):
    """What moves under the seats: licenses, links, bonds, standings."""

    def issue(self, data: st.DataObject) -> None:
        """Bring another oracle license, linked and bonded."""
        if len(self.books.licenses) >= MAX_LICENSES:
            return
        owner = data.draw(st.sampled_from(OWNERS), label="owner")
        license_id = self.attempt("issue", None, lambda: self.system.issue(owner, ORACLE))
        self.books.licenses[license_id] = License(owner)
        self._post(license_id, max(self.books.terms.min_bond, 1))
        self._link(license_id, data)

    def _link(self, license_id: int, data: st.DataObject) -> None:
        """Link a free key, often one that signed before."""
        free = [one for one in KEY_OF if not self.books.license_of(one)]
        known = [one for one in free if one in self.books.records]
        if free:
            self._join(license_id, data.draw(st.sampled_from(known * 2 + free), label="node"))

    def _join(self, license_id: int, node: str) -> None:
        """Link a key to a license, if both are free and in good standing."""
        books = self.books
        taken = books.licenses[license_id].node or books.license_of(node)
        good = max(books.standing(license_id, self.now), books.standing_of(node, self.now)) == GOOD
        if good and not taken:
            self.attempt("relink", None, lambda: self.system.link(license_id, KEY_OF[node]))
            books.licenses[license_id].node = node

    def relink(self, data: st.DataObject) -> None:
        """Exchange a license's node key; a seat does not notice."""
        license_id = self.license(data, lambda one, _: self.books.seat_of_license(one) is None)
        deed = self.books.licenses[license_id]
        if self.worst(license_id) == GOOD:
            self._unlink(license_id)
        if not deed.node:
            self._link(license_id, data)

    def _unlink(self, license_id: int) -> None:
        """Free the node key of a license, if it has one."""
        deed = self.books.licenses[license_id]
        if deed.node:
            self.system.licenses.unlink_node(license_id, sender=deed.owner)
            deed.node = ""

    def transfer(self, data: st.DataObject) -> None:
        """O19: a transfer ends the seat; the record and the bond stay."""
        license_id = self.license(data, lambda one, _: self.books.seat_of_license(one) is not None)
        owner = self.books.licenses[license_id].owner
        receiver = data.draw(st.sampled_from([one for one in OWNERS if one != owner]))
        seated = self.books.seat_of_license(license_id) is not None
        licenses = self.system.licenses
        reason = self.books.move_reason(license_id, receiver, self.now)
        self.attempt(
            "transfer",
            reason,
            lambda: licenses.transferFrom(owner, receiver, license_id, sender=owner),
        )
        if reason is None:
            self.books.move(license_id, receiver, self.now)
            CHECKED["seats that ended by a transfer"] += seated

    def _post(self, license_id: int, amount: int) -> None:
        """Post a bond."""
        self.attempt("post_bond", None, lambda: self.system.post_bond(license_id, amount))
        self.books.licenses[license_id].bond += amount

    def post_bond(self, data: st.DataObject) -> None:
        """Post a bond, mostly where the minimum is missing."""
        least = self.books.terms.min_bond
        license_id = self.license(data, lambda _, deed: deed.bond < least)
        missing = least - self.books.licenses[license_id].bond
        self._post(license_id, missing if missing > 0 else data.draw(AMOUNT, label="amount"))

    def request_unbond(self, data: st.DataObject) -> None:
        """Ask for all of a bond."""
        license_id = self.license(data, lambda _, deed: deed.bond > 0)
        self._unbond(license_id)

    def _unbond(self, license_id: int) -> None:
        """Ask for all of a bond, if there is one."""
        deed = self.books.licenses[license_id]
        if deed.bond:
            licenses, amount = self.system.licenses, deed.bond
            self.attempt(
                "request_unbond",
                None,
                lambda: licenses.request_unbond(license_id, amount, sender=deed.owner),
            )
            deed.bond, deed.unbonding = 0, deed.unbonding + amount
            deed.requested_at = self.now

    def withdraw_bond(self, data: st.DataObject) -> None:
        """L25: no bond leaves as long as a member answers with it."""
        license_id = self.license(data, lambda one, _: self._may_withdraw(one))
        deed = self.books.licenses[license_id]
        if not deed.unbonding and deed.bond:
            self.system.licenses.request_unbond(license_id, deed.bond, sender=deed.owner)
            deed.bond, deed.unbonding, deed.requested_at = 0, deed.bond, self.now
        if not self.rarely(data, "without waiting"):
            early = data.draw(st.integers(0, 1), label="seconds early")
            since = max(deed.requested_at, deed.seat_ended_at)
            self.until(since + self.books.terms.unbond_delay - early)
        reason = self.books.withdraw_reason(license_id, self.now)
        self.attempt(
            "withdraw_bond",
            reason,
            lambda: self.system.licenses.withdraw_bond(license_id, sender=deed.owner),
        )
        if reason is None:
            assert not self._answers(license_id)
            self.paid[deed.owner] += deed.unbonding
            deed.unbonding = deed.requested_at = 0

    def _may_withdraw(self, license_id: int) -> bool:
        """Say whether nothing but time keeps a bond here."""
        deed = self.books.licenses[license_id]
        unseated = self.books.seat_of_license(license_id) is None
        good = self.worst(license_id) == GOOD
        return unseated and good and deed.bond + deed.unbonding > 0

    def _answers(self, license_id: int) -> bool:
        """Say whether anybody's record leads to a license."""
        records = self.books.records.items()
        signers = [signer for signer, record in records if record.license_id == license_id]
        return any(self.books.on_record(signer, self.now) for signer in signers)

    def _judge(self, data: st.DataObject, name: str, standing: int, until: int) -> None:
        license_id = self.license(data, lambda _, deed: deed.reward > 0)
        target = data.draw(st.sampled_from(self.books.targets(license_id)), label="target")
        self.attempt(name, None, lambda: getattr(self.system, name)(target))
        self.books.standings[target] = (standing, until)

    def suspend(self, data: st.DataObject) -> None:
        """L22: hold who is paid for a license."""
        self._judge(data, "suspend", SUSPENDED, self.now + 10**6)

    def blacklist(self, data: st.DataObject) -> None:
        """L22: blacklist a license, its owner or its node."""
        self._judge(data, "blacklist", BLACKLISTED, NEVER)

    def reinstate(self, data: st.DataObject) -> None:
        """Bring back everyone of a license, mostly one that is held."""
        license_id = self.license(data, lambda one, _: self.worst(one) != GOOD)
        for target in self.books.targets(license_id):
            if self.books.standing_of(target, self.now) != GOOD:
                self.attempt("reinstate", None, lambda who=target: self.system.reinstate(who))
                self.books.standings[target] = (GOOD, NEVER)
