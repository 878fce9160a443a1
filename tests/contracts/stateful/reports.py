"""Reports, vetoes and the seats of the committee."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.stateful.base import Accepted, Base
from tests.contracts.stateful.model import BATCH, UNIT
from tests.contracts.system import JOB_LEAF, account, private_key

MAX_VETOES = 3


class ReportRules(Base):
    """Calls of the committee and of the guardian against it."""

    def _units(self, data: st.DataObject) -> dict[tuple[int, int], int]:
        """Draw what a full quorum might sign: honest figures, or anything at all."""
        units: dict[tuple[int, int], int] = {}
        for job_id, job in self.jobs.items():
            total = 0
            for license_id in job.terms:
                cap = job.cap(license_id, self.now() - 1)
                if job.kind == BATCH:
                    cap = min(cap, UNIT * data.draw(st.integers(0, job.slots), label="shards"))
                figure = data.draw(
                    st.one_of(st.just(cap), st.integers(0, max(cap, 1)), st.integers(0, 2**256 - 1))
                )
                units[job_id, license_id] = figure
                total += min(figure, cap)
            honest = max(total, job.claimed)
            units[job_id, JOB_LEAF] = data.draw(
                st.one_of(st.just(honest), st.integers(0, job.funded + UNIT))
            )
        stranger = data.draw(st.integers(1, 50), label="never placed")
        units.setdefault((stranger, stranger), 10**9)
        return {pair: figure for pair, figure in units.items() if figure > 0}

    def report(self, data: st.DataObject) -> None:
        """O16, O17, O18: submit a report, with every way to get it wrong."""
        window = self.now() - 1
        units = self._units(data)
        overrides = data.draw(st.sampled_from(WRONG_REPORTS), label="wrong")(self)
        reason = overrides.pop("reason", None)
        tree = self.system.tree(units)
        arguments = self.system.report_arguments(
            tree.root, window=max(window, 0), **{"keys": self.quorum_keys()} | overrides
        )
        if self.pending():
            reason = "committee: report pending"
        elif window <= self.latest_window():
            reason = "committee: window not later"
        elif window <= self.floor:
            reason = "committee: window vetoed"
        self.attempt("report", reason, lambda: self.system.committee.submit_report(*arguments))
        if reason is None:
            if self.accepted and not self.accepted[-1].vetoed:
                self.vetoes = 0
            self.accepted.append(Accepted(window, units, tree, evm.env.timestamp))

    def veto(self, _: st.DataObject) -> None:
        """O17, O19: a veto restores the report before and uses up every window so far."""
        pending = self.pending()
        reason = None
        if pending is None:
            reason = "committee: nothing pending"
        elif self.vetoes >= MAX_VETOES:
            reason = "committee: too many vetoes"
        self.attempt(
            "veto",
            reason,
            lambda: self.system.committee.veto_report(bytes(32), sender=self.system.guardian),
        )
        if pending is not None and reason is None:
            pending.vetoed = True
            self.vetoes += 1
            self.floor = self.now()

    def change_seats(self, data: st.DataObject) -> None:
        """O16, O19: remove a member and seat another; signatures of before stop counting."""
        for act in data.draw(st.permutations([self._remove_seat, self._add_seat]), label="seats"):
            act(data)

    def _remove_seat(self, data: st.DataObject) -> None:
        if len(self.seats) == 1:
            return
        seat = data.draw(st.sampled_from(sorted(self.seats)))
        self.attempt(
            "remove_seat",
            None,
            lambda: self.system.committee.remove_seat(seat, sender=self.system.governor),
        )
        del self.seats[seat]

    def _add_seat(self, _: st.DataObject) -> None:
        system = self.system
        owner = account("late oracle")
        license_id = system.issue(owner, 2)
        self.keys += 1
        key = private_key(f"late oracle {self.keys}")
        system.link(license_id, key)
        signer = account(f"late oracle {self.keys}")
        seat = self.attempt(
            "add_seat",
            None,
            lambda: system.committee.add_seat(license_id, signer, sender=system.governor),
        )
        assert seat not in self.seats
        self.seats[seat] = key


def _right(_: Base) -> dict[str, Any]:
    return {}


def _few_signers(machine: Base) -> dict[str, Any]:
    return {"keys": machine.quorum_keys()[:-1], "reason": "committee: too few signatures"}


def _twice(machine: Base) -> dict[str, Any]:
    keys = machine.quorum_keys()
    if len(keys) < 2:
        return {}
    return {"keys": [keys[0], *keys[:-1]], "reason": "committee: signer order"}


def _foreign(machine: Base) -> dict[str, Any]:
    keys = [private_key("foreign signer"), *machine.quorum_keys()[1:]]
    return {"keys": keys, "reason": "committee: not a member"}


def _other_epoch(machine: Base) -> dict[str, Any]:
    """Whoever the signatures now recover to, he is no member, or out of order."""
    epoch = machine.system.committee.committee_epoch() + 1
    return {"epoch": epoch, "reason": "committee: not a member"} if len(machine.seats) < 2 else {}


WRONG_REPORTS: list[Callable[[Base], dict[str, Any]]] = [_right] * 12 + [
    _few_signers,
    _twice,
    _foreign,
    _other_epoch,
]
