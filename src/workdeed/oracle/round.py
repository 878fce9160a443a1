"""The signing round: who may ask what when, what a member observes, proposes, and accepts.

Pure: everything follows from the facts of the chain as this member reads them, the messages, and
the time that the caller names. `member` adds what must last, `service` the network.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from workdeed.oracle.committee import Committee
from workdeed.oracle.errors import ForbiddenError, NotYetError, RefusedError, RoundOverError
from workdeed.oracle.ledger import Ledger
from workdeed.oracle.settings import RoundRules
from workdeed.oracle.settlement import (
    Base,
    PairWindow,
    Settlement,
    WindowFigures,
    could_settle,
    settle_report,
)
from workdeed.oracle.tallies import WindowTally
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.figures import Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Proposal, ReportSignature, Signatures, SignedObservation
from workdeed.protocol.report import ReportHeader, data_hash, encode_leaves, report_tree
from workdeed.protocol.windows import WindowClock


class Turn(NamedTuple):
    """An attempt of a window's round."""

    window: int
    number: int
    leader: str


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """What is to be observed in a window.

    Attributes:
        window: the window.
        snapshot_hash: the last block before its start.
        pairs: the service pairs in force at that block, in order.

    """

    window: int
    snapshot_hash: bytes
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """All that the chain says about the round of a window, as one member reads it.

    Attributes:
        window: the window.
        committee: the members of the current epoch.
        base: what the report builds on.
        snapshot_hash: the last block before the window's end.
        ledger: the jobs at that block.
        windows: those to be settled, ascending: `windows_asked` of the base.

    """

    window: int
    committee: Committee
    base: Base
    snapshot_hash: bytes
    ledger: Ledger
    windows: tuple[WindowFacts, ...]

    def of(self, window: int) -> WindowFacts | None:
        """Return the facts of one of the windows to be settled."""
        return next((one for one in self.windows if one.window == window), None)


@dataclass(frozen=True, slots=True)
class Draft:
    """A report as a member computed it.

    Attributes:
        header: says how it came about.
        leaves: `leaves.bin`.
        root: of the tree over the leaves.
        settlement: what the pairs settled on.
        observations: those it follows from, ascending by (window, member).

    """

    header: ReportHeader
    leaves: bytes
    root: bytes
    settlement: Settlement
    observations: tuple[SignedObservation, ...]


def turn_now(
    clock: WindowClock, now: float, rules: RoundRules, committee: Committee
) -> Turn | None:
    """Return the turn that the time `now` gives; None before window 1 is over.

    The round of a window lasts through the next one, so there is always one window at most.
    """
    window = clock.at(int(now)) - 1
    if window < 1 or not committee.members:
        return None
    number = clock.turn_at(now, window, rules.turn_seconds)
    if number is None:
        return None
    return Turn(window, number, committee.leader(window, number))


def turn_ends(clock: WindowClock, turn: Turn, rules: RoundRules) -> float:
    """Return when a turn is over, in Unix seconds of the chain."""
    end = clock.end(turn.window) + (turn.number + 1) * rules.turn_seconds
    return min(end, clock.end(turn.window + 1))


def check_turn(turn: Turn | None, window: int, number: int, sender: str) -> Turn:
    """Return the turn that the clock gives if `sender` leads it and means it.

    Args:
        turn: as `turn_now` says.
        window: as the message says.
        number: as the message says.
        sender: who signed the message.

    Raises:
        NotYetError: if that turn has not begun here.
        ForbiddenError: if it is over, or another's.

    """
    if turn is None or (window, number) > (turn.window, turn.number):
        raise NotYetError(f"turn: {number} of window {window} has not begun here; ask again soon")
    if (window, number) < (turn.window, turn.number):
        raise ForbiddenError("turn", f"it is turn {turn.number} of window {turn.window} by now")
    if sender != turn.leader:
        raise ForbiddenError("member", f"{turn.leader} leads this turn")
    return turn


def check_due(window: int, base_window: int, veto_floor: int) -> None:
    """Return if a report of `window` would still be taken by the contract.

    Raises:
        RoundOverError: if a report covers it, or a veto used it up.

    """
    if window <= base_window:
        raise RoundOverError(f"window: {window} is covered by the report of {base_window}")
    if window <= veto_floor:
        raise RoundOverError(f"window: {window} was used up by a veto, up to {veto_floor}")


