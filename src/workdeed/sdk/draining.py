"""How a node leaves without losing a paid window: it is replaced first, then unlinked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from workdeed.chain.bindings.escrow import JobEscrow, Placed
from workdeed.chain.bindings.licenses import ZERO_ADDRESS
from workdeed.chain.logs import find_events, topic_of
from workdeed.chain.rpc import RpcUnavailable
from workdeed.sdk.errors import SdkError
from workdeed.sdk.licenses import Licenses
from workdeed.sdk.session import Session

SETTLING_WINDOWS: Final = 2
"""Windows after the announcement in which a placement may still rest on a block before it: what is
chosen in a window is chosen at a block that may be of the window before."""

REREAD_BLOCKS: Final = 64
"""Blocks below the head that are read again at the next look."""

MISSED_LOOKS: Final = 10
"""Looks in a row that an RPC may leave unanswered: the wait takes hours, and most pass by."""

LOOK_SECONDS: Final = 60.0
"""Most seconds between two looks at the chain."""


@dataclass(frozen=True, slots=True)
class DrainState:
    """How far a draining license is.

    Attributes:
        window: of the head.
        jobs: those that it serves in this window or later, ascending.

    """

    window: int
    jobs: tuple[int, ...]


class Draining(Licenses):
    """What an operator does to take a node out of service."""

    async def announce_drain(self, license_id: int) -> None:
        """Announce that the node of a license of the sender takes no new work.

        From then on it is replaced wherever another license can take its place. Announcing its
        usual profile again takes that back.

        Raises:
            SdkError: if the license has no node or endpoint, the node does not answer or is too
                old to have such a profile, or the contract refuses.

        """
        view = await self.license(license_id)
        if view.node == ZERO_ADDRESS:
            raise SdkError(f"license {license_id}: no node is linked, so nothing is placed on it")
        if not view.endpoint:
            raise SdkError(f"license {license_id}: it announces no endpoint; unlink it at once")
        profile = await self.fetch_profile(license_id, view.endpoint, draining=True)
        if not profile.draining:
            raise SdkError(
                f"profile: {view.endpoint} serves one that offers work; upgrade the node"
            )
        if profile.profile_hash != view.profile_hash:
            await self.set_profile(license_id, view.endpoint, profile.profile_hash)

    async def drain(
        self,
        license_id: int,
        *,
        windows: int | None = None,
        told: Callable[[DrainState], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> DrainState:
        """Announce it, wait until no job needs the node any more, and unlink it.

        It waits for `SETTLING_WINDOWS` at least. What is interrupted may be begun again.

        Args:
            license_id: a license of the sender.
            windows: unlink it after so many windows even if jobs are left, whose windows it then
                loses; None waits for all of them.
            told: told how far it is, whenever that changes.
            sleep: waits for seconds.

        Returns:
            How far it was when it was unlinked.

        Raises:
            SdkError: as `announce_drain`.
            ChainError: if the chain does not answer, later on several times in a row.

        """
        await self.announce_drain(license_id)
        services = Services(self.session, license_id)
        pause = min(LOOK_SECONDS, self.session.deployment.clock.window / 4)
        state = await services.look()
        begin, seen, missed = state.window, None, 0
        while not _is_over(state, begin, windows):
            if state != seen:
                told(state)
                seen = state
            await sleep(pause)
            try:
                state, missed = await services.look(), 0
            except RpcUnavailable:
                missed += 1
                if missed > MISSED_LOOKS:
                    raise
        await self.unlink_node(license_id)
        return state


class Services:
    """The jobs that a license serves, looked up on chain.

    Args:
        session: the chain.
        license_id: the license.

    """

    def __init__(self, session: Session, license_id: int) -> None:
        self._session = session
        self._license_id = license_id
        self._next = session.deployment.start_block
        self._jobs: set[int] = set()

    async def look(self) -> DrainState:
        """Return what the license serves now.

        Raises:
            SdkError, ChainError: if the chain does not answer.

        """
        head = await self._session.rpc.head()
        window = self._session.deployment.clock.at(head.timestamp)
        await self._find_jobs(head.number)
        jobs = sorted(self._jobs)
        calls = [self._session.suite.escrow.assignment(one, self._license_id) for one in jobs]
        services = await self._session.read_all(calls)
        ends = await self._ends(jobs)
        serving = (
            job_id
            for job_id, service, end in zip(jobs, services, ends, strict=True)
            if min(service.until, end) > window
        )
        return DrainState(window, tuple(serving))

    async def _find_jobs(self, last: int) -> None:
        """Read in which jobs the license was placed since the last look."""
        session = self._session
        events = await find_events(
            session.rpc,
            session.suite,
            [session.suite.escrow],
            [[topic_of(JobEscrow, Placed)]],
            first=self._next,
            last=last,
        )
        self._jobs |= {
            event.job_id
            for event in events
            if isinstance(event, Placed) and self._license_id in event.assign
        }
        # A reorg may put a placement into a block that was read already.
        self._next = max(self._next, last + 1 - REREAD_BLOCKS)

    async def _ends(self, jobs: Sequence[int]) -> list[int]:
        """Return the end of each job, 0 of those that are closed."""
        found = await self._session.read_all([self._session.suite.desk.job(one) for one in jobs])
        return [0 if job.closed else job.end for job in found]


def _is_over(state: DrainState, begin: int, windows: int | None) -> bool:
    passed = state.window - begin
    if windows is not None and passed >= windows:
        return True
    return passed >= SETTLING_WINDOWS and not state.jobs
