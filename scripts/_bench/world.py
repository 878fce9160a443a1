"""A network of any size as the chain shows it: licenses, jobs and placements, made of events.

Oracle and simulated nodes are processes of their own; both derive it from the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scripts._bench.process import BenchError
from workdeed.chain.bindings import committee, escrow, licenses, tariff
from workdeed.chain.bindings.codec import Event, LoggedEvent
from workdeed.chain.history import History
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Workload
from workdeed.protocol.signing import address_of, to_checksum
from workdeed.protocol.windows import WindowClock

CHAIN_ID = 31_337
CLOCK = WindowClock(genesis=1_000_000, window=86_400)
WINDOW = 2
"""The window that is measured; all jobs serve from window 1 on."""
SPEC_HASH = keccak(b"bench spec")
ESCROW = to_checksum(keccak(b"bench escrow")[12:])
DOMAIN = Domain(COMMITTEE_DOMAIN, CHAIN_ID, to_checksum(keccak(b"bench committee")[12:]))

SLOTS = 10
"""Licenses of one job."""
ENDING = 10
"""Every so many jobs, one has `WINDOW` as its last window and gets a leaf of its own."""
SICK = 100
"""Every so many nodes, one says that its workloads are not healthy."""
FIRST_NODE = 1_001
"""License of the first node; members have 1, 2, ..."""
PRICE = 1_000_000


def key_of(role: str, index: int) -> bytes:
    """Return a key that is worth nothing: the hash of its own name."""
    return keccak(f"bench {role} {index}".encode())


@dataclass(frozen=True)
class World:
    """The size of a network, and what follows from it.

    Attributes:
        nodes: how many there are.
        placements: pairs (job, license) in force: a multiple of `nodes` and of `SLOTS`.
        members: seats of the committee.

    """

    nodes: int
    placements: int
    members: int = 4

    def __post_init__(self) -> None:
        if self.nodes < SLOTS or self.placements % self.nodes or self.placements % SLOTS:
            raise BenchError(
                f"placements: {self.placements} must be a multiple of {SLOTS} and of nodes, and"
                f" nodes at least {SLOTS}"
            )

    @property
    def jobs(self) -> int:
        """How many jobs there are; they count from 1."""
        return self.placements // SLOTS

    def licenses_of(self, job_id: int) -> tuple[int, ...]:
        """Return the licenses that serve a job, ascending."""
        first = (job_id - 1) * SLOTS
        return tuple(sorted(FIRST_NODE + (first + at) % self.nodes for at in range(SLOTS)))

    def jobs_by_node(self) -> list[list[int]]:
        """Return the jobs of every node, ascending."""
        found: list[list[int]] = [[] for _ in range(self.nodes)]
        for job_id in range(1, self.jobs + 1):
            for license_id in self.licenses_of(job_id):
                found[license_id - FIRST_NODE].append(job_id)
        return found

    def is_sick(self, index: int) -> bool:
        """Tell whether a node says that its workloads are not healthy."""
        return index % SICK == SICK - 1

    def workloads(self, index: int, jobs: list[int]) -> tuple[Workload, ...]:
        """Return what a node lists: workloads without a port, so that its word is all there is."""
        return tuple(
            Workload(
                escrow=ESCROW,
                job_id=job_id,
                revision=0,
                spec_hash=SPEC_HASH,
                commit="",
                state="running",
                healthy=not self.is_sick(index),
                port=None,
            )
            for job_id in jobs
        )

    def history(self, ports: list[int]) -> History:
        """Return what the chain logged before window 1, each node announced at one of `ports`."""
        history = History(ESCROW, 0)
        history.extend(logged(self._events(ports), 1), 1)
        return history

    def _events(self, ports: list[int]) -> Iterator[Event]:
        yield tariff.ClassSet(1, PRICE, 1_000, 1_000, 1_000, False)
        yield tariff.PolicyAdded(1, 500, 1_000, 500, 5_000, 0, False, False, 5_000, 3_000)
        for index in range(self.members):
            owner, signer = address_of(key_of("owner", index)), address_of(key_of("member", index))
            yield licenses.LicenseIssued(index + 1, owner, licenses.ORACLE)
            yield committee.SeatAdded(index, index + 1, signer, index + 1)
        owner = address_of(key_of("operator", 0))
        for index, port in enumerate(ports):
            license_id = FIRST_NODE + index
            yield licenses.LicenseIssued(license_id, owner, licenses.NODE)
            yield licenses.BondedSet(license_id, True)
            yield licenses.NodeLinked(license_id, address_of(key_of("node", index)), owner)
            yield licenses.ProfileSet(license_id, bytes(32), f"http://127.0.0.1:{port}")
        for job_id in range(1, self.jobs + 1):
            yield from self._job(job_id)

    def _job(self, job_id: int) -> Iterator[Event]:
        windows = WINDOW if job_id % ENDING == 0 else 50
        yield escrow.JobOpened(
            job_id=job_id,
            payer=address_of(key_of("payer", 0)),
            spec_hash=SPEC_HASH,
            kind=escrow.SERVICE,
            class_id=1,
            policy_version=1,
            price=PRICE,
            slots=SLOTS,
            min_slots=SLOTS,
            windows=windows,
            deposit=PRICE * SLOTS * windows,
        )
        yield escrow.Placed(job_id, 0, 0, 0, 1 + windows, (), self.licenses_of(job_id))


def logged(events: Iterable[Event], block: int) -> list[LoggedEvent]:
    """Return events as the logs of one block before window 1."""
    return [
        LoggedEvent(
            event=event,
            address=ESCROW,
            block=block,
            block_hash=keccak(b"bench block %d" % block),
            timestamp=CLOCK.genesis - 1,
            tx_hash=keccak(b"bench transaction"),
            log_index=index,
        )
        for index, event in enumerate(events)
    ]