def observe(
    facts: WindowFacts, tally: WindowTally, committee_epoch: int, member: str
) -> SignedObservation:
    """Return the observation, still unsigned, of what was measured in a window."""
    return SignedObservation(
        window=facts.window,
        committee_epoch=committee_epoch,
        snapshot_hash=facts.snapshot_hash,
        evidence_root=tally.evidence_root,
        pairs=facts.pairs,
        figures=tally.figures,
        member=member,
    )


def check_observation(one: SignedObservation, facts: RoundFacts, domain: Domain) -> None:
    """Return if an observation counts in this round.

    Raises:
        RefusedError: if its window is not asked for, it is of another epoch, no member's, over
            other pairs or another snapshot than this member reads, or not signed by its member.

    """
    asked = facts.of(one.window)
    if asked is None:
        raise RefusedError("window", f"an observation of {one.window} was not asked for")
    if one.committee_epoch != facts.committee.epoch:
        raise RefusedError("committee_epoch", f"an observation is of {one.committee_epoch}")
    if one.member not in facts.committee.members:
        raise RefusedError("member", f"{one.member} holds no seat")
    if one.snapshot_hash != asked.snapshot_hash:
        raise RefusedError("snapshot_hash", f"window {one.window} starts after another block")
    if one.pairs != asked.pairs:
        raise RefusedError("pairs", f"others are in force in window {one.window}")
    try:
        one.verify(domain)
    except ProtocolError as error:
        raise RefusedError("signature", str(error)) from error


def propose(
    facts: RoundFacts,
    turn: int,
    observations: Iterable[SignedObservation],
    rules: RoundRules,
    domain: Domain,
) -> Draft:
    """Return the report that follows from observations which were checked.

    Raises:
        RefusedError: if one member observed one window twice.
        SettlementError: if the chain's facts contradict each other.

    """
    sorted_observations = tuple(sorted(observations, key=_by_window_and_member))
    settlement = _settle(facts, sorted_observations, rules)
    leaves = encode_leaves(settlement.leaves)
    base_window, base_root = facts.base.named
    header = ReportHeader(
        window=facts.window,
        turn=turn,
        base_window=base_window,
        base_root=base_root,
        snapshot_hash=facts.snapshot_hash,
        observations=tuple(one.digest(domain) for one in sorted_observations),
        open=settlement.open,
        leaves_hash=keccak(leaves),
    )
    root = report_tree(settlement.leaves).root
    return Draft(header, leaves, root, settlement, sorted_observations)


def has_enough(facts: RoundFacts, observations: Iterable[SignedObservation]) -> int | None:
    """Return the first window that a quorum did not observe, None if each was.

    The quorum that signs can also observe, be it as unknown; so a leader has no excuse for leaving
    members out, and can't leave windows open at will.
    """
    counts = {one.window: 0 for one in facts.windows if one.pairs}
    for one in observations:
        if one.window in counts:
            counts[one.window] += 1
    return next((w for w, count in counts.items() if count < facts.committee.quorum), None)


def check_proposal(
    proposal: Proposal,
    facts: RoundFacts,
    rules: RoundRules,
    domain: Domain,
    *,
    own: Mapping[int, SignedObservation],
    held: Iterable[SignedObservation] = (),
) -> Draft:
    """Return the report as this member computes it, if that is the one proposed.

    Turn, leader and envelope were checked before (`check_turn`).

    Args:
        proposal: the leader's.
        facts: of the same window, as this member reads them.
        rules: of the round.
        domain: the committee's.
        own: this member's observations, by window.
        held: observations of others that this member has, wherever from; not looked at where
            nothing stays open.

    Raises:
        NotYetError: if it builds on a report that was not read here yet.
        RefusedError: naming what differs.

    """
    try:
        proposal.check_pins(domain)
    except ProtocolError as error:
        raise RefusedError("header", str(error)) from error
    _check_frame(proposal.header, facts)
    for one in proposal.observations:
        check_observation(one, facts, domain)
    _check_own(proposal.observations, own)
    lacking = has_enough(facts, proposal.observations)
    if lacking is not None:
        raise RefusedError("observations", f"window {lacking} is not observed by a quorum")
    draft = propose(facts, proposal.header.turn, proposal.observations, rules, domain)
    if draft.header.open != proposal.header.open:
        raise RefusedError("open", "other pairs stay open by these observations")
    if draft.leaves != proposal.leaves:
        raise RefusedError("leaves", "others follow from these observations")
    _check_nothing_held_back(draft, facts, chain(own.values(), held), domain)
    return draft


