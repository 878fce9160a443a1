"""Whole oracles over a transport that fails: agreement, restarts, vetoes, lost data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import combinations
from pathlib import Path

import pytest

from workdeed.chain.bindings import committee
from workdeed.chain.rpc import RpcUnavailable
from workdeed.oracle.errors import (
    EquivocationError,
    ForbiddenError,
    JournalError,
    NotYetError,
    OracleError,
    RefusedError,
    RoundOverError,
)
from workdeed.oracle.journal import journal_path
from workdeed.oracle.peers import Peer
from workdeed.oracle.settings import RoundRules
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair
from workdeed.protocol.messages import Answer, Proofs, Proposal, Signatures, sign
from workdeed.protocol.quorum import faults
from workdeed.protocol.report import OpenPair

from .cluster import Cluster, Seat, check_signatures
from .support import (
    CHAIN_ID,
    CLOCK,
    DOMAIN,
    ESCROW,
    FIRST_NODE,
    Sim,
    account,
    key_of,
    oracle,
    with_job,
)

NODE = FIRST_NODE
PAIR = Pair(ESCROW, 1, NODE)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Four members that follow a chain with a job; window 2 is about to begin."""
    opened = Cluster(tmp_path, sim=with_job(Sim()))
    opened.open_all()
    yield opened
    await opened.close()


def answer_of(license_id: int) -> Answer:
    """Return what a node may have answered to a probe."""
    return Answer(
        chain_id=CHAIN_ID,
        license_id=license_id,
        node=account("node"),
        nonce=bytes(32),
        window=2,
        instance_id=bytes(16),
        workloads=(),
    )


def signed_roots(cluster: Cluster) -> Iterator[tuple[int, tuple[int, int, int], bytes]]:
    """Yield what each member signed: who, (window, turn, epoch), root."""
    for index, seat in cluster.seats.items():
        for key, root in seat.journal._roots.items():
            yield index, key, root


