"""The oracle's part in placements: leads in its turns, and signs what other leaders propose.

In the first half of a window the members take turns. The leader of a turn chooses licenses for the
jobs that need some, gathers a quorum of signatures and sends the placement. A member signs at most
what it computes itself, and never two different placements for one round of a job and window.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from workdeed.chain.bindings.escrow import SERVICE, JobEscrow
from workdeed.chain.books import Books
from workdeed.chain.clock import ChainClock
from workdeed.chain.errors import ChainError
from workdeed.chain.keys import Signer
from workdeed.keeper.effects import EffectDesk, PlannedEffect
from workdeed.keeper.errors import KeeperError
from workdeed.keeper.journal import PlacementJournal
from workdeed.keeper.logs import Log, OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.reach import AT_ONCE, Reach, TooManyAskedError
from workdeed.keeper.snapshots import Snapshots
from workdeed.keeper.view import View
from workdeed.placement import (
    Placement,
    PlacementError,
    PlacementRefusedError,
    check_proposal,
    choose,
    queue,
    relevant_skips,
)
from workdeed.placement import View as PlacementView
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import ProtocolError, SignatureError
from workdeed.protocol.limits import MAX_SKIPPED
from workdeed.protocol.messages import PlacementProposal, PlacementSignature
from workdeed.protocol.quorum import faults, quorum
from workdeed.protocol.windows import leader
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError, StatusError

SIGNED_TURNS = 2
"""Turns that a member leaves to a placement which it signed, before it proposes one itself."""

TOO_EARLY = 425
"""HTTP status of a member that has not read so far."""

EARLY_TRIES, EARLY_PAUSE = 4, 0.3
"""How often such a member is asked again, and after how many seconds: members poll apart."""


class NotLeaderError(KeeperError):
    """The sender of a proposal may not propose now."""


class TooEarlyError(KeeperError):
    """A proposal rests on what was not read here yet; it may be sent again."""


@dataclass(frozen=True)
class Member:
    """The place of one keeper in the committee.

    Attributes:
        signer: the member key.
        domain: of `Placement`, the escrow's.
        turn_seconds: how long a leader has; the same for all members.

    """

    signer: Signer
    domain: Domain
    turn_seconds: float

    @property
    def address(self) -> str:
        """The member's address."""
        return self.signer.address


@dataclass(frozen=True)
class Tools:
    """What leading and following share.

    Attributes:
        snapshots: views of the chain to choose from.
        journal: what was signed.
        addresses: where nodes and members are.
        members: the HTTP client for members. They ask nodes themselves before they answer, so its
            timeout is some times that of `nodes`.
        nodes: the HTTP client for nodes, whose timeout is how long one may take.
        clock: the chain's time.
        log, once, metrics: where it tells what happens.

    """

    snapshots: Snapshots
    journal: PlacementJournal
    addresses: AddressBook
    members: Endpoints
    nodes: Endpoints
    clock: ChainClock
    log: Log
    once: OnceLog
    metrics: Metrics

    def reach(self, remember: float) -> Reach:
        """Return what asks nodes whether they answer, and remembers for some seconds who did not.

        Leading and following have one each, so that no proposal keeps this member from leading.
        """
        return Reach(self.addresses, self.nodes, self.clock.now, remember, self.once, self.fault)

    def fault(self, where: str, error: Exception) -> None:
        """Tell of an error that nobody expected, and count it."""
        self.metrics.duty_failures.labels(duty="placements").inc()
        self.once.trouble(where, f"{type(error).__name__}: {error}")


def turn_at(clock: ChainClock, window: int, turn_seconds: float) -> int | None:
    """Return the turn of placements in `window` now, None outside of the window's first half."""
    passed = clock.now() - clock.windows.start(window)
    if not 0 <= passed < clock.windows.window / 2:
        return None
    return math.floor(passed / turn_seconds)