def assemble(
    draft_header: ReportHeader, root: bytes, signatures: Iterable[ReportSignature]
) -> Signatures:
    """Return all signatures of a report in ascending order of their signers, as it is submitted.

    Signatures of another root, header or turn are left out.
    """
    header_hash = data_hash(draft_header)
    fitting = {
        one.member: one
        for one in signatures
        if (one.window, one.turn, one.root, one.data_hash)
        == (draft_header.window, draft_header.turn, root, header_hash)
    }
    ascending = sorted(fitting, key=str.lower)
    return Signatures(
        header=draft_header,
        root=root,
        signatures=tuple(fitting[member].signature for member in ascending),
    )


def _settle(
    facts: RoundFacts, observations: Sequence[SignedObservation], rules: RoundRules
) -> Settlement:
    keys = [_by_window_and_member(one) for one in observations]
    if len(set(keys)) != len(keys):
        raise RefusedError("observations", "one member observed one window twice")
    rows: dict[int, list[tuple[int, ...]]] = {one.window: [] for one in facts.windows}
    for one in observations:
        rows[one.window].append(one.figures)
    return settle_report(
        facts.base,
        [WindowFigures(one.window, one.pairs, tuple(rows[one.window])) for one in facts.windows],
        facts.ledger,
        window=facts.window,
        open_windows=rules.open_windows,
        members=facts.committee.size,
    )


def _check_frame(header: ReportHeader, facts: RoundFacts) -> None:
    """Check window, base and snapshot."""
    if header.window != facts.window:
        raise RefusedError("window", f"it must be {facts.window}")
    named = facts.base.named
    if header.base_window > facts.base.window:
        raise NotYetError(f"base: no report of window {header.base_window} was read here yet")
    if (header.base_window, header.base_root) != named:
        raise RefusedError(
            "base", f"it must be the report of window {named[0]} with the root {named[1].hex()}"
        )
    if header.snapshot_hash != facts.snapshot_hash:
        raise RefusedError("snapshot_hash", "the window ends after another block")


def _check_own(
    observations: Iterable[SignedObservation], own: Mapping[int, SignedObservation]
) -> None:
    """Check that nobody speaks in this member's name."""
    for one in observations:
        mine = own.get(one.window)
        if mine is not None and one.member == mine.member and one != mine:
            raise RefusedError("observations", f"window {one.window}: mine is another")


def _check_nothing_held_back(
    draft: Draft, facts: RoundFacts, held: Iterable[SignedObservation], domain: Domain
) -> None:
    """Refuse to leave open what is settled with the observations that are held here."""
    waiting = {PairWindow.of(one) for one in draft.header.open}
    if not waiting:
        return
    known = {_by_window_and_member(one): one for one in _valid(held, facts, domain)}
    known |= {_by_window_and_member(one): one for one in draft.observations}
    places = {one.window: {pair: at for at, pair in enumerate(one.pairs)} for one in facts.windows}
    for window, pair in sorted(waiting, key=lambda one: one.as_open().key):
        at = places[window][pair]
        figures = [one.figures[at] for one in known.values() if one.window == window]
        if could_settle(figures, facts.committee.size):
            raise RefusedError(
                "open",
                f"job {pair.job_id}, license {pair.license_id} in window {window} is settled by"
                " observations that are held here",
            )


def _valid(
    held: Iterable[SignedObservation], facts: RoundFacts, domain: Domain
) -> Iterable[SignedObservation]:
    for one in held:
        try:
            check_observation(one, facts, domain)
        except RefusedError:
            continue
        yield one


def _by_window_and_member(one: SignedObservation) -> tuple[int, str]:
    return one.window, one.member.lower()
