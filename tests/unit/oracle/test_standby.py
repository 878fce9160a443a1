"""Two processes of one member: one acts, the other stands by and takes over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from workdeed.chain.errors import StoreUnavailableError
from workdeed.oracle.errors import EquivocationError, NotYetError, RefusedError, StandbyError
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair
from workdeed.protocol.messages import ObservationRequest, Proposal, SignedObservation

from .cluster import Cluster, FakeLease, Seat
from .support import CLOCK, ESCROW, FIRST_NODE, Sim, with_job

PAIR = Pair(ESCROW, 1, FIRST_NODE)
MEMBER = 1
"""The member with two processes; it leads turn 3 of window 2."""


@dataclass
class Pairing:
    """A committee in which a second process of a member stands by."""

    cluster: Cluster
    second: Seat
    lease: FakeLease

    async def take_over(self) -> None:
        """Let the second process act for the member; the first one is gone."""
        first = self.cluster.seats[MEMBER]
        await first.service.close()
        self.cluster.seats[MEMBER] = Seat(
            self.second.service,
            self.second.prober,
            first.journal,
            self.second.store,
            self.second.view,
            self.second.signer,
        )
        first.store.close()
        self.cluster.reach(self.second)
        self.lease.token = 2
        await self.second.service.tick()

    async def facts(self, window: int) -> SignedObservation:
        """Return what the second process says of a window."""
        service = self.second.service
        facts = await service._facts.window(window)
        return await service._desk.observation(facts, self.cluster.sim.books.committee_epoch)

    async def request(self) -> ObservationRequest:
        """Return what the leader of turn 0 of window 2 asks the member."""
        leader = self.cluster.seats[2].service
        return leader._member.request(2, 0, [2], self.cluster.member(MEMBER))

    async def proposal(self) -> Proposal:
        """Return what that leader proposes once all have told what they observed."""
        leader, epoch = self.cluster.seats[2].service, self.cluster.sim.books.committee_epoch
        facts = await leader._facts.round(2)
        told = [
            await self.cluster.seats[index].service._desk.observation(facts.windows[-1], epoch)
            for index in range(4)
        ]
        return leader._member.proposal(leader._member.draft(facts, 0, told))


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pairing]:
    """Four members; window 2, in which a job serves, is over."""
    cluster = Cluster(tmp_path, sim=with_job(Sim()))
    cluster.open_all()
    lease = FakeLease(None)
    second = cluster.open_second(MEMBER, lease)
    await cluster.to_window(3)
    await second.service.tick()
    cluster.sim.time = CLOCK.end(2) + 0.1
    yield Pairing(cluster, second, lease)
    if cluster.seats[MEMBER].service is not second.service:
        await second.service.close()
        second.store.close()
    await cluster.close()


class TestStandingBy:
    async def test_it_probes_nobody_and_observes_nothing(self, pair: Pairing) -> None:
        assert not pair.second.service.is_active
        assert pair.second.prober.watched == 0
        assert not pair.second.service._member.has_observed(2)

    async def test_it_answers_no_leader_and_takes_no_report(self, pair: Pairing) -> None:
        service, cluster = pair.second.service, pair.cluster
        with pytest.raises(StandbyError, match="stands by"):
            await service.answer_request(await pair.request())
        with pytest.raises(StandbyError):
            await service.answer_proposal(await pair.proposal())
        await cluster.round(2)
        ready = cluster.seats[2].service._ready
        assert ready is not None
        with pytest.raises(StandbyError):
            service.take_signatures(ready.signatures)
        assert service.submission() is None

    async def test_one_that_never_had_the_lease_drops_what_is_old_nevertheless(
        self, pair: Pairing
    ) -> None:
        await pair.cluster.settle(2)
        old = await pair.cluster.seats[0].service._desk.observation(
            await pair.cluster.seats[0].service._facts.window(2), 4
        )
        pair.second.store.put_observations([old])
        pair.cluster.sim.report(200, bytes(32))
        await pair.second.service.tick()
        assert pair.second.store.observations(2) == ()

    async def test_it_leads_no_turn(self, pair: Pairing) -> None:
        pair.cluster.sim.time = CLOCK.end(2) + 3 * pair.cluster.rules.turn_seconds + 0.1
        await pair.second.service.tick()
        await pair.second.service.idle()
        assert pair.second.service.status.led == (0, 0)

    async def test_it_keeps_the_data_that_the_next_report_builds_on(self, pair: Pairing) -> None:
        """Even where no other member has it: the one that acts answers at the member's address."""
        found = await pair.cluster.round(2)
        assert found is not None
        pair.cluster.accept(found)
        report = pair.cluster.sim.books.latest_report
        assert report is not None
        pair.cluster.wire.silent = {pair.cluster.member(index) for index in (0, 2, 3)}
        await pair.second.service.tick()
        await pair.second.service.idle()
        assert pair.second.service._bases.load(report) is not None

    async def test_it_collects_no_leaves_that_may_not_be_lost(self, pair: Pairing) -> None:
        found = await pair.cluster.round(2)
        assert found is not None
        pair.cluster.accept(found)
        pair.cluster.wire.silent = {pair.cluster.member(index) for index in range(4)}
        pair.cluster.wire.log.clear()
        await pair.second.service.tick()
        await pair.second.service.idle()
        assert {what for _, _, what in pair.cluster.wire.log} == {"report"}


