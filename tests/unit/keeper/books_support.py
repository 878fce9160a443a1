"""Builds books out of events, as the chain would log them, for tests of duties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workdeed.chain.bindings import committee, desk, escrow, licenses, registry, tariff
from workdeed.chain.bindings.codec import Event, LoggedEvent
from workdeed.chain.books import Books
from workdeed.chain.history import History
from workdeed.chain.rpc import Head
from workdeed.keeper.reportdata import ReportData
from workdeed.keeper.view import View
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import EMPTY_ROOT
from workdeed.protocol.report import Leaf, ReportHeader, report_tree
from workdeed.protocol.signing import address_of, to_checksum
from workdeed.protocol.windows import WindowClock

GENESIS, WINDOW, CHALLENGE = 1_000, 100, 10
CALENDAR = WindowClock(genesis=GENESIS, window=WINDOW)
ESCROW = to_checksum(b"\xee" * 20)
PAYER = to_checksum(b"\xaa" * 20)
OPERATORS = [to_checksum(bytes([index]) * 20) for index in range(1, 5)]
ISSUER = to_checksum(b"\x1f" * 20)
MEMBER_KEYS = [keccak(f"member {index}".encode()) for index in range(4)]
MEMBERS = [address_of(key) for key in MEMBER_KEYS]
PRICE = 10_000
"""Base units for a slot and window, so that a unit costs one."""


@dataclass
class Chain:
    """A chain of events, one block each, with the time that tests set."""

    timestamp: int = GENESIS
    heads: list[Head] = field(default_factory=list)
    events: list[LoggedEvent] = field(default_factory=list)
    books: Books = field(default_factory=lambda: Books(ESCROW))

    def log(self, event: Event) -> None:
        """Log an event in a new block."""
        self.mine()
        logged = LoggedEvent(
            event=event,
            address=ESCROW,
            block=self.block,
            block_hash=self.hash_of(self.block),
            timestamp=self.timestamp,
            tx_hash=keccak(b"tx %d" % self.block),
            log_index=0,
        )
        self.events.append(logged)
        self.books = self.books.copy()
        self.books.apply(logged)

    def mine(self) -> None:
        """Add a block."""
        number = self.block + 1
        self.heads.append(Head(number, self.hash_of(number), self.timestamp))

    @property
    def block(self) -> int:
        """The last block."""
        return len(self.heads)

    @staticmethod
    def hash_of(block: int) -> bytes:
        """Return the hash of a block."""
        return keccak(b"block %d" % block)

    def to_window(self, window: int, second: int = 0) -> None:
        """Go to a second of a window."""
        self.timestamp = CALENDAR.start(window) + second

    @property
    def window(self) -> int:
        """The current window."""
        return CALENDAR.at(self.timestamp)

    def view(self) -> View:
        """Return the view of now."""
        head = Head(number=self.block, hash=self.hash_of(self.block), timestamp=self.timestamp)
        return View(self.books, self.block, head, CALENDAR, version=len(self.events))

    def history(self) -> History:
        """Return all events as a history."""
        history = History(ESCROW, 1)
        history.extend(self.events, self.block)
        return history

    # What happens on chain.

    def found(self, members: int = 1, price: int = PRICE) -> None:
        """Set a class and a policy and seat members, whose licenses are 1001 and so on."""
        self.log(tariff.ClassSet(1, price, 500, 512, 1_024, False))
        self.log(tariff.PolicyAdded(1, 500, 1_000, 500, 5_000, 0, False, False, 5_000, 3_000))
        for seat in range(members):
            self.log(licenses.LicenseIssued(1_001 + seat, OPERATORS[0], licenses.ORACLE))
            self.log(committee.SeatAdded(seat, 1_001 + seat, MEMBERS[seat], seat + 1))

    def license(self, license_id: int, endpoint: str = "http://node", owner: int = 0) -> None:
        """Issue a node license, link a node and announce where it is."""
        node = to_checksum(license_id.to_bytes(20, "big"))
        owner_address = OPERATORS[owner]
        self.log(licenses.LicenseIssued(license_id, owner_address, licenses.NODE))
        self.log(licenses.BondedSet(license_id, True))
        self.log(licenses.NodeLinked(license_id, node, owner_address))
        self.log(licenses.ProfileSet(license_id, keccak(b"%d" % license_id), endpoint))

    def open_job(
        self,
        job_id: int = 1,
        slots: int = 1,
        windows: int = 10,
        spec: bytes = b"spec",
        kind: int = escrow.SERVICE,
    ) -> None:
        """Open a job whose spec hash is that of `spec`."""
        deposit = PRICE * slots * windows
        self.log(
            escrow.JobOpened(
                job_id, PAYER, keccak(spec), kind, 1, 1, PRICE, slots, slots, windows, deposit
            )
        )

    def place(
        self, job_id: int, assign: Sequence[int], release: Sequence[int] = (), windows: int = 10
    ) -> None:
        """Place licenses; the first placement of a job starts it for `windows`."""
        job = self.books.jobs[job_id]
        end = job.end or self.window + 1 + windows
        self.log(
            escrow.Placed(
                job_id, job.round, self.window, job.revision, end, tuple(release), tuple(assign)
            )
        )

    def revise(self, job_id: int, spec: bytes) -> None:
        """Replace a spec."""
        revision = self.books.jobs[job_id].revision + 1
        self.log(desk.JobRevised(job_id, revision, self.window, keccak(spec)))

    def claim(self, job_id: int, license_id: int, units: int) -> None:
        """Credit cumulative units."""
        payee = self.books.licenses[license_id].payee
        self.log(escrow.Claimed(job_id, license_id, payee, units, units))

    def close(self, job_id: int, kept: int, attested: bool = True) -> None:
        """Close a job, by a report or without one."""
        kind = escrow.JobClosed if attested else desk.JobClosedUnattested
        self.log(kind(job_id, kept, 0))

    def report(self, window: int, leaves: Sequence[Leaf] = ()) -> ReportData:
        """Accept a report over leaves; it is final `CHALLENGE` later. Return its data."""
        data = report_data(window, leaves)
        header_hash = keccak(data.header.canonical())
        final_at = self.timestamp + CHALLENGE
        root = data.tree.root
        self.log(committee.ReportSubmitted(window, MEMBERS[0], 0, root, header_hash, 1, final_at))
        return data

    def blacklist(self, license_id: int) -> None:
        """Blacklist a license."""
        subject = registry.license_subject(license_id)
        forever = 2**40
        self.log(registry.StandingSet(subject, ISSUER, registry.BLACKLISTED, forever, 1, bytes(32)))

    def bond(self, license_id: int, bonded: bool) -> None:
        """Let the bond of a license reach the minimum, or no longer."""
        self.log(licenses.BondedSet(license_id, bonded))

    def freeze(self, license_id: int) -> None:
        """Freeze a license for a window."""
        subject = registry.license_subject(license_id)
        until = self.timestamp + WINDOW
        self.log(registry.StandingSet(subject, ISSUER, registry.FROZEN, until, 1, bytes(32)))


def leaf(job_id: int, license_id: int, units: int) -> Leaf:
    """Return a leaf of this escrow."""
    return Leaf(ESCROW, job_id, license_id, units)


def report_data(window: int, leaves: Sequence[Leaf]) -> ReportData:
    """Return the data of a report over leaves."""
    ordered = tuple(sorted(leaves, key=lambda one: one.key))
    header = ReportHeader(
        window=window,
        turn=0,
        base_window=0,
        base_root=EMPTY_ROOT,
        snapshot_hash=bytes(32),
        observations=(),
        open=(),
        leaves_hash=keccak(b""),
    )
    return ReportData(header, ordered, report_tree(ordered))