class TestAgreement:
    """O19, O20: agreement within the turns, and never two roots of one member for a turn."""

    async def test_windows_are_settled_one_after_the_other(self, cluster: Cluster) -> None:
        for window in (2, 3, 4):
            found = await cluster.settle(window)
            assert (found.window, found.turn) == (window, 0)
            assert len(check_signatures(found, cluster.sim.books.committee_epoch)) == 4
            for index in range(4):
                assert cluster.leaves(index) == {
                    (1, NODE): (window - 1) * UNIT,
                    (1, NODE + 1): (window - 1) * UNIT,
                }

    async def test_the_settled_figure_is_the_lower_median(self, cluster: Cluster) -> None:
        for index, figure in enumerate([0, 9_000, 9_500, UNIT]):
            cluster.figures[index, 2, PAIR] = figure
        await cluster.settle(2)
        assert cluster.leaves()[1, NODE] == 9_000

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
    async def test_committees_of_any_size_agree(self, tmp_path: Path, n: int) -> None:
        cluster = Cluster(tmp_path, n, sim=with_job(Sim(members=n)))
        cluster.open_all()
        await cluster.settle(2)
        assert cluster.leaves() == {(1, NODE): UNIT, (1, NODE + 1): UNIT}
        await cluster.close()

    @pytest.mark.parametrize("how", ["silent", "deaf", "lying", "unknown"])
    @pytest.mark.parametrize("n", [4, 7])
    async def test_with_any_faulty_members_the_honest_ones_agree(
        self, tmp_path: Path, n: int, how: str
    ) -> None:
        """Whoever is faulty, even every leader at the beginning: a report within the turns."""
        every = list(combinations(range(n), faults(n)))
        # What members say is covered for every quorum by the tests of the round.
        chosen = every if how == "silent" or n == 4 else every[::5]
        for number, faulty in enumerate(chosen):
            cluster = Cluster(tmp_path / str(number), n, sim=with_job(Sim(members=n)))
            for index in faulty:
                figure = {"lying": 0, "unknown": UNKNOWN}.get(how, UNIT)
                cluster.figures[index, 2, PAIR] = figure
            members = {cluster.member(index) for index in faulty}
            cluster.wire.silent = members if how == "silent" else set()
            cluster.wire.deaf = members if how == "deaf" else set()
            cluster.open_all()
            await cluster.to_window(3)
            found = await cluster.round(2, turns=n)
            assert found is not None, f"faulty: {faulty}"
            cluster.accept(found)
            honest = next(index for index in range(n) if index not in faulty)
            assert cluster.leaves(honest)[1, NODE] == UNIT
            keys = [(index, key) for index, key, _ in signed_roots(cluster)]
            assert len(keys) == len(set(keys))
            await cluster.close()

    async def test_fewer_than_a_quorum_agree_on_nothing(self, cluster: Cluster) -> None:
        cluster.wire.silent = {cluster.member(0), cluster.member(1)}
        await cluster.to_window(3)
        assert await cluster.round(2) is None

    async def test_the_next_leader_takes_over(self, cluster: Cluster) -> None:
        cluster.wire.silent = {cluster.member(2)}  # leads turn 0 of window 2
        await cluster.to_window(3)
        found = await cluster.round(2)
        assert found is not None
        assert found.turn == 1

    async def test_a_window_without_agreement_is_left_to_the_next_report(
        self, cluster: Cluster
    ) -> None:
        cluster.wire.silent = {cluster.member(0), cluster.member(1)}
        await cluster.to_window(3)
        assert await cluster.round(2) is None
        cluster.wire.silent.clear()
        await cluster.settle(3)
        assert cluster.leaves() == {(1, NODE): 2 * UNIT, (1, NODE + 1): 2 * UNIT}

    async def test_members_that_lag_are_asked_again_within_the_turn(self, cluster: Cluster) -> None:
        cluster.wire.not_yet = {cluster.member(index): 3 for index in (0, 1, 3)}
        found = await cluster.settle(2)
        assert found.turn == 0
        assert len(check_signatures(found, 4)) == 4

    async def test_members_a_block_behind_sign_once_they_see_the_window_end(
        self, tmp_path: Path
    ) -> None:
        cluster = Cluster(tmp_path, sim=with_job(Sim()))
        for index in range(4):
            cluster.open(index, lag=1 if index in (0, 1) else 0, skew=0.2 * index)
        await cluster.to_window(3)
        found = await cluster.round(2)
        assert found is not None
        assert found.turn <= 1
        await cluster.close()

    async def test_nothing_placed_and_nothing_changed_is_not_reported(self, tmp_path: Path) -> None:
        cluster = Cluster(tmp_path)
        cluster.open_all()
        await cluster.to_window(3)
        assert await cluster.round(2) is None
        await cluster.close()

    async def test_unless_the_leader_is_told_to(self, tmp_path: Path) -> None:
        rules = RoundRules(1.5, 2, report_idle=True)
        cluster = Cluster(tmp_path, rules=rules)
        cluster.open_all()
        found = await cluster.settle(2)
        assert found.root == bytes(32)
        await cluster.close()

    async def test_a_job_that_is_over_gets_its_leaf_until_it_is_closed(
        self, tmp_path: Path
    ) -> None:
        cluster = Cluster(tmp_path, sim=with_job(Sim(), windows=1))
        cluster.open_all()
        await cluster.settle(2)
        leaves = {(1, 0): 2 * UNIT, (1, NODE): UNIT, (1, NODE + 1): UNIT}
        assert cluster.leaves() == leaves
        await cluster.to_window(4)
        assert await cluster.round(3) is None  # idle: the same leaves
        await cluster.close()


class TestOpenPairs:
    async def test_they_are_settled_by_a_later_report(self, cluster: Cluster) -> None:
        for index in (0, 1):
            cluster.figures[index, 2, PAIR] = UNKNOWN
        await cluster.settle(2)
        assert cluster.leaves() == {(1, NODE + 1): UNIT}
        # What is unknown stays so, and D windows later it earns 0.
        await cluster.settle(3)
        assert cluster.leaves() == {(1, NODE): UNIT, (1, NODE + 1): 2 * UNIT}
        latest = cluster.sim.books.latest_report
        assert latest is not None
        base = cluster.bases(0).load(latest)
        assert base is not None
        assert base.open == (OpenPair(2, *PAIR),)
        await cluster.settle(4)
        latest = cluster.sim.books.latest_report
        base = cluster.bases(0).load(latest)
        assert base is not None
        assert base.open == ()
        assert cluster.leaves() == {(1, NODE): 2 * UNIT, (1, NODE + 1): 3 * UNIT}

    async def test_an_observation_that_comes_late_settles_them(self, cluster: Cluster) -> None:
        cluster.figures[0, 2, PAIR] = UNKNOWN
        cluster.wire.silent = {cluster.member(1)}
        await cluster.settle(2)
        assert cluster.leaves(2) == {(1, NODE + 1): UNIT}
        cluster.wire.silent.clear()
        await cluster.settle(3)
        assert cluster.leaves(2) == {(1, NODE): 2 * UNIT, (1, NODE + 1): 2 * UNIT}