@dataclass
class Leading:
    """Proposes placements in this member's turns.

    Attributes:
        escrow: where they are sent.
        member: this keeper's place in the committee.
        tools: what it works with.
        desk: where the placement is left to be sent.

    """

    escrow: JobEscrow
    member: Member
    tools: Tools
    desk: EffectDesk
    signed: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """The turn in which this member last signed for (job, round, window)."""
    _turn: tuple[int, int] = field(default=(0, -1), init=False)
    _tried: set[tuple[int, int]] = field(default_factory=set, init=False)
    _reach: Reach = field(init=False)

    def __post_init__(self) -> None:
        """Remember silent nodes for a turn."""
        self._reach = self.tools.reach(self.member.turn_seconds)

    async def run(self, view: View) -> None:
        """Propose for every job that needs it, if this member leads now; once a turn and round."""
        turn = turn_at(self.tools.clock, view.window, self.member.turn_seconds)
        signers = [seat.signer for seat in view.books.members]
        if turn is None or self.member.address not in signers:
            return
        if signers[leader(view.window, turn, len(signers))] != self.member.address:
            return
        if view.timestamp < view.books.paused_until:
            return
        if self._turn != (view.window, turn):
            self._turn = (view.window, turn)
            self._tried.clear()
            self._forget(view.window)
        await self._lead(view, turn)

    async def _lead(self, view: View, turn: int) -> None:
        jobs = [
            (job.job_id, job.round)
            for job in view.books.jobs.values()
            if not (job.closed or job.cancelled or job.is_over(view.window))
            and (job.job_id, job.round) not in self._tried
            and self._is_free(job.job_id, job.round, view.window, turn)
        ]
        if not jobs:
            return
        snapshot = await self.tools.snapshots.current(view.window)
        for job_id, round_ in jobs:
            self._tried.add((job_id, round_))
            if job_id in snapshot.books.jobs:
                await self._propose(view, snapshot, job_id, turn)

    async def _propose(self, view: View, snapshot: PlacementView, job_id: int, turn: int) -> None:
        name = f"placement of job {job_id}"
        if snapshot.books.jobs[job_id].kind != SERVICE:
            self.tools.once.trouble(name, "it is a batch job, which this version does not place")
            return
        try:
            found = await self._choose(snapshot, job_id)
            if found is None:
                return
            proposal = self._sign(view, snapshot, job_id, *found, turn)
            if proposal is not None:
                await self._gather(view, proposal)
        except (PlacementError, EndpointError, ProtocolError) as error:
            self.tools.once.trouble(name, str(error))
        except Exception as error:  # a fault of this program must not end the turn for other jobs
            self.tools.fault(name, error)
        else:
            self.tools.once.fine(name)

    async def _choose(
        self, snapshot: PlacementView, job_id: int
    ) -> tuple[Placement, tuple[int, ...]] | None:
        """Return a placement on nodes that answer, and the licenses skipped for it."""
        skipped: set[int] = set()
        known: dict[int, bool] = {}
        while True:
            placement = choose(snapshot, job_id, skipped=skipped)
            if placement is None:
                return None
            known |= await self._look(snapshot, job_id, placement.assign, skipped, known)
            silent = {one for one in placement.assign if not known[one]}
            if not silent:
                return placement, tuple(sorted(skipped))
            skipped |= silent
            if len(skipped) > MAX_SKIPPED:
                raise PlacementError(f"skipped: more than {MAX_SKIPPED} nodes do not answer")
            await asyncio.sleep(0)  # a choice among many takes a while, and others have work too

    async def _look(
        self,
        snapshot: PlacementView,
        job_id: int,
        assign: Sequence[int],
        skipped: Collection[int],
        known: Collection[int],
    ) -> dict[int, bool]:
        """Return which nodes answer of those to assign that are not known yet.

        Where some were silent, the next ones in line are asked along with them: many silent nodes
        cost no more time than a few.
        """
        new = [one for one in assign if one not in known]
        if not new:
            return {}
        if skipped:
            line = queue(snapshot, job_id, AT_ONCE + len(known), skipped=skipped)
            new = list(dict.fromkeys([*new, *(one for one in line if one not in known)]))[:AT_ONCE]
        silent = await self._reach.silent(snapshot.books, new)
        return {one: one not in silent for one in new}

    def _sign(
        self,
        view: View,
        snapshot: PlacementView,
        job_id: int,
        placement: Placement,
        skipped: tuple[int, ...],
        turn: int,
    ) -> PlacementProposal | None:
        """Return the signed proposal, None if this member signed another one for the round."""
        job = snapshot.books.jobs[job_id]
        proposal = PlacementProposal(
            escrow=self.escrow.address,
            job_id=job_id,
            round=job.round,
            window=snapshot.window,
            revision=job.revision,
            release=placement.release,
            assign=placement.assign,
            committee_epoch=view.books.committee_epoch,
            block_hash=snapshot.block_hash,
            skipped=skipped,
            member=self.member.address,
        )
        digest = proposal.digest(self.member.domain)
        if not self.tools.journal.may_sign(job_id, job.round, snapshot.window, digest):
            return None
        self.signed[job_id, job.round, snapshot.window] = turn
        self.tools.metrics.placements_signed.inc()
        return proposal.model_copy(update={"signature": self.member.signer.sign_digest(digest)})

    async def _gather(self, view: View, proposal: PlacementProposal) -> None:
        """Ask the other members for their signatures and leave the placement to be sent.

        Raises:
            EndpointError: if no quorum signs; the next leader may do better.

        """
        needed = quorum(len(view.books.members))
        others = self.tools.addresses.members(view.books, without=self.member.address)
        signatures = {self.member.address: proposal.signature}
        refusal = "the other members announce no endpoint"
        waiting = {
            asyncio.create_task(self._asked(address, signer, proposal))
            for signer, address in others.items()
        }
        try:
            # A quorum is enough: nobody waits for a member that is slow or gone.
            while waiting and len(signatures) < needed:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for signer, signature, reason in (task.result() for task in done):
                    refusal = reason or refusal
                    signatures |= {signer: signature} if signature else {}
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if len(signatures) < needed:
            raise EndpointError(f"{len(signatures)} of {needed} signatures: {refusal}")
        # More than a quorum only costs gas: a placement earns its signers nothing.
        chosen = sorted(signatures, key=str.lower)[:needed]
        await self._send(view, proposal, b"".join(signatures[one] for one in chosen))

    async def _asked(
        self, address: str, signer: str, proposal: PlacementProposal
    ) -> tuple[str, bytes, str]:
        """Return a member, its signature, and why it gave none."""
        try:
            return signer, await self._ask(address, signer, proposal), ""
        except (EndpointError, ProtocolError) as error:
            return signer, b"", str(error)
        except Exception as error:  # a fault of this program must not cost the others' signatures
            self.tools.fault(f"signature of member {signer}", error)
            return signer, b"", f"{address}: {type(error).__name__}: {error}"

    async def _ask(self, address: str, signer: str, proposal: PlacementProposal) -> bytes:
        body = await self._post(address, proposal.to_json())
        answer = PlacementSignature.parse(body)
        if answer.verify(self.member.domain, proposal) != signer:
            raise SignatureError(f"signature: {address} answered for another member")
        return answer.signature

    async def _post(self, address: str, body: bytes) -> bytes:
        """Return a member's answer; one that has not read so far is asked again."""
        for _ in range(EARLY_TRIES):
            try:
                return await self.tools.members.send("POST", address, "/placements", body)
            except StatusError as error:
                if error.status != TOO_EARLY:
                    raise
                await asyncio.sleep(EARLY_PAUSE)
        return await self.tools.members.send("POST", address, "/placements", body)

    async def _send(self, view: View, proposal: PlacementProposal, packed: bytes) -> None:
        call = self.escrow.place(
            proposal.job_id,
            proposal.round,
            proposal.window,
            proposal.revision,
            proposal.release,
            proposal.assign,
            packed,
        )
        self.tools.log.info(
            "placement",
            job=proposal.job_id,
            round=proposal.round,
            release=list(proposal.release),
            assign=list(proposal.assign),
        )
        await self.desk.plan(
            view,
            PlannedEffect(
                key=f"place:{proposal.job_id}:{proposal.round}:{proposal.window}",
                call=call,
                done=lambda books: books.jobs[proposal.job_id].round > proposal.round,
            ),
        )

    def _is_free(self, job_id: int, round_: int, window: int, turn: int) -> bool:
        """Tell whether no placement that this member signed lately may still be on its way."""
        signed = self.signed.get((job_id, round_, window))
        return signed is None or turn >= signed + SIGNED_TURNS

    def _forget(self, window: int) -> None:
        self.signed = {key: turn for key, turn in self.signed.items() if key[2] >= window}
        self.tools.journal.forget_before(window)


