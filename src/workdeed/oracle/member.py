"""What one member signs, and what must last before it does.

The order of things is the point of this module: data on disk, then the journal, then the signature.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import structlog

from workdeed.chain.books import ReportState
from workdeed.chain.keys import Signer
from workdeed.oracle.committee import Committee
from workdeed.oracle.errors import RefusedError
from workdeed.oracle.journal import Entry, Journal
from workdeed.oracle.round import (
    Draft,
    RoundFacts,
    WindowFacts,
    check_observation,
    check_proposal,
    observe,
    propose,
)
from workdeed.oracle.settings import RoundRules
from workdeed.oracle.store import OracleStore
from workdeed.oracle.tallies import WindowTally
from workdeed.protocol.eip712 import Domain, report_digest
from workdeed.protocol.figures import UNKNOWN
from workdeed.protocol.messages import (
    ObservationRequest,
    Observations,
    Proposal,
    ReportSignature,
    SignedMessage,
    SignedObservation,
)
from workdeed.protocol.report import data_hash
from workdeed.protocol.windows import WindowClock

_log = structlog.get_logger(__name__)

S = TypeVar("S", bound=SignedMessage)


class Member:
    """A member's key with its journal and its store. One call runs at a time.

    Args:
        signer: the member key.
        domain: the committee's.
        windows: the calendar.
        rules: of the round.
        journal: what was signed.
        store: what was observed and computed.

    """

    def __init__(
        self,
        signer: Signer,
        domain: Domain,
        windows: WindowClock,
        rules: RoundRules,
        journal: Journal,
        store: OracleStore,
    ) -> None:
        self._signer = signer
        self._domain = domain
        self._windows = windows
        self._rules = rules
        self._journal = journal
        self._store = store

    @property
    def address(self) -> str:
        """The member key's address."""
        return self._signer.address

    def has_observed(self, window: int) -> bool:
        """Tell whether this member's observation of `window` is kept."""
        return self._store.observation(window, self.address) is not None

    def observation(self, facts: WindowFacts, epoch: int, tally: WindowTally) -> SignedObservation:
        """Return this member's observation of a window that is over; always the same one.

        It is made once. A change of epoch signs the same figures anew, and so does a reorg that
        went below the confirmation depth; pairs that only then came up are unknown.

        Args:
            facts: of the window.
            epoch: the committee epoch of the moment.
            tally: what was measured, its evidence durable; used if nothing is kept yet.

        Raises:
            StoreError: if it can't be kept.

        """
        known = self._store.observation(facts.window, self.address)
        if known is None:
            fresh = observe(facts, tally, epoch, self.address)
        else:
            fresh = _refitted(known, facts, epoch)
            if fresh == known:
                return known
        signed = self._sign(fresh.model_copy(update={"signature": b""}))
        self._store.put_observations([signed], replace=True)
        return signed

    def adopt(self, facts: RoundFacts, observations: Iterable[SignedObservation]) -> None:
        """Keep what this member said before, as far as nothing else is kept here.

        Another process acted for it, or the store was lost: what its own key signed was measured
        where that happened, and one word stands for a window.

        Raises:
            RefusedError: if one that bears its name does not count, see `check_observation`.
            StoreError: if it can't be kept.

        """
        mine = [
            one
            for one in observations
            if one.member == self.address and not self.has_observed(one.window)
        ]
        for one in mine:
            check_observation(one, facts, self._domain)
        self._store.put_observations(mine)

    def request(
        self, window: int, turn: int, asked: Sequence[int], recipient: str
    ) -> ObservationRequest:
        """Return a leader's request to one member."""
        unsigned = ObservationRequest(
            window=window,
            turn=turn,
            windows=tuple(asked),
            member=self.address,
            recipient=recipient,
        )
        return self._sign(unsigned)

    def keep(self, facts: RoundFacts, answer: Observations, sender: str) -> list[SignedObservation]:
        """Keep what `sender` answered as far as it counts, and return it.

        An observation that does not count is left out; the member may be faulty.
        """
        good: dict[int, SignedObservation] = {}
        for one in answer.observations:
            if one.member != sender or one.window in good:
                continue
            try:
                check_observation(one, facts, self._domain)
            except RefusedError as error:
                _log.info("oracle: observation left out", member=sender, reason=str(error))
                continue
            good[one.window] = one
        kept = list(good.values())
        self._store.put_observations(kept)
        return kept

    def draft(
        self, facts: RoundFacts, turn: int, observations: Iterable[SignedObservation]
    ) -> Draft:
        """Return the report that this member proposes as the leader of a turn."""
        return propose(facts, turn, observations, self._rules, self._domain)

    def proposal(self, draft: Draft) -> Proposal:
        """Return the message that proposes a draft."""
        unsigned = Proposal(
            header=draft.header,
            leaves=draft.leaves,
            observations=draft.observations,
            member=self.address,
        )
        return self._sign(unsigned)

    def check(
        self, proposal: Proposal, facts: RoundFacts, own: Sequence[SignedObservation]
    ) -> Draft:
        """Return the report that a leader proposes if it is what this member computes.

        Raises:
            as `check_proposal`.

        """
        held = (one for asked in facts.windows for one in self._store.observations(asked.window))
        mine = {one.window: one for one in own}
        return check_proposal(proposal, facts, self._rules, self._domain, own=mine, held=held)

    def sign_report(self, draft: Draft, epoch: int) -> ReportSignature:
        """Sign a report that this member computed itself.

        When this returns, header, leaves and observations are on disk, and the entry of the journal
        is where it lasts.

        Raises:
            EquivocationError, JournalError, ChainError: as `Journal.record`.
            StoreError: if the data can't be kept.

        """
        header, header_hash = draft.header, data_hash(draft.header)
        self._store.put_observations(draft.observations)
        self._store.put_report(header, draft.root, draft.leaves)
        entry = Entry(header.window, header.turn, epoch, draft.root, header_hash)
        self._journal.record(entry, window_start=self._windows.start(header.window))
        digest = report_digest(
            self._domain, header.window, header.turn, draft.root, header_hash, epoch
        )
        return ReportSignature(
            window=header.window,
            turn=header.turn,
            root=draft.root,
            data_hash=header_hash,
            member=self.address,
            signature=self._signer.sign_digest(digest),
        )

    def reconcile(self, reports: Iterable[ReportState], committee: Committee, now: int) -> bool:
        """Hold the journal against the chain; return whether it turned out to lack a signature.

        A report on chain with this member's signature that the journal does not know shows that the
        journal was lost or restored from a copy. No window that began before `now` is signed then.

        Args:
            reports: accepted reports, vetoed ones included.
            committee: the committee of the latest books.
            now: the chain's time in Unix seconds.

        Raises:
            JournalError, ChainError: if the journal can't be read or written.

        """
        if self.address not in committee.members:
            return False
        began_at = self._journal.began_at
        for report in reports:
            if report.epoch != committee.epoch or not self._signed(report, committee):
                continue
            if self._windows.start(report.window) < began_at:
                continue
            known = self._journal.root_of(report.window, report.turn, report.epoch)
            if known != report.root:
                _log.error("oracle: the signing journal lacks a signature", window=report.window)
                self._journal.bar_before(now)
                return True
        return False

    def _signed(self, report: ReportState, committee: Committee) -> bool:
        seat = committee.seats[committee.members.index(self.address)]
        return bool(report.signers >> seat & 1)

    def _sign(self, message: S) -> S:
        signature = self._signer.sign_digest(message.digest(self._domain))
        return message.model_copy(update={"signature": signature})


def _refitted(known: SignedObservation, facts: WindowFacts, epoch: int) -> SignedObservation:
    """Return an observation with these facts and epoch; the same one if they are its own."""
    figures = dict(zip(known.pairs, known.figures, strict=True))
    update = {
        "committee_epoch": epoch,
        "snapshot_hash": facts.snapshot_hash,
        "pairs": facts.pairs,
        "figures": tuple(figures.get(pair, UNKNOWN) for pair in facts.pairs),
    }
    return known.model_copy(update=update)