class TestRestarts:
    """O19, K29: what a member signed and observed outlasts it."""

    async def test_a_member_that_restarts_within_the_round_signs_no_second_root(
        self, cluster: Cluster
    ) -> None:
        """It signed in this turn; the leader comes back with another report for the same turn."""
        await cluster.to_window(3)
        cluster.wire.deaf = {cluster.member(0), cluster.member(3)}
        await cluster.turn(2, 0)
        before = {(i, key): root for i, key, root in signed_roots(cluster) if i == 1}
        assert list(before) == [(1, (2, 0, 4))]
        await cluster.crash(1)
        again = cluster.open(1)
        await cluster.tick_quietly()
        facts = await again.service._facts.round(2)
        theirs = [
            await cluster.seats[i].service._desk.observation(facts.windows[-1], 4)
            for i in (0, 2, 3)
        ]
        lower = theirs[0].model_copy(update={"figures": (1, 1)})
        theirs[0] = sign(lower, DOMAIN, key_of("oracle", 0))
        theirs[1] = sign(
            theirs[1].model_copy(update={"figures": (1, 1)}), DOMAIN, key_of("oracle", 2)
        )
        leader = cluster.seats[2].service._member
        cluster.sim.time = CLOCK.end(2) + 0.5
        another = leader.proposal(leader.draft(facts, 0, theirs))
        with pytest.raises(EquivocationError):
            await again.service.answer_proposal(another)
        assert {(i, k): r for i, k, r in signed_roots(cluster) if i == 1} == before

    async def test_what_was_observed_before_a_restart_is_told_after_it(
        self, cluster: Cluster
    ) -> None:
        cluster.figures[1, 2, PAIR] = 1_234
        await cluster.to_window(3)
        await cluster.crash(1)
        seat = cluster.open(1)
        cluster.figures[1, 2, PAIR] = 9
        facts = await seat.service._facts.window(2)
        observation = await seat.service._desk.observation(facts, 4)
        assert observation.figures == (1_234, UNIT)

    async def test_the_window_of_a_restart_is_unknown(self, cluster: Cluster) -> None:
        await cluster.to_window(2)
        await cluster.crash(1)
        seat = cluster.open(1)
        await cluster.to_window(4)
        for window, known in ((2, False), (3, True)):
            facts = await seat.service._facts.window(window)
            observation = await seat.service._desk.observation(facts, 4)
            assert (UNKNOWN not in observation.figures) is known

    async def test_a_member_without_its_journal_waits_for_a_window_that_begins_after_it(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        await cluster.to_window(3)
        await cluster.crash(1)
        journal_path(tmp_path / "oracle1", oracle(1).address).unlink()
        cluster.sim.mine(cluster.sim.head.timestamp + 1)
        cluster.open(1)
        await cluster.settle(2)
        assert not cluster.seats[1].journal.has_window(2)
        await cluster.settle(3)  # the journal began in window 3, which began before it
        assert not cluster.seats[1].journal.has_window(3)
        await cluster.settle(4)
        assert cluster.seats[1].journal.has_window(4)

    async def test_a_restored_journal_counts_as_lost(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        path = journal_path(tmp_path / "oracle1", oracle(1).address)
        copy = path.read_bytes()
        await cluster.settle(2)
        await cluster.crash(1)
        path.write_bytes(copy)
        seat = cluster.open(1)
        await cluster.tick()
        assert seat.journal.began_at == cluster.sim.head.timestamp
        await cluster.settle(3)
        assert not seat.journal.has_window(3)

    async def restored(self, cluster: Cluster, tmp_path: Path) -> Seat:
        """Return member 1 over a copy that lacks what it signed for window 2; it did not tick."""
        path = journal_path(tmp_path / "oracle1", oracle(1).address)
        copy = path.read_bytes()
        await cluster.settle(2)
        await cluster.to_window(4)
        await cluster.crash(1)
        path.write_bytes(copy)
        return cluster.open(1)

    async def test_a_restored_journal_signs_nothing_before_it_is_held_against_the_chain(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        """A faulty leader may have had its first root already: it asks before the first tick."""
        seat = await self.restored(cluster, tmp_path)
        leader = cluster.seats[3].service
        cluster.sim.time = CLOCK.end(3) + 0.2
        facts = await leader._facts.round(3)
        told = [
            await cluster.seats[index].service._desk.observation(facts.windows[-1], 4)
            for index in (0, 2, 3)
        ]
        proposal = leader._member.proposal(leader._member.draft(facts, 0, told))
        with pytest.raises(NotYetError, match="journal: it is not held against the chain yet"):
            await seat.service.answer_proposal(proposal)
        with pytest.raises(NotYetError, match="journal"):
            await seat.service.answer_request(leader._member.request(3, 0, [3], cluster.member(1)))
        await seat.service.tick()
        with pytest.raises(JournalError, match="began before"):
            await seat.service.answer_proposal(proposal)
        assert not seat.journal.has_window(3)

    async def test_a_chain_that_cannot_be_read_keeps_no_restored_journal_in_use(
        self, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seat = await self.restored(cluster, tmp_path)

        async def broken() -> None:
            raise RpcUnavailable("http://rpc.test")

        monkeypatch.setattr(seat.service._measuring, "observe_past", broken)
        with pytest.raises(RpcUnavailable):
            await seat.service.tick()
        assert seat.journal.began_at == cluster.sim.head.timestamp

    async def test_a_whole_journal_does_not(self, cluster: Cluster) -> None:
        began = cluster.seats[1].journal.began_at
        await cluster.settle(2)
        await cluster.crash(1)
        cluster.open(1)
        await cluster.tick()
        assert cluster.seats[1].journal.began_at == began


class TestVetoes:
    """O17: what was signed before a veto counts for nothing after it."""

    async def test_after_a_veto_only_a_window_that_begins_later_is_signed(
        self, cluster: Cluster
    ) -> None:
        await cluster.settle(2)
        first = cluster.sim.books.latest_report
        await cluster.settle(3)
        cluster.sim.veto(3)  # in window 4: it is used up as well
        assert cluster.sim.books.latest_report == first
        await cluster.to_window(5)
        assert await cluster.round(4) is None
        found = await cluster.settle(5)
        # It builds on the report before the vetoed one, and settles all windows since.
        assert cluster.leaves() == {(1, NODE): 4 * UNIT, (1, NODE + 1): 4 * UNIT}
        assert found.window == 5

    async def test_a_report_that_is_complete_when_its_base_is_vetoed_is_dropped(
        self, cluster: Cluster
    ) -> None:
        await cluster.settle(2)
        await cluster.to_window(4)
        assert await cluster.round(3) is not None
        cluster.sim.veto(2)
        assert cluster.complete() is None


class TestLostLeaves:
    async def lose(self, cluster: Cluster, index: int, tmp_path: Path) -> None:
        """Delete a member's store while it is down."""
        await cluster.crash(index)
        for path in (tmp_path / f"oracle{index}").glob("oracle.db*"):
            path.unlink()
        cluster.open(index)

    async def test_a_late_joiner_fetches_them_from_anyone(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        await cluster.settle(2)
        await self.lose(cluster, 1, tmp_path)
        await cluster.tick()
        assert cluster.leaves(1) == cluster.leaves(0)
        found = await cluster.settle(3)
        assert len(check_signatures(found, 4)) == 4

    async def test_what_does_not_match_the_chain_is_not_taken(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        await cluster.settle(2)
        report = cluster.sim.books.latest_report
        assert report is not None
        good = await cluster.seats[0].service.archive.report(2)
        assert good is not None
        await self.lose(cluster, 1, tmp_path)
        bases = cluster.bases(1)
        for bad in (
            good.model_copy(update={"leaves": b""}),
            good.model_copy(update={"header": good.header.model_copy(update={"turn": 7})}),
        ):
            with pytest.raises((OracleError, ValueError)):
                bases._take(report, bad)
            assert bases.stored(report) is None

    async def test_lost_on_all_they_are_recovered_by_their_proofs(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        await cluster.settle(2)
        archive = cluster.seats[0].service.archive
        kept = await archive.proofs(2, 1, NODE)
        assert kept is not None
        forged = kept.leaves[0].model_copy(update={"units": 99 * UNIT})
        cluster.wire.nodes = {
            "http://node0.test:9000": kept,
            "http://node1.test:9000": Proofs(window=2, root=kept.root, leaves=(forged,)),
        }
        for index in range(4):
            await cluster.crash(index)
            for path in (tmp_path / f"oracle{index}").glob("oracle.db*"):
                path.unlink()
        cluster.open_all()
        # For two windows nobody signs upon what may still be completed.
        for window in (3, 4):
            await cluster.to_window(window + 1)
            assert await cluster.round(window) is None
        await cluster.settle(5)
        # The first license kept its leaf; the second has what it claimed, which is nothing. Both
        # earn for the windows since, of which all members restarted in the first.
        assert cluster.leaves() == {(1, NODE): 3 * UNIT, (1, NODE + 1): 2 * UNIT}
        report = cluster.sim.books.latest_report
        assert report is not None
        stored = cluster.seats[0].store.report(report.data_hash)
        assert stored is not None
        assert (stored.header.base_window, stored.header.base_root) == (0, bytes(32))
        await cluster.settle(6)
        assert cluster.leaves() == {(1, NODE): 4 * UNIT, (1, NODE + 1): 3 * UNIT}

    async def test_members_share_what_they_recover(self, cluster: Cluster, tmp_path: Path) -> None:
        await cluster.settle(2)
        report = cluster.sim.books.latest_report
        assert report is not None
        kept = await cluster.seats[0].service.archive.proofs(2, 1, NODE)
        assert kept is not None
        cluster.seats[0].store.put_recovered(2, kept.leaves)
        peer = Peer(cluster.member(0), 1, "http://oracle0.test:8600", False)
        await cluster.bases(1).recover_from(report, peer)
        assert cluster.bases(1).partial(report).leaves == {(ESCROW, 1, NODE): UNIT}


class TestAnswers:
    """What a member answers to whom."""

    @pytest.fixture
    async def ready(self, cluster: Cluster) -> Cluster:
        """The cluster in turn 0 of window 2, which member 2 leads."""
        await cluster.to_window(3)
        cluster.sim.time = CLOCK.end(2) + 0.2
        return cluster

    async def proposal(self, cluster: Cluster, turn: int = 0) -> Proposal:
        leader = cluster.seats[2].service
        facts = await leader._facts.round(2)
        told = [
            await cluster.seats[i].service._desk.observation(facts.windows[-1], 4) for i in range(4)
        ]
        return leader._member.proposal(leader._member.draft(facts, turn, told))

    async def test_the_leader_is_told_what_was_observed(self, ready: Cluster) -> None:
        asked = ready.seats[2].service._member.request(2, 0, [2], ready.member(1))
        answer = await ready.seats[1].service.answer_request(asked)
        (found,) = answer.observations
        assert found.verify(DOMAIN) == ready.member(1)
        assert found.figures == (UNIT, UNIT)

    async def test_nobody_else_is(self, ready: Cluster) -> None:
        asked = ready.seats[3].service._member.request(2, 0, [2], ready.member(1))
        with pytest.raises(ForbiddenError, match="leads this turn"):
            await ready.seats[1].service.answer_request(asked)

    async def test_a_request_that_the_leader_did_not_sign_is_refused(self, ready: Cluster) -> None:
        asked = ready.seats[2].service._member.request(2, 0, [2], ready.member(1))
        forged = asked.model_copy(update={"windows": (1, 2)})
        with pytest.raises(ForbiddenError, match="signature"):
            await ready.seats[1].service.answer_request(forged)

    async def test_a_request_to_another_member_is_refused(self, ready: Cluster) -> None:
        asked = ready.seats[2].service._member.request(2, 0, [2], ready.member(0))
        with pytest.raises(ForbiddenError, match="recipient"):
            await ready.seats[1].service.answer_request(asked)

    @pytest.mark.parametrize(("turn", "error"), [(1, NotYetError), (0, ForbiddenError)])
    async def test_only_the_clocks_turn_is_served(
        self, ready: Cluster, turn: int, error: type[Exception]
    ) -> None:
        if turn == 0:
            ready.sim.time = CLOCK.end(2) + 1.6
        leader = (2 + turn) % 4
        asked = ready.seats[leader].service._member.request(2, turn, [2], ready.member(1))
        with pytest.raises(error):
            await ready.seats[1].service.answer_request(asked)

    async def test_a_window_that_is_not_over_here_is_not_told(self, ready: Cluster) -> None:
        """The clock runs on between blocks, the window is over only when a block says so."""
        asked = ready.seats[3].service._member.request(3, 0, [2, 3], ready.member(1))
        ready.sim.time = CLOCK.end(3) + 0.2
        with pytest.raises(NotYetError, match="not over here"):
            await ready.seats[1].service.answer_request(asked)

    async def test_a_settled_window_is_not_told_again(self, ready: Cluster) -> None:
        ready.sim.report(2)
        ready.sim.time = CLOCK.end(2) + 1.0
        asked = ready.seats[2].service._member.request(2, 0, [2], ready.member(1))
        with pytest.raises(RoundOverError):
            await ready.seats[1].service.answer_request(asked)

    async def test_a_proposal_is_signed_once_the_data_is_on_disk(self, ready: Cluster) -> None:
        found = await self.proposal(ready)
        signature = await ready.seats[1].service.answer_proposal(found)
        assert signature.verify(DOMAIN, 4) == ready.member(1)
        assert ready.seats[1].store.report(signature.data_hash) is not None
        assert ready.seats[1].journal.root_of(2, 0, 4) == signature.root
        assert len(ready.seats[1].store.observations(2)) == 4

    async def test_asked_again_it_signs_the_same(self, ready: Cluster) -> None:
        found = await self.proposal(ready)
        first = await ready.seats[1].service.answer_proposal(found)
        assert await ready.seats[1].service.answer_proposal(found) == first

    async def test_a_proposal_of_another_than_the_leader_is_refused(self, ready: Cluster) -> None:
        found = await self.proposal(ready)
        stolen = sign(
            found.model_copy(update={"member": ready.member(3), "signature": b""}),
            DOMAIN,
            key_of("oracle", 3),
        )
        with pytest.raises(ForbiddenError, match="member"):
            await ready.seats[1].service.answer_proposal(stolen)
        with pytest.raises(ForbiddenError, match="signature"):
            await ready.seats[1].service.answer_proposal(
                found.model_copy(update={"signature": stolen.signature})
            )

    async def test_what_differs_is_refused_and_nothing_is_written(self, ready: Cluster) -> None:
        found = await self.proposal(ready)
        header = found.header.model_copy(update={"snapshot_hash": bytes(32)})
        other = ready.seats[2].service._member._sign(
            found.model_copy(update={"header": header, "signature": b""})
        )
        with pytest.raises(RefusedError, match="snapshot_hash"):
            await ready.seats[1].service.answer_proposal(other)
        assert len(ready.seats[1].journal) == 0

    async def test_a_turn_that_ends_during_the_check_is_not_signed(
        self, ready: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = await self.proposal(ready)
        member = ready.seats[1].service._member
        real = member.check

        def slow(*arguments: object) -> object:
            ready.sim.time = CLOCK.end(2) + 1.7
            return real(*arguments)  # type: ignore[arg-type] # as they came

        monkeypatch.setattr(member, "check", slow)
        with pytest.raises(ForbiddenError, match="by now"):
            await ready.seats[1].service.answer_proposal(found)
        assert len(ready.seats[1].journal) == 0

    async def test_an_oracle_without_a_seat_signs_nothing(self, ready: Cluster) -> None:
        found = await self.proposal(ready)
        ready.sim.log(committee.SeatRemoved(1, 2, ready.member(1), 5))
        ready.sim.time = CLOCK.end(2) + 1.0
        with pytest.raises(ForbiddenError, match="no seat"):
            await ready.seats[1].service.answer_proposal(found)
        assert not ready.seats[1].service.status.seated

    async def test_signatures_of_a_quorum_are_taken(self, ready: Cluster) -> None:
        found = await self.proposal(ready)
        signatures = self._signed(ready, found, [0, 1, 3])
        ready.seats[1].service.take_signatures(signatures)
        assert ready.seats[1].service.status.ready == 2

    @pytest.mark.parametrize("signers", [[0, 1], [0, 1, 9]])
    async def test_others_are_refused(self, ready: Cluster, signers: list[int]) -> None:
        found = await self.proposal(ready)
        with pytest.raises(RefusedError, match="no quorum"):
            ready.seats[1].service.take_signatures(self._signed(ready, found, signers))

    async def test_those_of_another_epoch_too(self, ready: Cluster) -> None:
        found = await self.proposal(ready)
        signatures = self._signed(ready, found, [0, 1, 3], epoch=3)
        with pytest.raises(RefusedError, match="signatures"):
            ready.seats[1].service.take_signatures(signatures)

    def _signed(
        self, cluster: Cluster, found: Proposal, signers: list[int], epoch: int = 4
    ) -> Signatures:
        from workdeed.protocol.eip712 import report_digest
        from workdeed.protocol.report import data_hash, decode_leaves, report_tree

        header = found.header
        root = report_tree(decode_leaves(found.leaves)).root
        digest = report_digest(DOMAIN, header.window, header.turn, root, data_hash(header), epoch)
        ordered = sorted(signers, key=lambda one: oracle(one).address.lower())
        return Signatures(
            header=header,
            root=root,
            signatures=tuple(oracle(one).sign_digest(digest) for one in ordered),
        )


class TestEpochs:
    async def test_a_change_of_seats_is_followed_by_signatures_of_the_new_epoch(
        self, tmp_path: Path
    ) -> None:
        cluster = Cluster(tmp_path, 5, sim=with_job(Sim(members=5)))
        cluster.open_all()
        await cluster.settle(2)
        await cluster.to_window(4)
        cluster.sim.log(committee.SeatRemoved(1, 2, cluster.member(1), 6))
        found = await cluster.round(3)
        assert found is not None
        assert len(check_signatures(found, 6)) == 4
        cluster.accept(found)
        assert cluster.leaves() == {(1, NODE): 2 * UNIT, (1, NODE + 1): 2 * UNIT}
        await cluster.close()


class TestSubmission:
    async def test_members_submit_one_after_the_other(self, cluster: Cluster) -> None:
        await cluster.to_window(3)
        assert await cluster.round(2) is not None
        began = cluster.sim.time
        offers: list[set[int]] = []
        for tenth in range(80):
            cluster.sim.time = began + tenth / 10
            now = {i for i, seat in cluster.seats.items() if seat.service.submission()}
            offers += [now] if not offers or offers[-1] != now else []
        assert offers == [{2}, {2, 3}, {0, 2, 3}, {0, 1, 2, 3}]

    async def test_nothing_is_submitted_twice(self, cluster: Cluster) -> None:
        await cluster.settle(2)
        assert cluster.complete() is None

    async def test_a_pending_report_is_waited_for(self, cluster: Cluster) -> None:
        await cluster.to_window(3)
        found = await cluster.round(2)
        assert found is not None
        cluster.sim.advance(CLOCK.end(3) - 1)
        cluster.accept(found)
        await cluster.turn(3, 0)
        assert cluster.complete() is None  # it is, but the contract would not take it yet
        ready = {seat.service.status.ready for seat in cluster.seats.values()}
        assert ready == {3}
        pending = cluster.sim.books.latest_report
        assert pending is not None
        cluster.sim.advance(pending.final_at)
        found = cluster.complete()
        assert found is not None
        cluster.accept(found)


class TestMeasuring:
    async def test_the_prober_is_told_whom_to_probe(self, cluster: Cluster) -> None:
        await cluster.to_window(2)
        seat = cluster.seats[0]
        await seat.service.tick()
        assert seat.prober.watched == 2
        assert [one.license_id for one in seat.prober.targets] == [NODE, NODE + 1]
        assert seat.prober.targets[0].node == account("node", 0)

    async def test_a_clock_that_is_off_makes_the_window_unknown(self, cluster: Cluster) -> None:
        await cluster.to_window(3)
        seat = cluster.seats[0]
        seat.service._measuring._wall = lambda: float(cluster.sim.head.timestamp + 37)
        await seat.service.tick()
        assert "differ by 37 s" in seat.prober.reasons[3]

    async def test_a_chain_that_nobody_looked_at_makes_the_windows_unknown(
        self, cluster: Cluster
    ) -> None:
        await cluster.to_window(3)
        seat = cluster.seats[0]
        cluster.sim.to_window(4)
        seat.service._measuring._looked_at = cluster.sim.time - 37
        await seat.service.tick()
        assert set(seat.prober.reasons) == {1, 3, 4}
        assert "not read for 37 s" in seat.prober.reasons[3]

    async def test_a_chain_that_cannot_be_read_makes_the_window_unknown(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await cluster.to_window(3)
        seat = cluster.seats[0]
        cluster.sim.to_window(4)

        async def broken(_: int) -> None:
            raise RpcUnavailable("http://rpc.test")

        monkeypatch.setattr(seat.view, "snapshot", broken, raising=False)
        with pytest.raises(RpcUnavailable):
            await seat.service.tick()
        assert 4 in seat.prober.reasons

    async def test_long_sleeps_are_caught_up_within_bounds(self, cluster: Cluster) -> None:
        cluster.sim.mine(CLOCK.start(500))
        await cluster.seats[0].service.tick()
        assert cluster.seats[0].service.status.observed == 499
        assert len(cluster.seats[0].prober.closed) <= 64

    async def test_without_a_seat_no_evidence_stays_open(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        """It measures on, for the day on which it gets one, and is never asked to observe."""
        cluster.sim.log(committee.SeatRemoved(1, 2, cluster.member(1), 5))
        seat, answer = cluster.seats[1], answer_of(NODE)
        evidence = seat.service._evidence
        for window in (2, 3, 4):
            await cluster.to_window(window)
            evidence.add(window, answer)
        await cluster.to_window(5)
        assert seat.prober.closed == [2, 3, 4]
        assert evidence._open == {}
        assert [evidence.count(window, 9) for window in (2, 3, 4)] == [1, 1, 1]
        cluster.sim.report(200, bytes(32))
        await seat.service.tick()
        assert list((tmp_path / "oracle1" / "evidence").iterdir()) == []


class TestStrikes:
    async def test_they_follow_from_accepted_reports(self, cluster: Cluster) -> None:
        for window in (2, 3, 4):
            for index in range(4):
                cluster.figures[index, window, PAIR] = 0
            await cluster.settle(window)
            strikes = await cluster.seats[0].service.strikes(cluster.sim.books, 5)
            assert strikes == {(1, NODE): window - 2, (1, NODE + 1): 0}

    async def test_a_vetoed_report_counts_for_nothing(self, cluster: Cluster) -> None:
        for window in (2, 3, 4):
            for index in range(4):
                cluster.figures[index, window, PAIR] = 0
            await cluster.settle(window)
        cluster.sim.veto(4)
        strikes = await cluster.seats[0].service.strikes(cluster.sim.books, 5)
        assert strikes[1, NODE] == 1

    async def test_a_member_that_lacks_the_data_blames_nobody(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        for window in (2, 3, 4):
            for index in range(4):
                cluster.figures[index, window, PAIR] = 0
            await cluster.settle(window)
        await cluster.crash(1)
        for path in (tmp_path / "oracle1").glob("oracle.db*"):
            path.unlink()
        seat = cluster.open(1)
        assert (await seat.service.strikes(cluster.sim.books, 5))[1, NODE] == 0


class TestArchive:
    async def test_reports_and_proofs_are_served(self, cluster: Cluster) -> None:
        found = await cluster.settle(2)
        archive = cluster.seats[1].service.archive
        report = await archive.report(2)
        assert report is not None
        report.check_pins()
        proofs = await archive.proofs(2, 1, NODE)
        assert proofs is not None
        proofs.check(found.root)
        assert proofs.leaves[0].units == UNIT
        assert await archive.proofs(2, 1, 999) is None
        assert await archive.proofs(3, 1, NODE) is None
        assert await archive.report(3) is None

    async def test_a_report_that_is_not_accepted_is_not_served(self, cluster: Cluster) -> None:
        await cluster.to_window(3)
        assert await cluster.round(2) is not None
        assert await cluster.seats[1].service.archive.report(2) is None

    async def test_a_vetoed_report_is_not_served(self, cluster: Cluster) -> None:
        await cluster.settle(2)
        cluster.sim.veto(2)
        assert await cluster.seats[1].service.archive.report(2) is None

    async def test_observations_are_served_once_their_round_is_over(self, cluster: Cluster) -> None:
        archive = cluster.seats[1].service.archive
        with pytest.raises(NotYetError):
            await archive.observations(2)
        await cluster.settle(2)
        with pytest.raises(NotYetError):  # it may still be vetoed
            await archive.observations(2)
        report = cluster.sim.books.latest_report
        assert report is not None
        cluster.sim.advance(report.final_at)
        found = await archive.observations(2)
        assert found is not None
        assert len(found.observations) == 4

    async def test_not_while_a_pair_is_open(self, cluster: Cluster) -> None:
        for index in (0, 1):
            cluster.figures[index, 2, PAIR] = UNKNOWN
        await cluster.settle(2)
        report = cluster.sim.books.latest_report
        assert report is not None
        cluster.sim.advance(report.final_at)
        with pytest.raises(NotYetError, match="open"):
            await cluster.seats[1].service.archive.observations(2)
