"""Seats that come and go, and what can be made of a member's signatures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from hypothesis import strategies as st

from tests.contracts.stateful_committee.base import CHECKED, KEY_OF, Base, Signed, word
from tests.contracts.stateful_committee.licenses import LicenseRules
from tests.contracts.stateful_committee.model import GOOD
from tests.contracts.stateful_committee.reports import ReportRules, twin_of
from workdeed.protocol.eip712 import observation_digest, placement_digest, report_digest
from workdeed.protocol.signing import sign_digest

NOT_AN_OFFENCE = ("committee: same root", "committee: two signers", "signature: invalid")


class SeatRules(LicenseRules, ReportRules):
    """Seats that come and go, and what nobody can make of a member's signatures."""

    def add_seat(self, data: st.DataObject) -> None:
        """O16, O19: seat a signer, mostly the node of a license that has no seat."""
        books = self.books
        free = (None, "committee: signer on record")
        license_id = self.license(
            data, lambda one, deed: books.seat_reason(one, deed.node, self.now) in free
        )
        if not books.licenses[license_id].node:
            self._link(license_id, data)
        if books.seat_of_license(license_id) is None and self.rarely(data, "without a bond"):
            self._unbond(license_id)
        node = books.licenses[license_id].node
        signer = data.draw(st.sampled_from([*[node] * 30, *KEY_OF] if node else [*KEY_OF]))
        self._seat(license_id, signer)

    def _seat(self, license_id: int, signer: str) -> None:
        """Seat a signer, or see the governor fail."""
        books, committee, governor = self.books, self.system.committee, self.system.governor
        reason = books.seat_reason(license_id, signer, self.now)
        known = books.on_record(signer, self.now)
        seat = self.attempt(
            "add_seat", reason, lambda: committee.add_seat(license_id, signer, sender=governor)
        )
        if reason is None:
            assert seat == books.seat(license_id, signer, self.now)
            CHECKED["records that were continued"] += known

    def come_back(self, data: st.DataObject) -> None:
        """O19: who left is seated again, for another license later, for its own at once."""
        books = self.books
        left = [one for one in books.records if books.seat_of(one) is None]
        if not left:
            return
        signer = max(left, key=lambda one: books.records[one].ended_at)
        home = books.records[signer].license_id
        free = [one for one in books.licenses if books.seat_of_license(one) is None]
        others = [one for one in free if one != home]
        elsewhere = data.draw(st.sampled_from(others), label="elsewhere") if others else home
        for license_id in (elsewhere, home):
            self._seat_again(license_id, signer)

    def _seat_again(self, license_id: int, signer: str) -> None:
        """Link a signer to a license, bond that, and seat it."""
        books = self.books
        for target in (license_id, books.license_of(signer)):
            if target and books.standing(target, self.now) == GOOD:
                self._unlink(target)
        self._join(license_id, signer)
        missing = books.terms.min_bond - books.licenses[license_id].bond
        if missing > 0:
            self._post(license_id, missing)
        self._seat(license_id, signer)

    def remove_seat(self, data: st.DataObject) -> None:
        """O19: remove a member, the last one and nobody in vain."""
        if data.draw(st.booleans(), label="report first"):
            self._report_latest(data)
        seat = data.draw(st.sampled_from([*sorted(self.books.seats) * 4, 5, 31]), label="seat")
        reason = self.books.unseat_reason(seat)
        pending = self.books.is_pending(self.now)
        committee, governor = self.system.committee, self.system.governor
        self.attempt("remove_seat", reason, lambda: committee.remove_seat(seat, sender=governor))
        if reason is None:
            self.books.unseat(seat, self.now)
            CHECKED["seats that ended while a report was pending"] += pending

    def equivocate(self, data: st.DataObject) -> None:
        """O19: a key signs two roots in a turn or two; whoever was a member then pays for each."""
        books = self.books
        known = [one for one in KEY_OF if books.on_record(one, self.now)]
        signer = data.draw(st.sampled_from([*known * 4, *KEY_OF]), label="signer")
        record = books.records.get(signer)
        first, last = (record.first, record.last or books.epoch) if record else (0, books.epoch)
        inside = [*range(max(first, last - 2), last + 1)]
        epoch = data.draw(st.sampled_from([*inside * 2, max(first - 1, 0), last + 1]))
        for _ in range(data.draw(st.integers(1, 2), label="turns")):
            self._prove(data, signer, epoch)

    def pursue(self, data: st.DataObject) -> None:
        """O19, L25: who leaves after an offence answers for it until its record ends."""
        books = self.books
        signer = data.draw(st.sampled_from(books.members()), label="signer")
        epoch, seat = books.epoch, books.seat_of(signer)
        if seat is not None and len(books.seats) > 1:
            self.system.committee.remove_seat(seat, sender=self.system.governor)
            books.unseat(seat, self.now)
            early = data.draw(st.integers(0, 1), label="seconds early")
            self.until(self.now + books.terms.unbond_delay - early)
        self._prove(data, signer, epoch)

    def _prove(self, data: st.DataObject, signer: str, epoch: int) -> None:
        """Prove that a key signed two roots in an epoch, and prove it again."""
        books = self.books
        window, turn = data.draw(st.integers(1, 2)), data.draw(st.integers(0, 2))
        offence = (signer, window, turn, epoch)
        reason = books.equivocation_reason(offence, self.now)
        proof = self._two_roots(signer, window, turn, epoch)
        prove = partial(self.system.committee.slash_equivocation, window, turn, epoch, *proof)
        seated, alone = books.seat_of(signer) is not None, len(books.seats) == 1
        slashed = self.attempt("equivocate", reason, prove)
        if reason is None:
            assert slashed == books.punish(offence, self.now)
            CHECKED["offenders that lost their seat"] += seated and not alone
            CHECKED["offenders on the last seat"] += seated and alone
            CHECKED["offenders that had left"] += not seated
            CHECKED["slashes that took something"] += slashed > 0
            self.attempt("equivocate", "license: evidence used", prove)

    def _two_roots(self, signer: str, window: int, turn: int, epoch: int) -> list[bytes]:
        """Return two roots with data hash and signature each."""
        parts: list[bytes] = []
        for index in range(2):
            root, data_hash = word(index), word(self.attempts)
            digest = report_digest(
                self.system.committee_domain, window, turn, root, data_hash, epoch
            )
            parts += [root, data_hash, sign_digest(KEY_OF[signer], digest)]
        return parts

    def frame(self, data: st.DataObject) -> None:
        """O19: nothing that honest members signed makes an offence, however it is combined."""
        if not self.journal:
            return
        turns = Counter(entry[:4] for entry in self.journal)
        twice = [entry for entry in self.journal if turns[entry[:4]] > 1]
        recent = self.journal[-40:]
        one = data.draw(st.sampled_from(data.draw(st.sampled_from([twice or recent, recent]))))
        others = [entry for entry in self.journal if entry.signer == one.signer]
        again = [entry for entry in others if entry[:4] == one[:4] and entry != one]
        kinds = [again or others, again or others, others, recent]
        other = data.draw(st.sampled_from(data.draw(st.sampled_from(kinds))), label="the other")
        said = data.draw(st.sampled_from([one, other]), label="said to be of")
        twin = data.draw(st.sampled_from(TWINS), label="twin")
        signature, reasons = twin(self, other)
        self.refuse(
            "frame",
            reasons,
            lambda: self.system.committee.slash_equivocation(
                said.window,
                said.turn,
                said.epoch,
                one.root,
                one.data_hash,
                one.signature,
                other.root,
                other.data_hash,
                signature,
            ),
        )
        CHECKED["honest pairs of one turn"] += other in again
        CHECKED["honest pairs of two turns"] += other in others and other not in again


