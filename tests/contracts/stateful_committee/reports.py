"""Reports right and wrong, and vetoes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import strategies as st

from tests.contracts.stateful_committee.base import CHECKED, KEY_OF, Base, Signed, word
from tests.contracts.system import events, sign
from workdeed.protocol.eip712 import observation_digest, report_digest
from workdeed.protocol.signing import CURVE_ORDER, sign_digest

UNLIKE = ("committee: not a member", "committee: signer order", "signature: invalid")
"""Signatures over something else recover some account or none."""


class ReportRules(Base):
    """Reports right and wrong, and vetoes."""

    def sign_report(
        self, window: int, turn: int, signers: Sequence[str], **other: Any
    ) -> tuple[Any, ...]:
        """Let members sign the one root of a window, turn and epoch, with data of their own."""
        epoch = other.get("epoch", self.books.epoch)
        domain = other.get("domain", self.system.committee_domain)
        self.attempts += 1
        root, data_hash = word(window, turn, epoch), word(self.attempts)
        digest = report_digest(domain, window, turn, root, data_hash, epoch)
        if not other:
            self.journal += [
                Signed(one, window, turn, epoch, root, data_hash, sign_digest(KEY_OF[one], digest))
                for one in signers
            ]
        return window, turn, root, data_hash, sign(digest, self.keys(signers))

    def _submit(self, window: int, turn: int, signers: Sequence[str]) -> None:
        """O16, O17: submit what a quorum signed."""
        reason = self.books.report_reason(window, self.now)
        arguments = self.sign_report(window, turn, signers)
        committee, stranger = self.system.committee, self.system.stranger
        self.attempt("report", reason, lambda: committee.submit_report(*arguments, sender=stranger))
        if reason is None:
            bits = sum(1 << seat for seat, (_, one) in self.books.seats.items() if one in signers)
            (entry,) = events(committee, "ReportSubmitted")
            assert entry.signers == bits
            assert len(signers) >= self.books.quorum()
            assert window > max((one.window for one in self.books.standing_reports()), default=0)
            self.books.report(window, arguments[2], signers, self.now)
            CHECKED["O17"] += 1

    def _signers(self, data: st.DataObject) -> list[str]:
        """Draw a quorum of members or more."""
        members, least = self.books.members(), self.books.quorum()
        many = st.lists(st.sampled_from(members), unique=True, min_size=least)
        return data.draw(st.one_of(st.just(members), many), label="signers")

    def report(self, data: st.DataObject) -> None:
        """O17: report the latest window that is over, or another one."""
        if not self.rarely(data, "without waiting"):
            self.system.advance_windows()
        over = self.books.window_at(self.now) - 1
        window = data.draw(st.sampled_from([over] * 5 + [over - 1, over + 1, 0]), label="window")
        turn = data.draw(st.integers(0, 2), label="turn")
        if data.draw(st.booleans(), label="signed with other data before"):
            self.sign_report(max(window, 0), turn, self.books.members())
        self._submit(max(window, 0), turn, self._signers(data))
        if data.draw(st.booleans(), label="once more"):
            self._submit(over, turn + 1, self._signers(data))

    def serve(self, data: st.DataObject) -> None:
        """Report windows in a row, enough for a settlement."""
        for _ in range(data.draw(st.sampled_from([3, 9, 12]), label="windows")):
            self._report_latest(data)

    def _report_latest(self, data: st.DataObject) -> None:
        """Let a window end and report it."""
        self.system.advance_windows()
        self._submit(self.books.window_at(self.now) - 1, 0, self._signers(data))

    def wrong_report(self, data: st.DataObject) -> None:
        """O16, O18: what is not signed by a quorum of this epoch for this contract never counts."""
        self.system.advance_windows()
        window = self.books.window_at(self.now) - 1
        if self.books.report_reason(window, self.now):
            return
        submit = self.system.committee.submit_report
        for wrong in data.draw(st.permutations(WRONG_REPORTS), label="wrong"):
            arguments, reasons = wrong(self, window)
            self.refuse(wrong_name(wrong), reasons, partial(submit, *arguments))

    def old_signatures(self, data: st.DataObject) -> None:
        """O19: who left does not count, whatever it signs, nor who never was a member."""
        outside = [one for one in KEY_OF if self.books.seat_of(one) is None]
        left = [one for one in outside if one in self.books.records]
        if not outside:
            return
        signer = data.draw(st.sampled_from([*left * 3, *outside]), label="no member")
        digest = word(self.attempts)
        signatures = sign(digest, self.keys([*self.books.members(), signer]))
        self.refuse(
            "old_signatures",
            ["committee: not a member"],
            lambda: self.system.committee.verify(digest, signatures),
        )

    def veto(self, data: st.DataObject) -> None:
        """O17: a veto restores the report before and uses up every window so far."""
        if not self.books.is_pending(self.now) and not self.rarely(data, "in vain"):
            self._report_latest(data)
        committee, guardian = self.system.committee, self.system.guardian
        reason = self.books.veto_reason(self.now)
        self.attempt("veto", reason, lambda: committee.veto_report(bytes(32), sender=guardian))
        if reason is None:
            self.books.veto(self.now)


Refused = tuple[tuple[Any, ...], Sequence[str]]


def wrong_name(wrong: Callable[..., Any]) -> str:
    """Return the name under which a wrong report is counted."""
    return f"report {wrong.__name__.removeprefix('_')}"


def twin_of(signature: bytes) -> bytes:
    """Return the other signature of the same signer: high s, the other parity."""
    high = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + high.to_bytes(32, "big") + bytes([55 - signature[64]])


def _of_too_few(machine: ReportRules, window: int) -> Refused:
    signers = machine.books.members()[: machine.books.quorum() - 1]
    return machine.sign_report(window, 0, signers), ["committee: too few signatures"]


def _with_a_repeated_signature(machine: ReportRules, window: int) -> Refused:
    members = machine.books.members()
    return machine.sign_report(window, 0, [members[0], *members]), ["committee: signer order"]


def _with_a_twin(machine: ReportRules, window: int) -> Refused:
    *head, signatures = machine.sign_report(window, 0, machine.books.members())
    return (*head, twin_of(signatures[:65]) + signatures[65:]), ["signature: high s"]


def _with_an_outsider(machine: ReportRules, window: int) -> Refused:
    outside = [one for one in KEY_OF if machine.books.seat_of(one) is None]
    signers = [*machine.books.members(), outside[0]]
    return machine.sign_report(window, 0, signers), ["committee: not a member"]


def _of_another_turn(machine: ReportRules, window: int) -> Refused:
    _, _, *rest = machine.sign_report(window, 1, machine.books.members())
    return (window, 2, *rest), UNLIKE


def _of_another_epoch(machine: ReportRules, window: int) -> Refused:
    epoch = machine.books.epoch - 1
    return machine.sign_report(window, 0, machine.books.members(), epoch=epoch), UNLIKE


def _of_another_contract(machine: ReportRules, window: int) -> Refused:
    domain = replace(machine.system.committee_domain, contract=machine.system.escrow.address)
    return machine.sign_report(window, 0, machine.books.members(), domain=domain), UNLIKE


def _of_another_type(machine: ReportRules, window: int) -> Refused:
    hashes = [word(window)] * 4
    digest = observation_digest(
        machine.system.committee_domain, window, machine.books.epoch, *hashes
    )
    signatures = sign(digest, machine.keys(machine.books.members()))
    return (window, 0, word(window), word(0), signatures), UNLIKE


WRONG_REPORTS = [
    _of_too_few,
    _with_a_repeated_signature,
    _with_a_twin,
    _with_an_outsider,
    _of_another_turn,
    _of_another_epoch,
    _of_another_contract,
    _of_another_type,
]
