"""Lying oracles: committees in memory, up to f of whose members lie, equivocate, or fail.

Whole oracles run rounds over a chain in memory. Whatever the faulty ones do, every window has to be
reported, and what each license gets for it has to lie between two figures of honest members.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tests.chaos.twofaced import Evidence, TwoFacedPeers
from tests.unit.oracle.cluster import Cluster, FakePeers
from tests.unit.oracle.support import DOMAIN, RULES, Sim, oracle, with_job
from workdeed.oracle.peers import Peers
from workdeed.oracle.round import RoundFacts
from workdeed.protocol.figures import UNIT, Pair
from workdeed.protocol.quorum import faults

SIZES = (4, 5, 7)
WINDOWS = 3
KINDS = ("lying", "silent", "deaf", "slow", "crashing", "equivocating")
"""What a faulty member does: reports other figures than it measured, answers nobody, answers only
questions for observations, says "not yet" at first, is killed in each window, or proposes two
reports in each turn that it leads."""

Units = Mapping[tuple[int, int], int]
"""Cumulative units by job and license."""


@dataclass
class Committee:
    """One committee and what is wrong with its members.

    Attributes:
        seed: all chance follows from it.
        folder: holds the members' files.
        done: how many faults of each kind.
        windows: how many windows it lives through.
        wanted: windows and licenses that were to be settled.
        wrong: a sentence for each window or license that was not settled as it must be.

    """

    seed: int
    folder: Path
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    wanted: int = 0
    windows: int = WINDOWS

    def __post_init__(self) -> None:
        self._luck = random.Random(self.seed)
        self._figures: dict[tuple[int, int, Pair], int] = {}
        self.size = size = self._luck.choice(SIZES)
        self._cluster: Any = Cluster(self.folder, size, sim=with_job(Sim(members=size)))
        drawn = self._luck.sample(range(size), self._luck.randint(1, faults(size)))
        self.faulty = {index: self._luck.choice(KINDS) for index in drawn}
        self._cluster.measure = self._measure
        self._cluster.peers_of = self._peers_of
        self._two_faced: list[TwoFacedPeers] = []

    async def play(self) -> None:
        """Live through some windows."""
        cluster = self._cluster
        first = cluster.sim.window + 1
        try:
            cluster.open_all()
            for window in range(first, first + self.windows):
                await self._settle(window)
        finally:
            await cluster.close()
        found = [text for peers in self._two_faced for text in peers.betrayed]
        self.wrong += [f"committee {self.seed}: {text}" for text in found]

    async def _settle(self, window: int) -> None:
        cluster, before = self._cluster, self._units()
        for index, kind in self.faulty.items():
            await self._fail(index, kind)
        await cluster.to_window(window + 1)
        self.wanted += 1
        found = await cluster.round(window, turns=3 * cluster.n)
        if found is None:
            self.wrong.append(f"committee {self.seed}: window {window} was not reported")
            return
        cluster.accept(found)
        self.wrong += self._outside(window, before, self._units())

    async def _fail(self, index: int, kind: str) -> None:
        cluster = self._cluster
        member = cluster.member(index)
        if kind == "equivocating":
            return  # it does so by itself whenever it leads
        self.done[kind] += 1
        if kind == "silent":
            cluster.wire.silent.add(member)
        elif kind == "deaf":
            cluster.wire.deaf.add(member)
        elif kind == "slow":
            cluster.wire.not_yet[member] = self._luck.randint(1, 6)
        elif kind == "crashing":
            await cluster.crash(index)
            cluster.open(index)

    def _peers_of(self, member: str) -> Peers:
        """Return how a member reaches the others, and with what it proposes."""
        cluster = self._cluster
        honest = FakePeers(member, cluster.wire)
        kinds = {cluster.member(index): kind for index, kind in self.faulty.items()}
        if kinds.get(member) != "equivocating":
            return cast("Peers", honest)
        index = next(one for one in self.faulty if cluster.member(one) == member)

        async def facts(window: int) -> RoundFacts:
            found: RoundFacts = await cluster.seats[index].service._facts.round(window)
            return found

        peers = TwoFacedPeers(
            honest, oracle(index), DOMAIN, RULES, facts, self._luck, self._note_evidence
        )
        self._two_faced.append(peers)
        return peers

    def _note_evidence(self, evidence: Evidence) -> None:
        """Count a turn in which two roots were signed; what is told of it must prove it."""
        self.done["equivocating"] += 1
        one, other = (half.verify(DOMAIN, evidence.epoch) for half in evidence[3:])
        assert one == other
        assert evidence.one.root != evidence.other.root

    def _measure(self, index: int) -> Callable[[int, Pair], int]:
        """Return what a member reports: honest ones differ a little, liars say what they like."""

        def measure(window: int, pair: Pair) -> int:
            draw = random.Random(f"{self.seed} {index} {window} {pair.license_id}")
            if self.faulty.get(index) == "lying":
                return draw.choice((0, UNIT, draw.randint(0, UNIT)))
            figure = draw.randint(UNIT * 7 // 10, UNIT * 9 // 10)
            self._figures[index, window, pair] = figure
            return figure

        return measure

    def _units(self) -> Units:
        if self._cluster.sim.books.latest_report is None:
            return {}
        for index in self._cluster.seats:
            try:
                found: Units = self._cluster.leaves(index)
            except AssertionError:
                continue  # this member took no part in the latest report
            return found
        raise AssertionError("no member has the data of a report that a quorum signed")

    def _outside(self, window: int, before: Units, after: Units) -> list[str]:
        """Return a sentence for each license whose figure no two honest members enclose."""
        honest: dict[Pair, list[int]] = {}
        for (_, at, pair), figure in self._figures.items():
            if at == window:
                honest.setdefault(pair, []).append(figure)
        wrong = []
        self.wanted += len(honest)
        for pair, figures in honest.items():
            key = pair.job_id, pair.license_id
            got = after.get(key, 0) - before.get(key, 0)
            if not min(figures) <= got <= max(figures):
                wrong.append(
                    f"committee {self.seed}: license {pair.license_id} got {got} units for window"
                    f" {window}, honest members saw {min(figures)} to {max(figures)}"
                )
        return wrong
