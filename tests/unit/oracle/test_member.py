"""What a member signs, keeps, and remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from workdeed.chain.books import ReportState
from workdeed.oracle.committee import Committee
from workdeed.oracle.errors import StoreError
from workdeed.oracle.journal import Entry, SigningJournal
from workdeed.oracle.member import Member
from workdeed.oracle.round import WindowFacts
from workdeed.oracle.store import OracleStore
from workdeed.oracle.tallies import WindowTally, unmeasured
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Observations

from .support import CLOCK, DOMAIN, ESCROW, GENESIS, RULES, Sim, oracle
from .test_round import HONEST, PAIRS, facts_of, observation

FACTS = WindowFacts(3, keccak(b"start"), PAIRS)
TALLY = WindowTally((UNIT, 5_000), keccak(b"answer"))


@pytest.fixture
def store() -> Iterator[OracleStore]:
    opened = OracleStore.open(":memory:")
    yield opened
    opened.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SigningJournal]:
    opened = SigningJournal.open(
        tmp_path / "journal", member=oracle(0).address, domain=DOMAIN.separator, now=GENESIS
    )
    yield opened
    opened.close()


@pytest.fixture
def member(store: OracleStore, journal: SigningJournal) -> Member:
    return Member(oracle(0), DOMAIN, CLOCK, RULES, journal, store)


class TestObservation:
    def test_it_is_signed_and_stays_the_same(self, member: Member) -> None:
        assert not member.has_observed(3)
        first = member.observation(FACTS, 5, TALLY)
        assert first.verify(DOMAIN) == member.address
        assert first.figures == TALLY.figures
        assert member.has_observed(3)
        assert member.observation(FACTS, 5, unmeasured(PAIRS)) == first

    def test_a_new_epoch_signs_the_same_figures_anew(self, member: Member) -> None:
        first = member.observation(FACTS, 5, TALLY)
        second = member.observation(FACTS, 6, unmeasured(PAIRS))
        assert second.figures == first.figures
        assert second.committee_epoch == 6
        assert second.verify(DOMAIN) == member.address

    def test_after_a_deep_reorg_new_pairs_are_unknown(self, member: Member) -> None:
        member.observation(FACTS, 5, TALLY)
        added = Pair(ESCROW, 2, 101)
        facts = replace(FACTS, snapshot_hash=keccak(b"fork"), pairs=(PAIRS[1], added))
        found = member.observation(facts, 5, unmeasured(facts.pairs))
        assert found.figures == (5_000, UNKNOWN)
        assert found.verify(DOMAIN) == member.address
        assert member.observation(facts, 5, unmeasured(facts.pairs)) == found


class TestKeeping:
    def test_good_observations_of_the_sender_are_kept(
        self, member: Member, store: OracleStore
    ) -> None:
        facts = facts_of()
        good = observation(facts, 1, HONEST)
        bad = [
            observation(facts, 2, HONEST),  # another's
            observation(facts, 1, (1, 1)),  # a second story
            good.model_copy(update={"window": 9}),
        ]
        found = member.keep(facts, Observations(observations=(good, *bad)), good.member)
        assert found == [good]
        assert store.observations(3) == (good,)

    def test_a_forged_one_is_not(self, member: Member, store: OracleStore) -> None:
        facts = facts_of()
        forged = observation(facts, 1, HONEST).model_copy(update={"figures": (1, 1)})
        assert member.keep(facts, Observations(observations=(forged,)), forged.member) == []
        assert store.observations(3) == ()


class TestSigning:
    def test_data_and_journal_come_before_the_signature(
        self,
        member: Member,
        store: OracleStore,
        journal: SigningJournal,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        order: list[str] = []
        for thing, name in ((store, "put_report"), (journal, "record")):
            real = getattr(thing, name)

            def spy(*a: object, _real: object = real, _name: str = name, **k: object) -> None:
                order.append(_name)
                _real(*a, **k)  # type: ignore[operator] # as it was called

            monkeypatch.setattr(thing, name, spy)
        facts = facts_of()
        told = [observation(facts, index, HONEST) for index in range(4)]
        signature = member.sign_report(member.draft(facts, 0, told), 5)
        assert order == ["put_report", "record"]
        assert signature.verify(DOMAIN, 5) == member.address

    def test_without_the_data_on_disk_nothing_is_signed(
        self, member: Member, store: OracleStore, journal: SigningJournal
    ) -> None:
        facts = facts_of()
        draft = member.draft(facts, 0, [observation(facts, index, HONEST) for index in range(4)])
        store.close()
        with pytest.raises(StoreError):
            member.sign_report(draft, 5)
        assert len(journal) == 0


class TestReconcile:
    def report(self, *, signers: int = 0b1111, epoch: int = 4, window: int = 3) -> ReportState:
        return ReportState(
            window=window,
            turn=0,
            root=keccak(b"root"),
            data_hash=bytes(32),
            signers=signers,
            submitter=oracle(1).address,
            accepted_at=CLOCK.end(window),
            final_at=CLOCK.end(window) + 3,
            epoch=epoch,
            tx_hash=bytes(32),
        )

    def reconciled(self, member: Member, report: ReportState) -> bool:
        committee = Committee.of(Sim().books)
        return member.reconcile([report], committee, CLOCK.end(report.window) + 5)

    def test_a_signature_on_chain_that_the_journal_lacks_bars_it(
        self, member: Member, journal: SigningJournal
    ) -> None:
        assert self.reconciled(member, self.report())
        assert journal.began_at == CLOCK.end(3) + 5

    def test_one_that_it_has_does_not(self, member: Member, journal: SigningJournal) -> None:
        entry = Entry(3, 0, 4, keccak(b"root"), bytes(32))
        journal.record(entry, window_start=CLOCK.start(3))
        assert not self.reconciled(member, self.report())

    def test_nor_one_of_others_or_of_another_epoch(self, member: Member) -> None:
        assert not self.reconciled(member, self.report(signers=0b1110))
        assert not self.reconciled(member, self.report(epoch=3))

    def test_nor_one_from_before_the_journal(self, member: Member, journal: SigningJournal) -> None:
        journal.bar_before(CLOCK.start(3) + 1)
        assert not self.reconciled(member, self.report())
