"""The rules of the round, over every choice of who is faulty and who answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import pytest

from workdeed.oracle.committee import Committee
from workdeed.oracle.errors import ForbiddenError, NotYetError, RefusedError, RoundOverError
from workdeed.oracle.ledger import JobLedger
from workdeed.oracle.round import (
    RoundFacts,
    Turn,
    WindowFacts,
    assemble,
    check_due,
    check_observation,
    check_proposal,
    check_turn,
    has_enough,
    observe,
    propose,
    turn_ends,
    turn_now,
)
from workdeed.oracle.settlement import Base
from workdeed.oracle.tallies import WindowTally
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Proposal, ReportSignature, SignedObservation, sign
from workdeed.protocol.quorum import faults, quorum
from workdeed.protocol.report import OpenPair, data_hash

from .support import CLOCK, DOMAIN, ESCROW, RULES, key_of, oracle

PAIRS = (Pair(ESCROW, 1, 101), Pair(ESCROW, 1, 102))
HONEST = (9_000, 7_000)
LIES = {"high": (UNIT, UNIT), "low": (0, 0), "split": (UNIT, 0), "unknown": (UNKNOWN, UNKNOWN)}


def committee_of(n: int, epoch: int = 5) -> Committee:
    return Committee(
        epoch=epoch,
        members=tuple(oracle(index).address for index in range(n)),
        seats=tuple(range(n)),
    )


def facts_of(
    n: int = 4,
    *,
    window: int = 3,
    base: Base | None = None,
    windows: Sequence[int] | None = None,
) -> RoundFacts:
    built_on = base or Base(window - 1, keccak(b"base root"))
    job = JobLedger(100, 0, 1_000 * UNIT, 0, False, {101: 0, 102: 0})
    return RoundFacts(
        window=window,
        committee=committee_of(n),
        base=built_on,
        snapshot_hash=keccak(b"end"),
        ledger={(ESCROW, 1): job},
        windows=tuple(
            WindowFacts(one, keccak(b"start %d" % one), PAIRS) for one in windows or (window,)
        ),
    )


def observation(
    facts: RoundFacts, index: int, figures: tuple[int, ...], window: int | None = None
) -> SignedObservation:
    asked = facts.of(window or facts.window)
    assert asked is not None
    evidence = keccak(b"answer %d" % index)
    tally = WindowTally(figures, evidence)
    unsigned = observe(asked, tally, facts.committee.epoch, facts.committee.members[index])
    return sign(unsigned, DOMAIN, key_of("oracle", index))


def proposal_of(
    facts: RoundFacts, observations: Sequence[SignedObservation], turn: int = 0
) -> Proposal:
    draft = propose(facts, turn, observations, RULES, DOMAIN)
    leader = facts.committee.leader(facts.window, turn)
    unsigned = Proposal(
        header=draft.header, leaves=draft.leaves, observations=draft.observations, member=leader
    )
    return sign(unsigned, DOMAIN, key_of("oracle", facts.committee.members.index(leader)))


def quorums(n: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield every quorum of members that take part, with every choice of faulty ones in it."""
    for taking_part in combinations(range(n), quorum(n)):
        yield from ((taking_part, faulty) for faulty in combinations(taking_part, faults(n)))


