"""One window of a large network, as the member that leads its round goes through it.

Nodes are simulated by `nodes`; everything on this side is what a keeper runs: the prober over HTTP,
the tallies, the store and the journal on disk, the round. The other members' observations are made
beforehand and come in as bytes. No workload has a port, so that a probe is one request.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts._bench.nodes import hosted, raise_file_limit
from scripts._bench.process import MEGABYTE, BenchError, Figures, answer
from scripts._bench.stages import Stages, per_item
from scripts._bench.world import (
    CLOCK,
    DOMAIN,
    ENDING,
    ESCROW,
    FIRST_NODE,
    WINDOW,
    World,
    key_of,
    logged,
)
from workdeed.chain.bindings import licenses
from workdeed.chain.books import Books, ReportState
from workdeed.chain.keys import LocalSigner
from workdeed.keeper.dispatch import deliveries
from workdeed.oracle.bases import Bases
from workdeed.oracle.committee import Committee
from workdeed.oracle.endpoints import EndpointClient
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.journal import SigningJournal
from workdeed.oracle.judge import Judge
from workdeed.oracle.ledger import ledger_of, service_pairs
from workdeed.oracle.member import Member
from workdeed.oracle.peers import HttpPeers
from workdeed.oracle.prober import Prober
from workdeed.oracle.round import Draft, RoundFacts, WindowFacts
from workdeed.oracle.settings import ProbeSettings, RoundRules
from workdeed.oracle.store import OracleStore
from workdeed.oracle.targets import Target, targets_of
from workdeed.protocol.figures import UNIT
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import leaf_hash, verify
from workdeed.protocol.messages import (
    Answer,
    Observations,
    Proposal,
    ProvenLeaf,
    SignedObservation,
)
from workdeed.protocol.report import Leaf, ReportHeader, data_hash, encode_leaves, report_tree

RULES = RoundRules(turn_seconds=600.0, open_windows=3)
PROBES = ProbeSettings(interval=60.0, timeout=10.0, grace_windows=0)
SAMPLE = 1_000
"""Answers and proofs that are looked at one by one, and proofs that are checked."""
SNAPSHOT_START, SNAPSHOT_END = keccak(b"bench start"), keccak(b"bench end")
EARNED_BEFORE = UNIT
"""Units of every pair in the report that this one builds on."""


@dataclass
class Seat:
    """A member with its files, as `Oracle.open` makes it."""

    folder: Path
    index: int
    stack: ExitStack
    member: Member = field(init=False)
    store: OracleStore = field(init=False)

    def __post_init__(self) -> None:
        signer = LocalSigner(key_of("member", self.index))
        self.store = OracleStore.open(self.folder / "oracle.db")
        self.stack.callback(self.store.close)
        journal = SigningJournal.open(
            self.folder / "signing.journal",
            member=signer.address,
            domain=DOMAIN.separator,
            now=CLOCK.genesis,
        )
        self.stack.callback(journal.close)
        self.member = Member(signer, DOMAIN, CLOCK, RULES, journal, self.store)


@dataclass
class Window:
    """The window under way, in the process of one member.

    Attributes:
        world: the network.
        books: what the chain says.
        folder: where members keep their files.
        stack: closes what is opened.
        stages: what took how long in the leader.
        following: what took how long in a member that is sent its proposal.
        proposal_bytes: the length of that.

    """

    world: World
    books: Books
    folder: Path
    stack: ExitStack
    stages: Stages = field(default_factory=Stages)
    following: Stages = field(default_factory=Stages)
    proposal_bytes: int = 0

    def __post_init__(self) -> None:
        self.leader = Seat(self.folder / "leader", 0, self.stack)
        self.follower = Seat(self.folder / "follower", 1, self.stack)
        self.evidence = EvidenceLog(self.folder / "evidence")
        self.stack.callback(self.evidence.shut)
        self.committee = Committee.of(self.books)
        self.report = put_base(self.world, self.leader.store)

    async def run(self) -> Draft:
        """Go through the window and return the report that comes of it."""
        with self.stages.stage("targets"):
            pairs = service_pairs(self.books, WINDOW)
            facts = WindowFacts(WINDOW, SNAPSHOT_START, pairs)
            targets = targets_of(self.books, self.books, WINDOW)
        async with EndpointClient(allow_private=True) as client:
            prober = await self._probe(client, targets)
            with self.stages.stage("observation"):
                own = self._observe(prober, facts)
            bodies = others_bodies(own, self.world.members)
            bases = Bases(self.leader.store, HttpPeers(client))
        with self.stages.stage("base and ledger"):
            round_facts = self._facts(bases, facts)
        with self.stages.stage("observations of others"):
            observations = [own, *self._take(round_facts, bodies)]
        with self.stages.stage("settlement"):
            draft = self.leader.member.draft(round_facts, 0, observations)
        with self.stages.stage("signing"):
            self.leader.member.sign_report(draft, self.committee.epoch)
        with self.stages.stage("proposal"):
            proposal = self.leader.member.proposal(draft).to_json()
        with self.stages.stage("tree and proofs"):
            proofs = sum(1 for _ in report_tree(draft.settlement.leaves).proofs())
        check(self.world, draft, proofs)
        self.proposal_bytes = len(proposal)
        self.follow(proposal, round_facts, observations)
        return draft

    async def _probe(self, client: EndpointClient, targets: Sequence[Target]) -> Prober:
        prober = Prober(
            client,
            DOMAIN,
            CLOCK,
            lambda: float(CLOCK.start(WINDOW) + 1),
            settings=PROBES,
            evidence=self.evidence,
            specs=lambda _: None,
        )
        with self.stages.stage("targets"):
            prober.watch(WINDOW, SNAPSHOT_START, targets)
        with self.stages.stage("probes and verdicts"):
            await prober.probe_all()
        return prober

    def _observe(self, prober: Prober, facts: WindowFacts) -> SignedObservation:
        tally = prober.close_window(WINDOW, facts.pairs)
        self.evidence.close(WINDOW)
        return self.leader.member.observation(facts, self.committee.epoch, tally)

    def _facts(self, bases: Bases, facts: WindowFacts) -> RoundFacts:
        base = bases.load(self.report)
        if base is None:
            raise BenchError("base: the report before is not in the store")
        return RoundFacts(
            window=WINDOW,
            committee=self.committee,
            base=base,
            snapshot_hash=SNAPSHOT_END,
            ledger=ledger_of(self.books),
            windows=(facts,),
        )

    def _take(self, facts: RoundFacts, bodies: Sequence[bytes]) -> list[SignedObservation]:
        kept: list[SignedObservation] = []
        for body, member in zip(bodies, facts.committee.members[1:], strict=True):
            kept += self.leader.member.keep(facts, Observations.parse(body), member)
        if len(kept) != len(bodies):
            raise BenchError(f"observations: {len(kept)} of {len(bodies)} count")
        return kept

    def follow(
        self, body: bytes, facts: RoundFacts, observations: Sequence[SignedObservation]
    ) -> None:
        """Do what a member does that is sent the proposal; timed apart."""
        member = self.follower.member
        own = [one for one in observations if one.member == member.address]
        with self.following.stage("check"):
            proposal = Proposal.parse(body)
            proposal.verify(DOMAIN)
            draft = member.check(proposal, facts, own)
            member.sign_report(draft, self.committee.epoch)


def put_base(world: World, store: OracleStore) -> ReportState:
    """Keep the report of the window before, in which every pair earned the same."""
    leaves = encode_leaves(
        Leaf(ESCROW, job_id, license_id, EARNED_BEFORE)
        for job_id in range(1, world.jobs + 1)
        for license_id in world.licenses_of(job_id)
    )
    header = ReportHeader(
        window=WINDOW - 1,
        turn=0,
        base_window=0,
        base_root=bytes(32),
        snapshot_hash=SNAPSHOT_START,
        observations=(),
        open=(),
        leaves_hash=keccak(leaves),
    )
    root = keccak(b"bench base")
    store.put_report(header, root, leaves)
    return ReportState(
        window=header.window,
        turn=0,
        root=root,
        data_hash=data_hash(header),
        signers=0,
        submitter=ESCROW,
        accepted_at=0,
        final_at=0,
        epoch=world.members,
        tx_hash=bytes(32),
    )


def others_bodies(own: SignedObservation, members: int) -> list[bytes]:
    """Return what the other members answer: the same figures, here and there a little lower."""
    chance = random.Random(1)
    bodies = []
    for index in range(1, members):
        signer = LocalSigner(key_of("member", index))
        figures = tuple(
            one - 1 if 0 < one <= UNIT and chance.random() < 0.05 else one for one in own.figures
        )
        changes: dict[str, Any] = {"member": signer.address, "figures": figures, "signature": b""}
        unsigned = own.model_copy(update=changes)
        signature = signer.sign_digest(unsigned.digest(DOMAIN))
        signed = unsigned.model_copy(update={"signature": signature})
        bodies.append(Observations(observations=(signed,)).to_json())
    return bodies


def check(world: World, draft: Draft, proofs: int) -> None:
    """Raise `BenchError` unless the report holds the leaves and units that the world implies."""
    sick = sum(world.is_sick(index) for index in range(world.nodes))
    well = world.placements * (world.nodes - sick) // world.nodes
    ending = world.jobs // ENDING
    leaves = draft.settlement.leaves
    if len(leaves) != world.placements + ending or proofs != len(leaves):
        raise BenchError(f"leaves: {len(leaves)} with {proofs} proofs are not as many as expected")
    earned = draft.settlement.earned
    low, high = min(earned.values()), max(earned.values())
    if len(earned) != well or draft.settlement.open or not UNIT - 1 <= low <= high <= UNIT:
        raise BenchError(f"units: {len(earned)} pairs earned {low} to {high}, not {well} the most")
    tree = report_tree(leaves)
    for leaf in random.Random(1).sample(leaves, min(SAMPLE, len(leaves))):
        hashed = leaf_hash(*leaf)
        if not verify(draft.root, hashed, tree.proof(hashed)):
            raise BenchError(f"proof: that of {leaf} does not lead to the root")


def per_answer(window: Window, targets: Sequence[Target]) -> Figures:
    """Return the CPU microseconds of each step that one answer costs, without the network."""
    stages = Stages()
    bodies = list(islice(window.evidence.answers(WINDOW), SAMPLE))
    with stages.stage("parse"):
        answers = [Answer.parse(body) for body in bodies]
    with stages.stage("verify"):
        for one in answers:
            one.verify(DOMAIN)
    with stages.stage("evidence"):
        for one in answers:
            keccak(one.canonical())
    judge, by_license = Judge(0), {one.license_id: one for one in targets}
    with stages.stage("judge"):
        for one in answers:
            for job in by_license[one.license_id].jobs:
                served = judge.serving(WINDOW, job, one.workloads)
                judge.verdict(WINDOW, job, one.workloads, served)
    return {name: per_item(seconds, len(answers)) for name, seconds in stages.cpu.items()}


async def per_check(ports: Sequence[int]) -> float:
    """Return the CPU microseconds of asking one workload at its port, over a new connection."""
    stages, slots = Stages(), asyncio.Semaphore(PROBES.concurrency)
    asked = ports[:SAMPLE]

    async def ask(client: EndpointClient, port: int) -> None:
        async with slots:
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            if await client.status(origin, "/", seconds=PROBES.timeout) != HTTPStatus.OK:
                raise BenchError("workload: it does not answer")

    async with EndpointClient(allow_private=True) as client:
        with stages.stage("check"):
            await asyncio.gather(*(ask(client, port) for port in asked))
    return per_item(stages.cpu["check"], len(asked))


def per_proof(draft: Draft) -> float:
    """Return the CPU microseconds of one leaf with its proof as a node asks for it."""
    tree = report_tree(draft.settlement.leaves)
    leaves = random.Random(2).sample(draft.settlement.leaves, min(SAMPLE, len(tree)))
    stages = Stages()
    with stages.stage("proof"):
        for leaf in leaves:
            proof = tuple(tree.proof(leaf_hash(*leaf)))
            ProvenLeaf(**leaf._asdict(), proof=proof).to_json()
    return per_item(stages.cpu["proof"], len(leaves))


def window(nodes: int, placements: int, members: int) -> Figures:
    """Go through one window; return seconds and memory."""
    world = World(nodes, placements, members)
    raise_file_limit()
    before = Stages()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="workdeed-bench-")))
        with hosted(world) as hosts:
            with before.stage("books"):
                history = world.history(hosts.ports)
                books = history.tip
            one = Window(world, books, folder, stack)
            draft = asyncio.run(one.run())
            check_us = asyncio.run(per_check(hosts.ports))
        with before.stage("deliveries"):
            deliveries(books, WINDOW)
        with before.stage("one event more"):
            history.extend(logged([licenses.BondedSet(FIRST_NODE, True)], 2), 2)
            _ = history.tip
        targets = targets_of(books, books, WINDOW)
        answered = sum(int(found["answered"]) for found in hosts.figures)
        if answered != nodes:
            raise BenchError(f"probes: {answered} of {nodes} were answered")
        return {
            "nodes": nodes,
            "placements": placements,
            "members": members,
            "window_seconds": round(one.stages.seconds, 2),
            "stages": one.stages.figures(),
            "follow_seconds": round(one.following.seconds, 2),
            "leaves": len(draft.settlement.leaves),
            "proposal_mb": round(one.proposal_bytes / MEGABYTE, 1),
            "evidence_bytes_per_answer": _evidence_bytes(one),
            "books": before.figures(),
            "per_answer_us": per_answer(one, targets),
            "per_check_us": check_us,
            "per_proof_us": per_proof(draft),
            "simulated_nodes": _crowd_figures(hosts.figures),
        }


def _evidence_bytes(window: Window) -> int:
    answers = list(window.evidence.answers(WINDOW))
    return sum(map(len, answers)) // len(answers)


def _crowd_figures(figures: Sequence[Any]) -> Figures:
    return {
        "processes": len(figures),
        "cpu_seconds": round(sum(one["cpu_seconds"] for one in figures), 2),
        "rss_mb": round(sum(one["rss_mb"] for one in figures), 1),
        "sign": True,
    }


if __name__ == "__main__":
    answer(window)