@dataclass
class Following:
    """Signs the proposals of other leaders.

    Attributes:
        member: this keeper's place in the committee.
        tools: what it works with.
        leading: told what was signed, so that it does not propose at once.
        view: returns the latest view, None before the first.
        prepare: fetches missing profiles of the licenses that a proposal rests on. It takes no
            longer than a node may take to answer; what does not come in time stays missing.

    """

    member: Member
    tools: Tools
    leading: Leading
    view: Callable[[], View | None]
    prepare: Callable[[Books, PlacementProposal], Awaitable[None]]
    _reach: Reach = field(init=False)

    def __post_init__(self) -> None:
        """Remember silent nodes for a turn."""
        self._reach = self.tools.reach(self.member.turn_seconds)

    async def answer(self, proposal: PlacementProposal) -> PlacementSignature:
        """Return this member's signature of a proposal.

        Raises:
            NotLeaderError: if its sender does not lead now.
            TooEarlyError: if this keeper has not read so far.
            PlacementRefusedError: if it is not what this keeper computes.

        """
        view = self.view()
        if view is None or proposal.window > view.window:
            raise TooEarlyError("window: it has not begun here; ask again")
        turn = self._check_sender(view, proposal)
        await self._check_content(view, proposal)
        digest = proposal.digest(self.member.domain)
        key = (proposal.job_id, proposal.round, proposal.window)
        if not self.tools.journal.may_sign(*key, digest):
            raise PlacementRefusedError("round", "another placement was signed for it")
        self.leading.signed[key] = turn
        self.tools.metrics.placements_signed.inc()
        return PlacementSignature(
            escrow=proposal.escrow,
            job_id=proposal.job_id,
            round=proposal.round,
            window=proposal.window,
            member=self.member.address,
            signature=self.member.signer.sign_digest(digest),
        )

    def _check_sender(self, view: View, proposal: PlacementProposal) -> int:
        """Return the turn; clocks differ, so a leader counts a turn early and one late as well."""
        signers = [seat.signer for seat in view.books.members]
        if self.member.address not in signers:
            raise NotLeaderError("member: this keeper has no seat and signs nothing")
        turn = turn_at(self.tools.clock, proposal.window, self.member.turn_seconds)
        if proposal.window != view.window or turn is None:
            raise NotLeaderError("window: placements are signed in its first half only")
        leaders = {
            signers[leader(view.window, one, len(signers))] for one in (turn - 1, turn, turn + 1)
        }
        if proposal.member not in leaders:
            raise NotLeaderError(f"member: {proposal.member} does not lead turn {turn}")
        if proposal.committee_epoch != view.books.committee_epoch:
            raise PlacementRefusedError("committee_epoch", f"it is {view.books.committee_epoch}")
        try:
            proposal.verify(self.member.domain)
        except ProtocolError as error:
            raise NotLeaderError(str(error)) from error
        return turn

    async def _check_content(self, view: View, proposal: PlacementProposal) -> None:
        job = view.books.jobs.get(proposal.job_id)
        if job is None or job.round < proposal.round:
            raise TooEarlyError("job_id: this round of the job is not read here yet; ask again")
        if (job.round, job.revision) != (proposal.round, proposal.revision) or job.cancelled:
            raise PlacementRefusedError("round", "the job has changed since; read the chain anew")
        try:
            snapshot = await self.tools.snapshots.named(proposal.block_hash, proposal.window)
        except ChainError as error:
            raise TooEarlyError(str(error)) from error
        await self.prepare(view.books, proposal)
        silent = await self._silent(view, snapshot, proposal)
        check_proposal(
            snapshot,
            proposal,
            faults=faults(len(view.books.members)),
            unreachable=silent.__contains__,
        )

    async def _silent(
        self, view: View, snapshot: PlacementView, proposal: PlacementProposal
    ) -> set[int]:
        """Return which of the skips that count do not answer here either, if that matters."""
        skips = relevant_skips(snapshot, proposal.job_id, proposal.skipped)
        if len(skips) <= faults(len(view.books.members)):
            return set()
        try:
            return await self._reach.silent(view.books, skips)
        except TooManyAskedError as error:
            raise TooEarlyError(f"skipped: {error}") from error