class TestEveryQuorum:
    """O20: whoever is faulty and whoever answers, figures lie between honest ones."""

    @pytest.mark.parametrize("lie", LIES)
    @pytest.mark.parametrize("n", [4, 7])
    def test_each_settled_figure_lies_between_two_honest_ones(self, n: int, lie: str) -> None:
        facts = facts_of(n)
        # Honest members measure alike, not the same: index i sees i less.
        honest = [observation(facts, i, (HONEST[0] - i, HONEST[1] + i)) for i in range(n)]
        lying = [observation(facts, i, LIES[lie]) for i in range(n)]
        settled = 0
        for taking_part, faulty in quorums(n):
            told = [lying[i] if i in faulty else honest[i] for i in taking_part]
            draft = propose(facts, 0, told, RULES, DOMAIN)
            true = [honest[i].figures for i in taking_part if i not in faulty]
            for key, found in draft.settlement.figures.items():
                at = PAIRS.index(key.pair)
                values = [figures[at] for figures in true]
                if found is not None:
                    settled += 1
                    assert min(values) <= found <= max(values)
        # Only unknown figures can keep a quorum from settling, and never make it settle wrongly.
        assert (settled == 0) is (lie == "unknown")

    @pytest.mark.parametrize("n", [4, 7])
    def test_all_honest_members_compute_the_same(self, n: int) -> None:
        facts = facts_of(n)
        honest = [observation(facts, i, HONEST) for i in range(n)]
        lying = [observation(facts, i, LIES["high"]) for i in range(n)]
        for taking_part, faulty in quorums(n):
            told = [lying[i] if i in faulty else honest[i] for i in taking_part]
            proposed = proposal_of(facts, told)
            roots = set()
            for i in taking_part:
                if i not in faulty:
                    own = {facts.window: honest[i]}
                    roots.add(check_proposal(proposed, facts, RULES, DOMAIN, own=own).root)
            assert len(roots) == 1

    @pytest.mark.parametrize("n", [4, 7])
    def test_unknown_figures_beyond_the_quorum_settle_with_all_others(self, n: int) -> None:
        """With everybody heard, the known figures of all honest members settle each pair."""
        facts = facts_of(n)
        for faulty in combinations(range(n), faults(n)):
            told = [
                observation(facts, i, LIES["unknown"] if i in faulty else HONEST) for i in range(n)
            ]
            draft = propose(facts, 0, told, RULES, DOMAIN)
            assert set(draft.settlement.figures.values()) == set(HONEST)
            assert draft.header.open == ()

    def test_the_order_of_observations_does_not_matter(self) -> None:
        facts = facts_of()
        told = [observation(facts, i, HONEST) for i in range(4)]
        assert propose(facts, 0, told, RULES, DOMAIN) == propose(
            facts, 0, told[::-1], RULES, DOMAIN
        )


class TestTurns:
    def test_the_clock_gives_window_turn_and_leader(self) -> None:
        found = turn_now(CLOCK, CLOCK.end(3) + 1.6, RULES, committee_of(4))
        assert found == Turn(3, 1, oracle(0).address)

    def test_there_is_none_before_the_first_window_is_over(self) -> None:
        assert turn_now(CLOCK, CLOCK.end(1) - 0.1, RULES, committee_of(4)) is None
        assert turn_now(CLOCK, 5.0, RULES, committee_of(4)) is None

    def test_there_is_none_without_members(self) -> None:
        assert turn_now(CLOCK, CLOCK.end(3), RULES, Committee(0, (), ())) is None

    def test_every_member_leads_within_a_window(self) -> None:
        leaders = {
            turn.leader
            for tenth in range(120)
            if (turn := turn_now(CLOCK, CLOCK.end(3) + tenth / 10, RULES, committee_of(7)))
        }
        assert leaders == set(committee_of(7).members)

    def test_a_turn_ends_with_its_time_or_with_the_round(self) -> None:
        assert turn_ends(CLOCK, Turn(3, 0, ""), RULES) == CLOCK.end(3) + 1.5
        assert turn_ends(CLOCK, Turn(3, 7, ""), RULES) == CLOCK.end(4)
        assert turn_ends(CLOCK, Turn(3, 9, ""), RULES) == CLOCK.end(4)

    def test_only_the_leader_of_the_clocks_turn_is_heard(self) -> None:
        turn = Turn(3, 1, oracle(0).address)
        assert check_turn(turn, 3, 1, oracle(0).address) == turn
        with pytest.raises(ForbiddenError, match="member"):
            check_turn(turn, 3, 1, oracle(1).address)

    @pytest.mark.parametrize(("window", "number"), [(3, 0), (2, 5)])
    def test_a_turn_that_is_over_is_not(self, window: int, number: int) -> None:
        with pytest.raises(ForbiddenError, match="by now"):
            check_turn(Turn(3, 1, oracle(0).address), window, number, oracle(0).address)

    @pytest.mark.parametrize(("window", "number"), [(3, 2), (4, 0)])
    def test_a_turn_that_is_to_come_is_asked_for_again(self, window: int, number: int) -> None:
        with pytest.raises(NotYetError):
            check_turn(Turn(3, 1, oracle(0).address), window, number, oracle(0).address)

    def test_nothing_is_due_for_a_window_that_is_covered_or_vetoed(self) -> None:
        check_due(4, 3, 0)
        with pytest.raises(RoundOverError, match="covered"):
            check_due(3, 3, 0)
        with pytest.raises(RoundOverError, match="veto"):
            check_due(4, 2, 4)


