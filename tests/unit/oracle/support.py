"""A chain in memory for the oracle's tests: blocks, events and books, one block a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from workdeed.chain.bindings import committee, escrow, licenses, tariff
from workdeed.chain.bindings.codec import Event, LoggedEvent
from workdeed.chain.books import Books
from workdeed.chain.history import History
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import Head
from workdeed.oracle.errors import NotYetError
from workdeed.oracle.settings import RoundRules
from workdeed.oracle.snapshots import Snapshot
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import EMPTY_ROOT
from workdeed.protocol.signing import address_of, to_checksum
from workdeed.protocol.windows import WindowClock

CHAIN_ID = 31337
GENESIS = 1_000_000
WINDOW = 12
CHALLENGE = 3
ESCROW = to_checksum(keccak(b"test escrow")[12:])
DOMAIN = Domain(COMMITTEE_DOMAIN, CHAIN_ID, to_checksum(keccak(b"test committee")[12:]))
CLOCK = WindowClock(GENESIS, WINDOW)
RULES = RoundRules(turn_seconds=1.5, open_windows=2)
SPEC_HASH = keccak(b"test spec")
FIRST_NODE = 101
"""License of the first node; oracles have 1, 2, ..."""


def key_of(role: str, index: int = 0) -> bytes:
    """Return the private key of a role."""
    return keccak(f"test {role} {index}".encode())


def oracle(index: int) -> LocalSigner:
    """Return the signer of an oracle."""
    return LocalSigner(key_of("oracle", index))


def account(role: str, index: int = 0) -> str:
    """Return the address of a role."""
    return address_of(key_of(role, index))


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until a condition holds."""
    while not condition():  # noqa: ASYNC110 - the tests' time stands still meanwhile
        await asyncio.sleep(0)


@dataclass
class Sim:
    """A chain. Blocks come a second apart unless told otherwise.

    Attributes:
        time: the chain's time between blocks, as members take it.

    """

    members: int = 4
    nodes: int = 4
    sla_floor_bps: int = 0
    blocks: list[Head] = field(default_factory=list)
    time: float = 0.0
    fork: int = 0

    def __post_init__(self) -> None:
        self.history = History(ESCROW, 0)
        self._transactions = count(1)
        self.mine(GENESIS - 1)
        self.mine(GENESIS, *self._beginning())

    def _beginning(self) -> list[Event]:
        events: list[Event] = [
            tariff.ClassSet(1, 1_000, 1_000, 1_000, 1_000, False),
            tariff.PolicyAdded(1, 500, 500, 500, self.sla_floor_bps, 0, False, False, 0, 0),
        ]
        for index in range(self.members):
            owner, signer = account("oracle owner", index), oracle(index).address
            events.append(licenses.LicenseIssued(index + 1, owner, licenses.ORACLE))
            url = f"http://oracle{index}.test:8600"
            events.append(licenses.ProfileSet(index + 1, bytes(32), url))
            events.append(committee.SeatAdded(index, index + 1, signer, index + 1))
        for index in range(self.nodes):
            owner, node = account("operator", index), account("node", index)
            number = FIRST_NODE + index
            events.append(licenses.LicenseIssued(number, owner, licenses.NODE))
            events.append(licenses.BondedSet(number, True))
            events.append(licenses.NodeLinked(number, node, owner))
            url = f"http://node{index}.test:9000"
            events.append(licenses.ProfileSet(number, bytes(32), url))
        return events

    @property
    def head(self) -> Head:
        return self.blocks[-1]

    @property
    def books(self) -> Books:
        return self.history.tip

    @property
    def window(self) -> int:
        """The window of the head."""
        return CLOCK.at(self.head.timestamp)

    def mine(self, timestamp: int, *events: Event) -> Head:
        """Add a block."""
        number = len(self.blocks)
        block_hash = keccak(b"block %d %d" % (number, self.fork))
        self.blocks.append(Head(number, block_hash, timestamp))
        logged = [
            LoggedEvent(
                event=event,
                address=ESCROW,
                block=number,
                block_hash=block_hash,
                timestamp=timestamp,
                tx_hash=keccak(b"tx %d" % next(self._transactions)),
                log_index=index,
            )
            for index, event in enumerate(events)
        ]
        self.history.extend(logged, number)
        self.time = float(timestamp)
        return self.head

    def log(self, *events: Event) -> Head:
        """Add a block with events, a second after the last."""
        return self.mine(self.head.timestamp + 1, *events)

    def advance(self, timestamp: int) -> Head:
        """Add blocks up to and with one at `timestamp`."""
        while self.head.timestamp < timestamp:
            self.mine(self.head.timestamp + 1)
        return self.head

    def to_window(self, window: int) -> Head:
        """Add blocks up to the first of `window`."""
        return self.advance(CLOCK.start(window))

    def open_job(self, job_id: int, *, slots: int = 1, windows: int = 4) -> Head:
        opened = escrow.JobOpened(
            job_id=job_id,
            payer=account("payer"),
            spec_hash=SPEC_HASH,
            kind=escrow.SERVICE,
            class_id=1,
            policy_version=1,
            price=1_000,
            slots=slots,
            min_slots=1,
            windows=windows,
            deposit=1_000 * slots * windows,
        )
        return self.log(opened)

    def place(self, job_id: int, assign: Sequence[int] = (), release: Sequence[int] = ()) -> Head:
        """Place licenses; they serve from the next window on."""
        job = self.books.jobs[job_id]
        end = job.end or self.window + 1 + job.funded_units // (job.slots * 10_000)
        placed = escrow.Placed(
            job_id, job.round, self.window, job.revision, end, tuple(release), tuple(assign)
        )
        return self.log(placed)

    def claim(self, job_id: int, license_id: int, units: int) -> Head:
        return self.log(escrow.Claimed(job_id, license_id, account("operator"), units, 0))

    def report(
        self,
        window: int,
        root: bytes = EMPTY_ROOT,
        *,
        data_hash: bytes = bytes(32),
        turn: int = 0,
        signers: int = 0,
    ) -> Head:
        """Accept a report in the next block."""
        final_at = self.head.timestamp + 1 + CHALLENGE
        submitted = committee.ReportSubmitted(
            window, account("anyone"), turn, root, data_hash, signers, final_at
        )
        return self.log(submitted)

    def veto(self, window: int) -> Head:
        now = CLOCK.at(self.head.timestamp + 1)
        return self.log(committee.ReportVetoed(window, account("guardian"), now, bytes(32)))


@dataclass
class View:
    """The chain as one member reads it, `lag` blocks and `skew` seconds behind."""

    sim: Sim
    lag: int = 0
    skew: float = 0.0

    @property
    def windows(self) -> WindowClock:
        return CLOCK

    @property
    def head(self) -> Head:
        return self.sim.blocks[max(0, len(self.sim.blocks) - 1 - self.lag)]

    @property
    def books(self) -> Books:
        return self.sim.history.at(self.head.number)

    def now(self) -> float:
        return self.sim.time - self.skew

    async def snapshot(self, before: int) -> Snapshot:
        if self.head.timestamp < before:
            raise NotYetError("not settled yet")
        found = [one for one in self.sim.blocks if one.timestamp < before][-1]
        return Snapshot(found, self.sim.history.at(found.number))


def with_job(sim: Sim, windows: int = 20) -> Sim:
    """Return a chain with a job of two licenses that serves from window 2 on."""
    sim.open_job(1, slots=2, windows=windows)
    sim.place(1, [FIRST_NODE, FIRST_NODE + 1])
    return sim
