"""The payer's operations: quote, open, extend, scale, revise, cancel and close jobs.

Amounts are base units of the settlement token, times are windows. Who acts for another account, by
a grant of it, names that account as `payer`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workdeed.chain.bindings.codec import Call
from workdeed.chain.bindings.desk import (
    ABANDON_FACTOR,
    CloseRequested,
    Job,
    JobCancelled,
    JobClosedUnattested,
    JobExtended,
    JobRevised,
    JobScaled,
    Opening,
)
from workdeed.chain.bindings.escrow import BATCH, SERVICE, JobClosed, JobOpened
from workdeed.chain.bindings.licenses import ZERO_ADDRESS
from workdeed.chain.bindings.tariff import Offer, PolicyTerms
from workdeed.intent import Spec, encode_spec, parse_spec
from workdeed.protocol.figures import UNIT
from workdeed.protocol.hashing import keccak
from workdeed.sdk.allowances import check_funds, pay_with
from workdeed.sdk.errors import SdkError
from workdeed.sdk.keepers import prove_leaf, put_spec
from workdeed.sdk.placed import placed_licenses
from workdeed.sdk.session import Session

JOB_LEAF = 0


@dataclass(frozen=True, slots=True)
class Quote:
    """What a job costs now.

    Attributes:
        price: of one slot and window at full availability.
        deposit: what opening it takes, `price * slots * windows`.
        policy: the fee shares of claims and the floor below which a window earns nothing.

    """

    class_id: int
    slots: int
    windows: int
    price: int
    deposit: int
    offer: Offer
    policy: PolicyTerms


@dataclass(frozen=True, slots=True)
class JobView:
    """A job at one block.

    Attributes:
        window: the window of that block.
        state: "waiting" for its first placement, "running", "ended" and not closed, "closed".
        locked: what is still locked for it.

    """

    job_id: int
    job: Job
    window: int

    @property
    def state(self) -> str:
        """Where the job stands."""
        if self.job.closed:
            return "closed"
        if self.job.end == 0:
            return "waiting"
        return "running" if self.window < self.job.end else "ended"

    @property
    def locked(self) -> int:
        """The deposit that is neither claimed nor refunded."""
        return gross(self.job.price, self.job.funded_units) - gross(
            self.job.price, self.job.claimed_units
        )

    @property
    def windows_left(self) -> int:
        """For how many windows one slot more is paid; a shard of a batch job is paid once."""
        if self.job.kind == BATCH:
            return 1
        return max(0, self.job.end - self.window - 1) if self.job.end else self.job.windows

    def to_json(self) -> dict[str, Any]:
        """Return the job for JSON: hashes in hex, amounts as decimal strings."""
        content = asdict(self.job)
        content |= {"spec_hash": "0x" + self.job.spec_hash.hex(), "price": str(self.job.price)}
        return {
            "job_id": self.job_id,
            "state": self.state,
            "window": self.window,
            "locked": str(self.locked),
            **content,
        }


@dataclass(frozen=True, slots=True)
class Scaled:
    """What a scaling did: the slots from the next window on, who lost one, what moved."""

    slots: int
    released: tuple[int, ...]
    deposit: int
    refund: int


class Jobs:
    """What a payer does with jobs; reading needs no key."""

    session: Session

    async def quote(self, class_id: int, slots: int, windows: int) -> Quote:
        """Return what a job would cost if it were opened now.

        Raises:
            SdkError: if the class is unknown or retired, or a number is not positive.

        """
        if slots < 1 or windows < 1:
            raise SdkError("slots, windows: both must be at least 1")
        tariff = self.session.suite.tariff
        offer = await self.session.read(tariff.class_of(class_id))
        if not offer.exists or offer.retired:
            state = "is retired" if offer.exists else "does not exist"
            raise SdkError(f"class_id: price class {class_id} {state}; choose another")
        version = await self.session.read(tariff.policy_version())
        policy = await self.session.read(tariff.policy_of(version))
        deposit = offer.price * slots * windows
        return Quote(class_id, slots, windows, offer.price, deposit, offer, policy)

    async def open_job(
        self,
        spec: Spec | bytes,
        *,
        slots: int,
        windows: int,
        min_slots: int | None = None,
        class_id: int | None = None,
        max_price: int | None = None,
        payer: str | None = None,
    ) -> int:
        """Open a service job and return its id.

        Approves exactly the deposit, hands the spec to the keepers, then opens. For another payer,
        its own allowance to the escrow has to cover the deposit.

        Args:
            spec: the intent, or its canonical bytes.
            slots: replicas to pay for.
            windows: windows to pay for, from the first placement on.
            min_slots: licenses that the first placement must bring; by default all.
            class_id: the price class; by default that of the spec.
            max_price: the highest price of a slot and window to accept; by default today's.
            payer: who pays and gets every refund; by default the sender.

        Raises:
            SdkError: if the spec does not fit its class, the balance does not cover the deposit, no
                keeper takes the spec, or the escrow refuses.
            SpecError: if `spec` is malformed.

        """
        parsed, data = _spec(spec)
        quote = await self.quote(class_id or parsed.class_id, slots, windows)
        check_fits(parsed, quote.offer)
        limit = quote.price if max_price is None else max_price
        if limit < quote.price:
            raise SdkError(f"max_price: the class costs {quote.price}, more than {limit}; raise it")
        await self._fund(quote.deposit, payer)
        await self.publish_spec(data)
        least = slots if min_slots is None else min_slots
        opening = Opening(keccak(data), quote.class_id, SERVICE, slots, least, windows, limit)
        receipt = await self.session.sender.send(self._opening(opening, payer))
        opened = receipt.event(JobOpened)
        if opened is None:
            raise SdkError("open_job: its receipt holds no job; check the deployment file")
        return opened.job_id

    async def publish_spec(self, data: bytes) -> list[str]:
        """Hand a spec to the keepers again; return those that took it."""
        keepers = await self.session.keeper_addresses()
        return await put_spec(self.session.endpoints, keepers, data)

    async def extend_job(self, job_id: int, windows: int, *, payer: str | None = None) -> int:
        """Buy more windows at the job's own price; return its end, 0 while it waits to start.

        Raises:
            SdkError: if the job is another's, the balance does not cover it or the desk refuses.

        """
        job = (await self._job_of(job_id, payer)).job
        if windows < 1:
            raise SdkError("windows: at least 1")
        await self._fund(0 if job.kind == BATCH else job.price * job.slots * windows, payer)
        receipt = await self.session.sender.send(
            self.session.suite.desk.extend_job(job_id, windows)
        )
        extended = receipt.event(JobExtended)
        return extended.end if extended else 0

    async def scale_job(
        self,
        job_id: int,
        slots: int,
        *,
        release: Sequence[int] | None = None,
        payer: str | None = None,
    ) -> Scaled:
        """Change the slots of a job from the next window on, at its own price.

        More are paid for at once, for fewer the windows that are left come back.

        Args:
            job_id: the job.
            slots: the new number.
            release: licenses in place that there is no slot for any more; by default those that
                have been in place longest, of several the lowest ids.
            payer: whose job it is; by default the sender's.

        Raises:
            SdkError: if the job is another's, the balance does not cover it or the desk refuses.

        """
        view = await self._job_of(job_id, payer)
        job = view.job
        if slots < 1 or slots == job.slots:
            raise SdkError(f"slots: it must be at least 1, and not {job.slots} as it is")
        surplus = max(0, job.active - slots)
        if release is None:
            longest = await placed_licenses(self.session, job_id, job) if surplus else []
            release = longest[:surplus]
        elif len(release) != surplus:
            raise SdkError(f"release: name {surplus} licenses, as many as lose their slot")
        if slots > job.slots:
            await self._fund(job.price * (slots - job.slots) * view.windows_left, payer)
        receipt = await self.session.sender.send(
            self.session.suite.desk.scale_job(job_id, slots, release)
        )
        scaled = receipt.event(JobScaled)
        deposit, refund = (scaled.deposit, scaled.refund) if scaled else (0, 0)
        return Scaled(slots, tuple(release), deposit, refund)

    async def revise_job(self, job_id: int, spec: Spec | bytes, *, payer: str | None = None) -> int:
        """Replace the spec, once a window; return the new revision.

        Raises:
            SdkError: if the job is another's, the spec does not fit its class, no keeper takes it,
                or the desk refuses.
            SpecError: if `spec` is malformed.

        """
        parsed, data = _spec(spec)
        job = (await self._job_of(job_id, payer)).job
        check_fits(
            parsed, await self.session.read(self.session.suite.tariff.class_of(job.class_id))
        )
        if keccak(data) == job.spec_hash:
            raise SdkError(f"spec: job {job_id} has this very spec already; change it first")
        await self.publish_spec(data)
        receipt = await self.session.sender.send(
            self.session.suite.desk.revise_job(job_id, keccak(data))
        )
        revised = receipt.event(JobRevised)
        return revised.revision if revised else job.revision + 1

    async def cancel_job(self, job_id: int, *, payer: str | None = None) -> int:
        """End a job for good; return what comes back to its payer at once.

        Raises:
            SdkError: if the job is another's or the desk refuses.

        """
        await self._job_of(job_id, payer)
        receipt = await self.session.sender.send(self.session.suite.desk.cancel_job(job_id))
        cancelled = receipt.event(JobCancelled)
        return cancelled.refund if cancelled else 0

    async def job(self, job_id: int) -> JobView:
        """Return a job as it stands; raises `SdkError` if there is none."""
        suite = self.session.suite
        job = await self.session.read(suite.desk.job(job_id))
        if job.payer == ZERO_ADDRESS:
            raise SdkError(f"job {job_id}: there is no such job; list them with `workdeed status`")
        window = await self.session.read(suite.escrow.current_window())
        return JobView(job_id, job, window)

    async def jobs(self, limit: int = 50, payer: str | None = None) -> list[JobView]:
        """Return the latest jobs, newest first: of all of the last `limit`, those of `payer`."""
        suite = self.session.suite
        count = await self.session.read(suite.escrow.job_count())
        window = await self.session.read(suite.escrow.current_window())
        ids = range(count, max(0, count - limit), -1)
        found = await self.session.read_all([suite.desk.job(job_id) for job_id in ids])
        views = [JobView(job_id, job, window) for job_id, job in zip(ids, found, strict=True)]
        return [view for view in views if payer in (None, view.job.payer)]

    async def close_job(self, job_id: int) -> int:
        """Close a job by its leaf in the final report; return the refund.

        Raises:
            SdkError: if the report does not hold its end yet, nobody proves the leaf, or the escrow
                refuses.

        """
        suite = self.session.suite
        window, root = await self.session.read(suite.committee.final_report())
        job = (await self.job(job_id)).job
        if job.closed:
            raise SdkError(f"job {job_id}: it is closed already")
        if job.end == 0 or window + 1 < job.end:
            raise SdkError(f"job {job_id}: its last window is not in a final report yet; try later")
        keepers = await self.session.keeper_addresses()
        key = (suite.escrow.address, job_id, JOB_LEAF)
        leaf = await prove_leaf(self.session.endpoints, keepers, window, root, key)
        receipt = await self.session.sender.send(
            suite.escrow.close_job(job_id, leaf.units, leaf.proof)
        )
        closed = receipt.event(JobClosed)
        return closed.refund if closed else 0

    async def request_close(self, job_id: int) -> int:
        """Start the grace of a close without a report; return the window from which it may close.

        A job that a report closed takes `ABANDON_FACTOR` graces: what is left in it was earned.

        Raises:
            SdkError: if the desk refuses.

        """
        desk = self.session.suite.desk
        closed = (await self.job(job_id)).job.closed
        receipt = await self.session.sender.send(desk.request_close(job_id))
        requested = receipt.event(CloseRequested)
        grace = await self.session.read(desk.close_grace()) * (ABANDON_FACTOR if closed else 1)
        # The window of the request had begun and does not count.
        return (requested.window if requested else 0) + grace + 1

    async def close_unattested(self, job_id: int) -> int:
        """Close a job without a report, after the grace; return the refund.

        Raises:
            SdkError: if the desk refuses.

        """
        receipt = await self.session.sender.send(self.session.suite.desk.close_unattested(job_id))
        closed = receipt.event(JobClosedUnattested)
        return closed.refund if closed else 0

    async def _job_of(self, job_id: int, payer: str | None) -> JobView:
        """Return a job of `payer`, by default of the sender.

        Raises:
            SdkError: if it is another's: what a delegate does to it, that one would pay for.

        """
        expected = payer or self.session.sender.address
        view = await self.job(job_id)
        if view.job.payer != expected:
            raise SdkError(
                f"job {job_id}: its payer is {view.job.payer}, not {expected}; a delegate names "
                "the payer"
            )
        return view

    async def _fund(self, amount: int, payer: str | None) -> None:
        """See to it that the escrow can take a deposit of the sender, or of another payer."""
        escrow = self.session.suite.escrow.address
        if payer is None:
            await pay_with(self.session, escrow, amount)
        else:
            await check_funds(self.session, payer, escrow, amount)

    def _opening(self, opening: Opening, payer: str | None) -> Call[int]:
        """Return what opens a job: of the sender at the escrow itself, which costs less gas."""
        suite = self.session.suite
        if payer is None:
            return suite.escrow.open_job(*opening)
        return suite.desk.open_job_for(payer, opening)


def gross(price: int, units: int) -> int:
    """Return what units cost, rounded down as the escrow does."""
    return price * units // UNIT


def check_fits(spec: Spec, offer: Offer) -> None:
    """Raise `SdkError` if a slot of the class gives less than the spec asks for."""
    for name in ("cpu_milli", "memory_mb", "storage_mb"):
        wanted, given = getattr(spec.resources, name), getattr(offer, name)
        if wanted > given:
            raise SdkError(
                f"resources.{name}: the spec asks for {wanted}, the class gives {given}; "
                "ask for less or choose a larger class"
            )


def _spec(spec: Spec | bytes) -> tuple[Spec, bytes]:
    if isinstance(spec, bytes):
        return parse_spec(spec), spec
    return spec, encode_spec(spec)