class TestObservations:
    def test_a_good_one_counts(self) -> None:
        facts = facts_of()
        check_observation(observation(facts, 1, HONEST), facts, DOMAIN)

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"window": 9}, "window"),
            ({"committee_epoch": 4}, "committee_epoch"),
            ({"member": oracle(9).address}, "member"),
            ({"snapshot_hash": keccak(b"fork")}, "snapshot_hash"),
            ({"pairs": PAIRS[:1], "figures": HONEST[:1]}, "pairs"),
            ({"figures": (1, 2)}, "signature"),
            ({"member": oracle(2).address}, "signature"),
            ({"signature": bytes(65)}, "signature"),
        ],
    )
    def test_anything_else_does_not(self, change: dict[str, object], field: str) -> None:
        facts = facts_of()
        bad = observation(facts, 1, HONEST).model_copy(update=change)
        with pytest.raises(RefusedError) as caught:
            check_observation(bad, facts, DOMAIN)
        assert caught.value.field == field

    def test_each_window_with_pairs_needs_a_quorum(self) -> None:
        facts = facts_of(windows=(2, 3), base=Base(1))
        told = [observation(facts, i, HONEST, w) for w in (2, 3) for i in range(3)]
        assert has_enough(facts, told) is None
        assert has_enough(facts, told[1:]) == 2
        assert has_enough(facts, told[:-1]) == 3