class TestTakingOver:
    async def test_what_the_other_one_measured_is_unknown_and_never_made_up(
        self, pair: Pairing
    ) -> None:
        await pair.take_over()
        assert pair.second.service.is_active
        assert set((await pair.facts(2)).figures) == {UNKNOWN}
        assert "took over within the window" in pair.second.prober.reasons[3]
        await pair.cluster.to_window(5)
        assert set((await pair.facts(3)).figures) == {UNKNOWN}
        assert set((await pair.facts(4)).figures) == {UNIT}

    async def test_it_signs_at_once_for_a_window_that_began_before_it(self, pair: Pairing) -> None:
        pair.cluster.wire.silent = {pair.cluster.member(0)}  # three of four are a quorum
        await pair.take_over()
        found = await pair.cluster.round(2)
        assert found is not None
        pair.cluster.accept(found)
        assert pair.second.service.status.signed[0] == 2

    async def test_it_signs_no_other_root_than_the_one_before_it(self, pair: Pairing) -> None:
        first = pair.cluster.seats[MEMBER].service
        proposal = await pair.proposal()
        told = await first.answer_proposal(proposal)
        for index in (0, 2, 3):
            pair.cluster.figures[index, 2, PAIR] = 0
        await pair.take_over()
        again = await pair.second.service.answer_proposal(proposal)
        assert again == told
        facts = await pair.second.service._facts.round(2)
        draft = pair.second.service._member.draft(facts, 0, ())
        with pytest.raises(EquivocationError):
            pair.second.service._member.sign_report(draft, facts.committee.epoch)

    async def test_what_the_member_said_before_is_its_word_still(self, pair: Pairing) -> None:
        """A proposal with the first process's observation is not refused as another's."""
        proposal = await pair.proposal()
        (word,) = (one for one in proposal.observations if one.member == pair.second.signer.address)
        await pair.take_over()
        await pair.second.service.answer_proposal(proposal)
        assert await pair.facts(2) == word
        assert word.figures == (UNIT, UNIT)

    async def test_but_not_if_it_was_never_signed(self, pair: Pairing) -> None:
        proposal = await pair.proposal()
        forged = tuple(
            one.model_copy(update={"figures": (0, 0)})
            if one.member == pair.second.signer.address
            else one
            for one in proposal.observations
        )
        await pair.take_over()
        facts = await pair.second.service._facts.round(2)
        with pytest.raises(RefusedError, match="signature"):
            await pair.second.service._desk.adopt(facts, forged)
        assert set((await pair.facts(2)).figures) == {UNKNOWN}


class TestALeaseInDoubt:
    async def test_one_that_is_not_sure_of_its_lease_measures_on_in_silence(
        self, pair: Pairing
    ) -> None:
        await pair.take_over()
        await pair.cluster.to_window(4)
        reasons = dict(pair.second.prober.reasons)
        pair.lease.sure = False
        await pair.second.service.tick()
        with pytest.raises(StandbyError):
            await pair.second.service.answer_request(await pair.request())
        await pair.cluster.to_window(5)
        pair.lease.sure = True
        await pair.second.service.tick()
        assert pair.second.prober.reasons == reasons
        assert set((await pair.facts(4)).figures) == {UNIT}

    async def test_one_that_lost_it_stops_and_its_window_is_unknown(self, pair: Pairing) -> None:
        await pair.take_over()
        await pair.cluster.to_window(4)
        await pair.second.service.tick()
        assert pair.second.prober.watched == 4
        pair.lease.token = None
        await pair.second.service.tick()
        assert pair.second.prober.watched == 0
        assert 4 in pair.second.prober.reasons

    async def test_one_that_got_it_back_is_silent_until_it_knows_what_is_unknown(
        self, pair: Pairing
    ) -> None:
        await pair.take_over()
        await pair.cluster.to_window(4)
        pair.lease.token = 4
        with pytest.raises(StandbyError):
            await pair.second.service.answer_request(await pair.request())
        await pair.second.service.tick()
        assert 4 in pair.second.prober.reasons
        assert pair.second.service.may_speak


async def test_a_journal_that_did_not_answer_is_held_against_the_chain_again(
    pair: Pairing, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = pair.cluster.seats[0].service
    service._is_reconciled = False
    calls: list[int] = []

    async def reconcile(*_: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StoreUnavailableError("database: it does not answer")

    monkeypatch.setattr(service._desk, "reconcile", reconcile)
    pair.cluster.sim.to_window(4)
    with pytest.raises(StoreUnavailableError):
        await service.tick()
    assert pair.cluster.seats[0].prober.watched == 4  # it measures on
    await service.tick()
    await service.tick()
    assert len(calls) == 2


async def test_after_a_take_over_nothing_is_signed_before_the_journal_was_looked_at(
    pair: Pairing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may speak again once a tick saw its lease; the journal may be another by then."""
    service, lead = pair.second.service, []

    async def broken(*_: object) -> None:
        raise StoreUnavailableError("database: it does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(service._desk, "reconcile", broken)
        patched.setattr(service, "_lead", lead.append)
        pair.lease.token = 2
        with pytest.raises(StoreUnavailableError):
            await service.tick()
        assert service.may_speak
        with pytest.raises(NotYetError, match="journal"):
            await service.answer_proposal(await pair.proposal())
        pair.cluster.sim.time = CLOCK.end(2) + 3 * pair.cluster.rules.turn_seconds + 0.1
        with pytest.raises(StoreUnavailableError):
            await service.tick()
        assert lead == []
    await service.tick()
    assert service._is_reconciled
