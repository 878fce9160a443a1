"""A machine over the committee: seats, reports right and wrong, vetoes, offences, rewards, time.

Each rule draws mostly what a call takes, predicts the outcome or the reason of the refusal from
`model`, and the invariants compare chain and model after every step. Members are honest as the
protocol says: one root for a window, turn and epoch, however often they sign. Their ids are those
of `docs/invariants.md`.
"""

from __future__ import annotations

from itertools import cycle, islice

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.contracts.stateful_committee.base import CHECKED, KEY_OF, MAX_LICENSES, OWNERS
from tests.contracts.stateful_committee.model import NEVER, NOBODY, Books, License, Terms
from tests.contracts.stateful_committee.rewards import RewardRules
from tests.contracts.stateful_committee.seats import SeatRules
from tests.contracts.system import BondTerms, deploy_system
from workdeed.protocol.signing import address_of

CALLS = {
    "add_seat": 6,
    "come_back": 5,
    "remove_seat": 2,
    "issue": 1,
    "relink": 4,
    "transfer": 2,
    "post_bond": 2,
    "request_unbond": 1,
    "withdraw_bond": 2,
    "report": 4,
    "serve": 4,
    "wrong_report": 4,
    "old_signatures": 2,
    "veto": 3,
    "equivocate": 3,
    "pursue": 3,
    "frame": 5,
    "donate": 2,
    "book": 2,
    "pull": 2,
    "settle": 4,
    "claim": 3,
    "forfeit": 2,
    "suspend": 1,
    "blacklist": 1,
    "reinstate": 4,
    "pass_time": 3,
}
"""Every call and how often it comes. An example shuffles them once and deals them in turn: a short
run that drew each by chance would miss some."""


class CommitteeMachine(SeatRules, RewardRules):
    """All calls, dealt in turn, and what must hold after each."""

    @initialize(
        oracles=st.sampled_from([1, 2, 3, 4, 5, 5, 1]),
        window=st.integers(10, 3_600),
        min_bond=st.sampled_from([0, 1, 10**6]),
        cap_bps=st.sampled_from([5_000, 3_333, 10_000, 0]),
        data=st.data(),
    )
    def deploy(
        self, oracles: int, window: int, min_bond: int, cap_bps: int, data: st.DataObject
    ) -> None:
        """Deploy with fuzzed terms; the first members sign reports and earn rewards."""
        deck = [name for name, times in CALLS.items() for _ in range(times)]
        self.calls = cycle(data.draw(st.permutations(deck), label="calls"))
        challenge = data.draw(st.integers(0, window - 1), label="challenge")
        delay = data.draw(st.integers(window, 60 * window), label="unbond delay")
        self.system = deploy_system(
            oracles=oracles,
            window=window,
            challenge=challenge,
            bond_terms=BondTerms(0, min_bond, delay, cap_bps),
        )
        genesis = int(self.system.committee.GENESIS())
        self.books = Books(
            Terms(genesis, window, challenge, delay, cap_bps, min_bond),
            {index + 1: License(owner) for index, owner in enumerate(self.system.oracle_owners)},
        )
        for license_id, key in enumerate(self.system.oracle_keys, 1):
            self.books.seat(license_id, address_of(key), self.now)
            self._post(license_id, max(min_bond, 10))
        self.serve(data)
        self.settle(data)

    @rule(data=st.data(), count=st.integers(2, 8))
    def go_on(self, data: st.DataObject, count: int) -> None:
        """Make the next calls."""
        for call in islice(self.calls, count):
            getattr(self, call)(data)

    def pass_time(self, data: st.DataObject) -> None:
        """Let time pass, often up to where something ends or just before."""
        terms = self.books.terms
        ends = [
            record.ended_at + terms.unbond_delay
            for record in self.books.records.values()
            if record.ended_at
        ]
        ends += [self.books.latest_accepted_at() + terms.challenge, self.now + terms.window]
        ahead = [moment for moment in ends if moment > self.now]
        moment = data.draw(st.sampled_from(ahead), label="moment")
        early = data.draw(st.integers(0, 1), label="seconds early")
        self.attempt("pass_time", None, lambda: self.until(moment - early))

    # What must always hold.

    @invariant()
    def seats_are_as_modelled(self) -> None:
        """O16, O19: who sits where, for which license, and how many must sign."""
        if not hasattr(self, "books"):
            return
        committee, books = self.system.committee, self.books
        for seat in range(MAX_LICENSES):
            assert tuple(committee.seat(seat)) == books.seats.get(seat, (0, NOBODY))
        for signer in KEY_OF:
            held = books.seat_of(signer)
            assert committee.seat_of_signer(signer) == (0 if held is None else held + 1)
        assert committee.seat_count() == len(books.seats) > 0
        assert committee.quorum() == books.quorum()
        assert 3 * committee.quorum() > 2 * len(books.seats)
        assert committee.committee_epoch() == books.epoch
        CHECKED["O16"] += 1

    @invariant()
    def members_answer_for_their_epochs(self) -> None:
        """O19, L25: records, the ends of seats, and bonds that only offences took from."""
        if not hasattr(self, "books"):
            return
        committee, books = self.system.committee, self.books
        for signer in KEY_OF:
            record = books.records.get(signer)
            expected = (
                (record.license_id, record.first, record.last, record.ended_at)
                if record
                else (0, 0, 0, 0)
            )
            assert tuple(committee.member_of(signer)) == expected
        for license_id, deed in books.licenses.items():
            seated = books.seat_of_license(license_id) is not None
            assert committee.is_seated(license_id) == seated
            assert committee.seat_ended_at(license_id) == (NEVER if seated else deed.seat_ended_at)
            bond = tuple(self.system.licenses.bond_of(license_id))
            assert bond == (deed.bond, deed.unbonding, deed.requested_at)
        CHECKED["O19"] += 1

    @invariant()
    def reports_are_as_modelled(self) -> None:
        """O17: what is final, what is latest, and what vetoes used up."""
        if not hasattr(self, "books"):
            return
        committee, books = self.system.committee, self.books
        assert tuple(committee.final_report()) == books.final(self.now)
        window, root = books.latest()
        accepted_at, vetoes = books.latest_accepted_at(), books.vetoes_in_a_row(self.now)
        assert tuple(committee.latest_report()) == (window, root, accepted_at, books.floor, vetoes)
        assert committee.latest_window() == window
        assert vetoes <= 3

    @invariant()
    def rewards_are_as_modelled(self) -> None:
        """R33: counters, shares, what is paid, and that all of it is here."""
        if not hasattr(self, "books"):
            return
        committee, token, books = self.system.committee, self.system.token, self.books
        lanes = [0] * 32
        for seat, (license_id, _) in books.seats.items():
            lanes[seat] = books.counts[license_id]
        assert list(committee.participation().to_bytes(32, "little")) == lanes
        for license_id, deed in books.licenses.items():
            assert committee.reward_of(license_id) == deed.reward
        assert committee.unassigned() == books.unassigned
        assert committee.rewards_held() == books.held()
        assert token.balanceOf(committee.address) == books.held() + books.sent
        assert sum(self.system.vault.pots()) == books.in_vault
        for owner in {*OWNERS, *self.paid}:
            assert token.balanceOf(owner) == self.paid[owner]
        CHECKED["R33"] += 1