class TestProposals:
    def good(self) -> tuple[RoundFacts, list[SignedObservation]]:
        facts = facts_of()
        return facts, [observation(facts, i, HONEST) for i in range(4)]

    def check(
        self,
        proposed: Proposal,
        facts: RoundFacts,
        *,
        own: SignedObservation | None = None,
        held: Sequence[SignedObservation] = (),
        domain: Domain = DOMAIN,
    ) -> str:
        """Return the field at fault, "" if the proposal is accepted."""
        mine = {own.window: own} if own else {}
        try:
            check_proposal(proposed, facts, RULES, domain, own=mine, held=held)
        except RefusedError as error:
            return error.field
        return ""

    def test_what_this_member_computes_is_accepted(self) -> None:
        facts, told = self.good()
        draft = check_proposal(
            proposal_of(facts, told), facts, RULES, DOMAIN, own={3: told[1]}, held=told
        )
        assert draft.root == propose(facts, 0, told, RULES, DOMAIN).root
        assert draft.header == proposal_of(facts, told).header

    def test_other_leaves_are_refused(self) -> None:
        facts, told = self.good()
        proposed = proposal_of(facts, told)
        others = proposed.leaves[:-1] + b"\1"
        assert self.check(proposed.model_copy(update={"leaves": others}), facts) == "header"
        header = proposed.header.model_copy(update={"leaves_hash": keccak(others)})
        forged = proposed.model_copy(update={"leaves": others, "header": header})
        assert self.check(forged, facts) == "leaves"

    def test_observations_that_the_header_does_not_pin_are_refused(self) -> None:
        facts, told = self.good()
        fewer = proposal_of(facts, told).model_copy(update={"observations": tuple(told[:3])})
        assert self.check(fewer, facts) == "header"

    def test_another_snapshot_is_refused(self) -> None:
        facts, told = self.good()
        header = proposal_of(facts, told).header
        forged = header.model_copy(update={"snapshot_hash": keccak(b"fork")})
        assert self._with(facts, told, forged) == "snapshot_hash"

    def test_another_window_is_refused(self) -> None:
        facts, told = self.good()
        forged = proposal_of(facts, told).header.model_copy(update={"window": 4})
        assert self._with(facts, told, forged) == "window"

    @pytest.mark.parametrize("base", [(0, bytes(32)), (1, keccak(b"base root")), (2, bytes(32))])
    def test_another_base_is_refused(self, base: tuple[int, bytes]) -> None:
        facts, told = self.good()
        update = {"base_window": base[0], "base_root": base[1]}
        forged = proposal_of(facts, told).header.model_copy(update=update)
        assert self._with(facts, told, forged) == "base"

    def test_a_base_that_is_not_read_here_yet_is_asked_for_again(self) -> None:
        told_facts, told = self.good()
        behind = facts_of(base=Base(1, keccak(b"older")), windows=(2, 3))
        with pytest.raises(NotYetError):
            check_proposal(proposal_of(told_facts, told), behind, RULES, DOMAIN, own={})

    def test_a_base_whose_leaves_are_lost_is_announced(self) -> None:
        facts = facts_of(base=Base(2, keccak(b"base root"), whole=False))
        told = [observation(facts, i, HONEST) for i in range(4)]
        header = proposal_of(facts, told).header
        assert (header.base_window, header.base_root) == (0, bytes(32))
        assert self.check(proposal_of(facts, told), facts) == ""
        whole, _ = self.good()
        assert self.check(proposal_of(facts, told), whole) == "base"

    def test_a_stranger_among_the_observers_is_refused(self) -> None:
        facts, told = self.good()
        bigger = facts_of(5)
        stranger = observation(bigger, 4, HONEST)
        assert self.check(proposal_of(facts, [*told[:3], stranger]), facts) == "member"

    def test_fewer_observations_than_a_quorum_are_refused(self) -> None:
        facts, told = self.good()
        assert self.check(proposal_of(facts, told[:2]), facts) == "observations"
        assert self.check(proposal_of(facts, []), facts) == "observations"

    def test_nobody_speaks_in_this_members_name(self) -> None:
        facts, told = self.good()
        mine = observation(facts, 1, (1, 1))
        assert self.check(proposal_of(facts, told), facts, own=mine) == "observations"
        assert self.check(proposal_of(facts, told), facts, own=told[1]) == ""

    def test_one_member_observes_a_window_once(self) -> None:
        facts, told = self.good()
        with pytest.raises(RefusedError, match="twice"):
            propose(facts, 0, [*told, observation(facts, 1, (1, 1))], RULES, DOMAIN)

    def test_other_open_pairs_than_follow_are_refused(self) -> None:
        facts, told = self.good()
        header = proposal_of(facts, told).header
        forged = header.model_copy(update={"open": (OpenPair(3, *PAIRS[0]),)})
        assert self._with(facts, told, forged) == "open"

    def test_nothing_stays_open_that_this_member_can_settle(self) -> None:
        facts = facts_of()
        known = [observation(facts, i, HONEST) for i in range(4)]
        unknown = observation(facts, 3, LIES["unknown"])
        leaders_choice = proposal_of(facts, [known[0], known[1], unknown])
        assert leaders_choice.header.open
        assert self.check(leaders_choice, facts, own=known[1]) == ""
        assert self.check(leaders_choice, facts, own=known[2]) == "open"
        assert self.check(leaders_choice, facts, own=known[1], held=[known[2]]) == "open"

    def test_what_is_held_counts_only_if_it_is_valid(self) -> None:
        facts = facts_of()
        known = [observation(facts, i, HONEST) for i in range(4)]
        unknown = observation(facts, 3, LIES["unknown"])
        leaders_choice = proposal_of(facts, [known[0], known[1], unknown])
        forged = known[2].model_copy(update={"signature": known[1].signature})
        assert self.check(leaders_choice, facts, held=[forged]) == ""

    def test_the_leaders_version_of_an_observation_counts_before_the_held_one(self) -> None:
        """A faulty member that told two stories can't make an honest leader's proposal fail."""
        facts = facts_of()
        known = [observation(facts, i, HONEST) for i in range(2)]
        unknown = [observation(facts, i, LIES["unknown"]) for i in (2, 3)]
        other_story = observation(facts, 3, HONEST)
        proposed = proposal_of(facts, [*known, *unknown])
        assert self.check(proposed, facts, held=[other_story]) == ""

    def _with(self, facts: RoundFacts, told: Sequence[SignedObservation], header: object) -> str:
        return self.check(proposal_of(facts, told).model_copy(update={"header": header}), facts)


def test_signatures_are_assembled_in_the_order_of_their_signers() -> None:
    facts = facts_of()
    draft = propose(facts, 0, [observation(facts, i, HONEST) for i in range(4)], RULES, DOMAIN)
    signatures = []
    for index in range(4):
        unsigned = ReportSignature(
            window=3,
            turn=0,
            root=draft.root,
            data_hash=data_hash(draft.header),
            member=oracle(index).address,
            signature=bytes(65),
        )
        signature = oracle(index).sign_digest(unsigned.digest(DOMAIN, 5))
        signatures.append(unsigned.model_copy(update={"signature": signature}))
    other = signatures[0].model_copy(update={"root": bytes(32)})
    found = assemble(draft.header, draft.root, [*signatures[1:], other])
    members = sorted((oracle(i).address for i in (1, 2, 3)), key=str.lower)
    assert found.signers(DOMAIN, 5) == tuple(members)
    assert facts.committee.holds(members)
    assert not facts.committee.holds([*members[:2], members[0]])
    assert not facts.committee.holds([*members[:2], oracle(9).address])
