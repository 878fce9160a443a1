"""Histories of events that the contracts could have logged, for property tests."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from chain_support import BLOCK_SECONDS, FIRST_TIMESTAMP, address, logged
from hypothesis import strategies as st

from workdeed.chain.bindings import committee, desk, escrow, licenses, registry, tariff
from workdeed.chain.bindings.codec import Event, LoggedEvent
from workdeed.protocol.figures import UNIT
from workdeed.protocol.hashing import keccak

WINDOW_BLOCKS = 5
"""Blocks of a window in these histories."""


def window_of(block: int) -> int:
    return block // WINDOW_BLOCKS + 1


def time_of(block: int) -> int:
    return FIRST_TIMESTAMP + block * BLOCK_SECONDS


@dataclass
class Job:
    slots: int
    windows: int
    funded: int
    price: int
    round: int = 0
    revision: int = 0
    revised_in: int = 0
    start: int = 0
    end: int = 0
    cancelled: bool = False
    closed: bool = False
    placed: set[int] = field(default_factory=set)
    released: dict[int, int] = field(default_factory=dict)
    claimed: dict[int, int] = field(default_factory=dict)


@dataclass
class License:
    owner: int
    node: int | None = None


class Script:
    """Writes what contracts log, one act at a time, each drawn from those that are possible."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.block = 0
        self.jobs: dict[int, Job] = {}
        self.licenses: dict[int, License] = {}
        self.seats: dict[int, tuple[int, int]] = {}
        self.epoch = 0
        self.reported = 0
        self.floor = 0
        self.pending: int | None = None

    def act(self) -> list[Event]:
        """Return the events of some act that is possible in this block."""
        acts = [
            name
            for name in dir(self)
            if name.startswith("_act_") and getattr(self, "_can" + name[4:], lambda: True)()
        ]
        chosen = self._data.draw(st.sampled_from(sorted(acts)))
        return list(getattr(self, chosen)())

    def _pick(self, values: list[int]) -> int:
        return self._data.draw(st.sampled_from(sorted(values)))

    def _number(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))

    @property
    def window(self) -> int:
        return window_of(self.block)

    def _open(self) -> list[int]:
        return [
            key
            for key, job in self.jobs.items()
            if not job.cancelled and (job.end == 0 or self.window < job.end)
        ]

    def _ended(self) -> list[int]:
        return [key for key, job in self.jobs.items() if job.end and self.window >= job.end]

    def _act_issue(self) -> Iterator[Event]:
        license_id, owner = len(self.licenses) + 1, self._number(1, 3)
        self.licenses[license_id] = License(owner)
        yield licenses.Transfer(licenses.ZERO_ADDRESS, address(owner), license_id)
        yield licenses.LicenseIssued(license_id, address(owner), licenses.NODE)
        if self._data.draw(st.booleans()):
            yield licenses.BondedSet(license_id, True)

    def _can_link(self) -> bool:
        return any(item.node is None for item in self.licenses.values())

    def _act_link(self) -> Iterator[Event]:
        license_id = self._pick([k for k, v in self.licenses.items() if v.node is None])
        item = self.licenses[license_id]
        item.node = 0x1000 + license_id
        yield licenses.NodeLinked(license_id, address(item.node), address(item.owner))
        yield licenses.ProfileSet(license_id, keccak(b"%d" % self.block), f"http://n{license_id}:1")

    def _can_transfer(self) -> bool:
        return bool(self.licenses)

    def _act_transfer(self) -> Iterator[Event]:
        license_id, owner = self._pick(list(self.licenses)), self._number(1, 3)
        item = self.licenses[license_id]
        yield licenses.Transfer(address(item.owner), address(owner), license_id)
        if item.node is not None:
            yield licenses.NodeUnlinked(license_id, address(item.node))
        yield licenses.PayoutSet(license_id, licenses.ZERO_ADDRESS)
        yield licenses.ProfileSet(license_id, bytes(32), "")
        self.licenses[license_id] = License(owner)

    def _can_bond(self) -> bool:
        return bool(self.licenses)

    def _act_bond(self) -> Iterator[Event]:
        license_id = self._pick(list(self.licenses))
        yield licenses.BondedSet(license_id, self._data.draw(st.booleans()))
        yield licenses.BondPosted(license_id, address(9), self._number(1, 100))

    def _can_pay_out(self) -> bool:
        return bool(self.licenses)

    def _act_pay_out(self) -> Iterator[Event]:
        yield licenses.PayoutSet(self._pick(list(self.licenses)), address(self._number(0, 2)))

    def _act_standing(self) -> Iterator[Event]:
        subject = self._number(1, 3)
        if self.licenses and self._data.draw(st.booleans()):
            subject = registry.license_subject(self._pick(list(self.licenses)))
        until = time_of(self.block + self._number(0, 10))
        yield registry.StandingSet(
            subject, address(99), self._number(0, 3), until, 1, keccak(b"evidence")
        )

    def _act_issuer(self) -> Iterator[Event]:
        yield registry.IssuerSet(address(50), self._data.draw(st.booleans()))

    def _act_attest(self) -> Iterator[Event]:
        expires = time_of(self.block + self._number(1, 10))
        account = address(self._number(1, 3))
        yield registry.Attested(account, address(50), self._number(1, 2), expires, bytes(32))

    def _act_seat(self) -> Iterator[Event]:
        self.epoch += 1
        seat = len(self.seats)
        self.seats[seat] = (100 + self.epoch, 0x2000 + self.epoch)
        license_id, signer = self.seats[seat]
        yield committee.SeatAdded(seat, license_id, address(signer), self.epoch)

    def _can_unseat(self) -> bool:
        return len(self.seats) > 1

    def _act_unseat(self) -> Iterator[Event]:
        self.epoch += 1
        seat = max(self.seats)
        license_id, signer = self.seats.pop(seat)
        yield committee.SeatRemoved(seat, license_id, address(signer), self.epoch)

    def _act_class(self) -> Iterator[Event]:
        yield tariff.ClassSet(self._number(1, 2), self._number(1, 9), 1, 2, 3, False)

    def _act_open(self) -> Iterator[Event]:
        slots, windows, price = self._number(1, 3), self._number(1, 6), self._number(1, 30_000)
        job_id = len(self.jobs) + 1
        funded = slots * windows * UNIT
        self.jobs[job_id] = Job(slots, windows, funded, price)
        yield escrow.JobOpened(
            job_id=job_id,
            payer=address(self._number(1, 3)),
            spec_hash=keccak(b"spec %d" % job_id),
            kind=escrow.SERVICE,
            class_id=1,
            policy_version=1,
            price=price,
            slots=slots,
            min_slots=1,
            windows=windows,
            deposit=price * slots * windows,
        )

    def _placeable(self) -> list[int]:
        return [
            key
            for key in self._open()
            if self.licenses and (self.jobs[key].end == 0 or self.window + 1 < self.jobs[key].end)
        ]

    def _can_place(self) -> bool:
        return bool(self._placeable())

    def _act_place(self) -> Iterator[Event]:
        job_id = self._pick(self._placeable())
        job = self.jobs[job_id]
        free = [
            key
            for key in self.licenses
            if key not in job.placed and job.released.get(key, 0) <= self.reported + 1
        ]
        release = [key for key in sorted(job.placed) if self._data.draw(st.booleans())]
        room = job.slots - len(job.placed) + len(release)
        assign = [key for key in free if self._data.draw(st.booleans())][:room]
        if (not release and not assign) or (job.start == 0 and not assign):
            return
        if job.start == 0:
            job.start, job.end = self.window + 1, self.window + 1 + job.windows
            if self.window + 1 >= job.end:
                return
        yield escrow.Placed(
            job_id=job_id,
            round=job.round,
            window=self.window,
            revision=job.revision,
            end=job.end,
            release=tuple(release),
            assign=tuple(assign),
        )
        job.round += 1
        job.placed = (job.placed - set(release)) | set(assign)
        job.released |= dict.fromkeys(release, self.window + 1)

    def _can_revise(self) -> bool:
        return any(self.jobs[key].revised_in != self.window for key in self._open())

    def _act_revise(self) -> Iterator[Event]:
        ids = [key for key in self._open() if self.jobs[key].revised_in != self.window]
        job_id = self._pick(ids)
        job = self.jobs[job_id]
        job.revision, job.revised_in = job.revision + 1, self.window
        spec = keccak(b"spec %d %d" % (job_id, job.revision))
        yield desk.JobRevised(job_id, job.revision, self.window, spec)

    def _can_extend(self) -> bool:
        return bool(self._open())

    def _act_extend(self) -> Iterator[Event]:
        job_id, windows = self._pick(self._open()), self._number(1, 3)
        job = self.jobs[job_id]
        job.funded += job.slots * windows * UNIT
        job.windows += windows
        job.end += windows if job.end else 0
        deposit = job.price * job.slots * windows
        yield desk.JobExtended(job_id, windows, job.end, job.funded, deposit)

    def _scalable(self) -> list[int]:
        return [
            key
            for key in self._open()
            if self.jobs[key].end == 0 or self.window + 1 < self.jobs[key].end
        ]

    def _can_scale(self) -> bool:
        return bool(self._scalable())

    def _act_scale(self) -> Iterator[Event]:
        job_id = self._pick(self._scalable())
        job = self.jobs[job_id]
        slots = self._pick([n for n in range(1, 5) if n != job.slots])
        left = job.end - self.window - 1 if job.end else job.windows
        before, job.funded = job.funded, job.funded + (slots - job.slots) * left * UNIT
        release = tuple(sorted(job.placed))[: max(0, len(job.placed) - slots)]
        job.slots = slots
        job.placed -= set(release)
        job.released |= dict.fromkeys(release, self.window + 1)
        moved = job.price * (job.funded - before) // UNIT
        yield desk.JobScaled(
            job_id, self.window, slots, job.funded, max(0, moved), max(0, -moved), release
        )

    def _can_cancel(self) -> bool:
        return bool(self._open())

    def _act_cancel(self) -> Iterator[Event]:
        job_id = self._pick(self._open())
        job = self.jobs[job_id]
        kept = 0
        if job.end:
            end = min(job.end, self.window + 1)
            kept = job.funded - job.slots * (job.end - end) * UNIT
            job.end = end
        refund = job.price * job.funded // UNIT - job.price * kept // UNIT
        job.funded, job.cancelled = kept, True
        yield desk.JobCancelled(job_id, job.end, kept, refund)

    def _can_claim(self) -> bool:
        return any(job.placed for job in self.jobs.values())

    def _act_claim(self) -> Iterator[Event]:
        job_id = self._pick([key for key, job in self.jobs.items() if job.placed])
        job = self.jobs[job_id]
        license_id = self._pick(list(job.placed))
        before = job.claimed.get(license_id, 0)
        left = job.funded - sum(job.claimed.values())
        if left <= 0:
            return
        units = before + self._number(1, left)
        job.claimed[license_id] = units
        gross = job.price * units // UNIT - job.price * before // UNIT
        amount = gross - gross // 10
        if self._data.draw(st.booleans()):
            yield escrow.Claimed(job_id, license_id, address(9), units, amount)
            return
        refund, burned = amount // 2, amount // 3
        treasury = amount - refund - burned
        yield escrow.Forfeited(job_id, license_id, address(1), units, refund, burned, treasury)

    def _can_close(self) -> bool:
        return bool(self._ended())

    def _act_close(self) -> Iterator[Event]:
        job_id = self._pick(self._ended())
        job = self.jobs[job_id]
        if not job.closed and self._data.draw(st.booleans()):
            yield desk.CloseRequested(job_id, self.window, False)
        kept = max(sum(job.claimed.values()), self._number(0, job.funded))
        refund = job.price * job.funded // UNIT - job.price * kept // UNIT
        job.funded, job.closed = kept, True
        if self._data.draw(st.booleans()):
            yield escrow.JobClosed(job_id, kept, refund)
        else:
            yield desk.JobClosedUnattested(job_id, kept, refund)

    def _can_report(self) -> bool:
        return self.window - 1 > max(self.reported, self.floor)

    def _act_report(self) -> Iterator[Event]:
        self.reported = self.pending = self.window - 1
        final_at = time_of(self.block + 2)
        root = keccak(b"root %d" % self.reported)
        yield committee.ReportSubmitted(
            self.reported, address(7), 0, root, keccak(b"data"), 1, final_at
        )

    def _can_veto(self) -> bool:
        return self.pending is not None

    def _act_veto(self) -> Iterator[Event]:
        assert self.pending is not None
        self.floor = self.window
        yield committee.ReportVetoed(self.pending, address(8), self.floor, bytes(32))
        self.pending = None


@st.composite
def histories(draw: st.DrawFn, max_blocks: int = 40) -> list[LoggedEvent]:
    """Draw the events of a chain; block numbers begin at 1 and may leave blocks out."""
    script = Script(draw(st.data()))
    found: list[LoggedEvent] = []
    for _ in range(draw(st.integers(0, max_blocks))):
        script.block += draw(st.integers(1, 3))
        for index, event in enumerate(
            e for _ in range(draw(st.integers(1, 3))) for e in script.act()
        ):
            found.append(logged(event, script.block, index))
    return found