def _as_it_is(_: Base, entry: Signed) -> tuple[bytes, Sequence[str]]:
    return entry.signature, NOT_AN_OFFENCE


def _malleated(_: Base, entry: Signed) -> tuple[bytes, Sequence[str]]:
    return twin_of(entry.signature), ["signature: high s", "committee: same root"]


def _under_a_placement(machine: Base, entry: Signed) -> tuple[bytes, Sequence[str]]:
    domain = machine.system.escrow_domain
    digest = placement_digest(domain, 1, entry.turn, entry.window, 0, [], [1], entry.epoch)
    return sign_digest(KEY_OF[entry.signer], digest), NOT_AN_OFFENCE


def _under_an_observation(machine: Base, entry: Signed) -> tuple[bytes, Sequence[str]]:
    hashes = [entry.root, entry.data_hash] * 2
    digest = observation_digest(machine.system.committee_domain, entry.window, entry.epoch, *hashes)
    return sign_digest(KEY_OF[entry.signer], digest), NOT_AN_OFFENCE


def _of_another_chain(machine: Base, entry: Signed) -> tuple[bytes, Sequence[str]]:
    domain = replace(machine.system.committee_domain, chain_id=1)
    said = entry.root, entry.data_hash, entry.epoch
    digest = report_digest(domain, entry.window, entry.turn, *said)
    return sign_digest(KEY_OF[entry.signer], digest), NOT_AN_OFFENCE


TWINS = [_as_it_is] * 6 + [
    _malleated,
    _under_a_placement,
    _under_an_observation,
    _of_another_chain,
]
