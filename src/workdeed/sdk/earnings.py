"""What a license earned: prove it from the final report and collect it.

Anyone may collect for anyone: the money goes to the license's payout address. What a blacklisted
license earned is forfeited instead, in part back to the payer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workdeed.chain.bindings.committee import MAX_SEATS, MIN_REPORTS, RewardClaimed
from workdeed.chain.bindings.escrow import MAX_CLAIMS, Claimed, ClaimEntry, Forfeited, JobEscrow
from workdeed.chain.bindings.licenses import ORACLE
from workdeed.chain.errors import ChainError
from workdeed.chain.logs import find_events, topic_of
from workdeed.protocol.merkle import EMPTY_ROOT, leaf_hash
from workdeed.protocol.messages import ProvenLeaf
from workdeed.protocol.report import Leaf, report_tree
from workdeed.sdk.errors import NoProofError, SdkError
from workdeed.sdk.keepers import fetch_report, prove_leaf
from workdeed.sdk.session import Session


@dataclass(frozen=True, slots=True)
class Collected:
    """What a claim moved: base units to the payee and units credited in all so far."""

    job_id: int
    license_id: int
    payee: str
    amount: int
    units: int


class BrokenOffError(SdkError):
    """A claim in several transactions, of which one failed; the cause says why.

    Attributes:
        collected: what those before it moved.

    """

    def __init__(self, text: str, collected: Sequence[Collected]) -> None:
        super().__init__(text)
        self.collected = tuple(collected)


@dataclass(frozen=True, slots=True)
class PaidOut:
    """What a license was paid for a job: base units to the payee, in so many claims."""

    job_id: int
    payee: str
    claims: int
    amount: int


class Earnings:
    """Collecting, for operators and for whoever pays the gas."""

    session: Session

    async def claim(self, job_id: int, license_id: int) -> Collected | None:
        """Collect what one license earned in one job; None if there is nothing new.

        Raises:
            NoProofError: if no keeper proves a leaf of it.
            SdkError: if the escrow refuses, as it does while the license is frozen.

        """
        leaf = await self._new_leaf(job_id, license_id)
        if leaf is None:
            return None
        receipt = await self.session.sender.send(
            self.session.suite.escrow.claim(job_id, license_id, leaf.units, leaf.proof)
        )
        claimed = receipt.event(Claimed)
        return _collected(claimed) if claimed else None

    async def forfeit(self, job_id: int, license_id: int) -> Forfeited | None:
        """Take what a blacklisted license earned in one job; None if there is nothing new.

        Raises:
            NoProofError: if no keeper proves a leaf of it.
            SdkError: if the escrow refuses, as it does while the license is not blacklisted.

        """
        leaf = await self._new_leaf(job_id, license_id)
        if leaf is None:
            return None
        receipt = await self.session.sender.send(
            self.session.suite.escrow.forfeit(job_id, license_id, leaf.units, leaf.proof)
        )
        return receipt.event(Forfeited)

    async def claim_reward(self, license_id: int) -> RewardClaimed | None:
        """Collect what an oracle license earned by signing; None if there is nothing.

        Shares out first what the committee was sent, if enough reports were signed since.

        Raises:
            SdkError: if the committee refuses, as it does out of good standing.

        """
        suite = self.session.suite
        if await self.session.read(suite.licenses.kind_of(license_id)) != ORACLE:
            return None
        if await self._can_share():
            await self.session.sender.send(suite.committee.settle_rewards())
        if await self.session.read(suite.committee.reward_of(license_id)) == 0:
            return None
        receipt = await self.session.sender.send(suite.committee.claim_reward(license_id))
        return receipt.event(RewardClaimed)

    async def claim_license(self, license_id: int) -> list[Collected]:
        """Collect what one license earned in all jobs; entries without anything new are left out.

        Raises:
            NoProofError: if no keeper has the final report's leaves.
            BrokenOffError: if some of it was collected before the escrow refused.
            SdkError: if the escrow refuses.

        """
        suite = self.session.suite
        window, root = await self.session.read(suite.committee.final_report())
        if root == EMPTY_ROOT:
            return []
        keepers = await self.session.keeper_addresses()
        _, leaves = await fetch_report(self.session.endpoints, keepers, window, root)
        payee, standing = await self.session.read(suite.licenses.payee_of(license_id))
        if standing:
            raise SdkError(f"license {license_id}: it is held; see `workdeed license show`")
        entries = await self._new(_entries(leaves, suite.escrow.address, license_id))
        return await self._claim_all(payee, entries)

    async def paid_out(self, license_id: int) -> list[PaidOut]:
        """Return what a license was paid so far, by job and payee, in the order of the first claim.

        Raises:
            SdkError: if there is no such license.
            ChainError: if the chain does not answer, or does not have all logs.

        """
        session, suite = self.session, self.session.suite
        payee, _ = await session.read(suite.licenses.payee_of(license_id))
        if int(payee, 16) == 0:
            raise SdkError(f"license {license_id}: there is no such license")
        topics = [(topic_of(JobEscrow, Claimed),), (), (license_id.to_bytes(32, "big"),)]
        found = await find_events(
            session.rpc,
            suite,
            [suite.escrow],
            topics,
            first=session.deployment.start_block,
            last=(await session.rpc.head()).number,
        )
        totals: dict[tuple[int, str], PaidOut] = {}
        for event in found:
            if isinstance(event, Claimed):
                key = (event.job_id, event.payee)
                before = totals.get(key, PaidOut(*key, claims=0, amount=0))
                totals[key] = replace(
                    before, claims=before.claims + 1, amount=before.amount + event.amount
                )
        return list(totals.values())

    async def _claim_all(self, payee: str, entries: Sequence[ClaimEntry]) -> list[Collected]:
        """Claim in as many transactions as it takes; raises as `claim_license`."""
        escrow, sender = self.session.suite.escrow, self.session.sender
        collected: list[Collected] = []
        for start in range(0, len(entries), MAX_CLAIMS):
            part = entries[start : start + MAX_CLAIMS]
            try:
                receipt = await sender.send(escrow.claim_many(payee, part))
            except (SdkError, ChainError) as error:
                if not collected:
                    raise
                text = f"{len(collected)} of {len(entries)} jobs were collected, then: {error}"
                raise BrokenOffError(text, collected) from error
            collected += [_collected(one) for one in receipt.events if isinstance(one, Claimed)]
        return collected

    async def _can_share(self) -> bool:
        """Tell whether the committee may have rewards to share; the latest report counts too."""
        committee = self.session.suite.committee
        rewards, counts, seats = await self.session.read_all(
            [committee.unassigned(), committee.participation(), committee.seat_count()]
        )
        signed = sum(counts.to_bytes(MAX_SEATS, "big")) + seats
        return rewards > 0 and signed >= MIN_REPORTS * seats

    async def _new_leaf(self, job_id: int, license_id: int) -> ProvenLeaf | None:
        """Return the proven leaf of a license in a job, None if it was credited all of it."""
        suite = self.session.suite
        window, root = await self._final_report()
        keepers = await self.session.keeper_addresses()
        key = (suite.escrow.address, job_id, license_id)
        leaf = await prove_leaf(self.session.endpoints, keepers, window, root, key)
        served = await self.session.read(suite.escrow.assignment(job_id, license_id))
        return leaf if leaf.units > served.claimed_units else None

    async def _new(self, entries: Sequence[ClaimEntry]) -> list[ClaimEntry]:
        """Leave out what was claimed already: sending it would cost gas and move nothing."""
        escrow = self.session.suite.escrow
        calls = [escrow.assignment(entry.job_id, entry.license_id) for entry in entries]
        served = await self.session.read_all(calls)
        return [
            entry
            for entry, one in zip(entries, served, strict=True)
            if entry.units > one.claimed_units
        ]

    async def _final_report(self) -> tuple[int, bytes]:
        window, root = await self.session.read(self.session.suite.committee.final_report())
        if root == EMPTY_ROOT:
            raise NoProofError("there is nothing to collect: the final report has no leaves")
        return window, root


def _entries(leaves: Sequence[Leaf], escrow: str, license_id: int) -> list[ClaimEntry]:
    tree = report_tree(leaves)
    return [
        ClaimEntry(leaf.job_id, leaf.license_id, leaf.units, tuple(tree.proof(leaf_hash(*leaf))))
        for leaf in leaves
        if leaf.license_id == license_id and leaf.escrow == escrow
    ]


def _collected(event: Claimed) -> Collected:
    return Collected(event.job_id, event.license_id, event.payee, event.amount, event.units)
