"""Chooses the licenses of a job: who is released, and who takes the free slots.

The choice is a function of one block: every oracle that reads the same block with the same profiles
and specs makes the same one, in whatever order it learned them.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from workdeed.chain.books import JobState
from workdeed.intent import Spec
from workdeed.intent.wishes import preference
from workdeed.placement.rules import (
    ELIGIBLE,
    View,
    could_serve,
    is_draining,
    lost,
    obstacle,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_PLACEMENT


class Placement(NamedTuple):
    """What a placement message says.

    Attributes:
        release: licenses that stop after this window, ascending.
        assign: licenses that begin in the next window, in the order of their choice.

    """

    release: tuple[int, ...]
    assign: tuple[int, ...]


class _Candidate(NamedTuple):
    """An eligible license; candidates compare by tier, then rank."""

    tier: int
    rank: bytes
    license_id: int
    owner: str


def choose(view: View, job_id: int, *, skipped: Collection[int] = frozenset()) -> Placement | None:
    """Return the placement of a job that is due, None if there is nothing to change.

    Free slots come first. What candidates are left then take the place of licenses that drain; one
    without a replacement stays, so that no slot is empty for its sake.

    Args:
        view: what it follows from.
        job_id: the job.
        skipped: candidates that can't be reached and are passed over.

    Raises:
        PlacementError: if there is no such job.

    """
    job = view.job(job_id)
    if not view.is_placeable(job):
        return None
    release = tuple(sorted(releases(view, job_id)))[:MAX_PLACEMENT]
    free = max(0, min(job.slots - job.active + len(release), MAX_PLACEMENT))
    leaving, staying = _remaining(view, job_id, release)
    most = min(free + len(leaving), free + MAX_PLACEMENT - len(release), MAX_PLACEMENT)
    assign = tuple(_pick(view, job, staying, set(skipped), most)) if most > 0 else ()
    if job.start == 0 and len(assign) < job.min_slots:
        return None
    replaced = leaving[: max(0, len(assign) - free)]
    release = tuple(sorted((*release, *replaced)))
    return Placement(release, assign) if release or assign else None


def queue(
    view: View, job_id: int, count: int, *, skipped: Collection[int] = frozenset()
) -> tuple[int, ...]:
    """Return the first `count` candidates of a job, in the order in which `choose` takes them.

    Args:
        view: what it follows from.
        job_id: the job.
        count: how many at most.
        skipped: candidates that are left out.

    Raises:
        PlacementError: if there is no such job.

    """
    _, staying = _remaining(view, job_id, releases(view, job_id))
    return tuple(_pick(view, view.job(job_id), staying, set(skipped), count))


def releases(view: View, job_id: int) -> dict[int, str]:
    """Return the placed licenses that must go, with the reason of each.

    Raises:
        PlacementError: if there is no such job.

    """
    if not view.is_placeable(view.job(job_id)):
        return {}
    reasons = {one: _release_reason(view, job_id, one) for one in view.books.placed(job_id)}
    return {license_id: reason for license_id, reason in reasons.items() if reason}


def candidates(
    view: View, class_id: int, spec: Spec, count: int, *, without: Collection[int] = frozenset()
) -> tuple[int, ...]:
    """Return up to `count` licenses that a new job with `spec` could be placed on, best first.

    They are those that `choose` would take in this order if the job were opened now, but for
    chance: where it picks one of several that are as good, it will pick by a block that is not
    there yet. A spec whose secrets are not sealed is taken as if they were, for every license.

    Args:
        view: what it follows from.
        class_id: the job's price class.
        spec: what it wants.
        count: how many at most.
        without: licenses that are left out.

    Raises:
        PlacementError: if there is no such class.

    """
    found: dict[int, list[_Candidate]] = {}
    for license_id, item in view.books.licenses.items():
        if license_id in without or could_serve(view, class_id, spec, license_id) != ELIGIBLE:
            continue
        profile = view.profiles.of(item)
        if profile is not None:
            place = rank(view.block_hash, 0, 0, license_id)
            one = _Candidate(preference(spec, profile), place, license_id, item.owner)
            found.setdefault(one.tier, []).append(one)
    load: Counter[str] = Counter(
        view.books.licenses[one].owner for one in without if one in view.books.licenses
    )
    ordered = (one for tier in sorted(found) for one in _spread(found[tier], load))
    return tuple(islice(ordered, count))


def rank(block_hash: bytes, job_id: int, round_: int, license_id: int) -> bytes:
    """Return what orders candidates of one tier: no one can foresee it before the block."""
    words = (number.to_bytes(32, "big") for number in (job_id, round_, license_id))
    return keccak(block_hash + b"".join(words))


def _release_reason(view: View, job_id: int, license_id: int) -> str:
    strikes = view.strikes.get((job_id, license_id), 0)
    if strikes >= view.k:
        return f"it earned nothing in {strikes} reported windows"
    return lost(view, job_id, license_id)


def _remaining(view: View, job_id: int, release: Collection[int]) -> tuple[list[int], list[int]]:
    """Return the placed licenses that need not go: those that drain, and those that stay."""
    others = [one for one in view.books.placed(job_id) if one not in release]
    leaving = [one for one in others if is_draining(view, one)]
    return leaving, [one for one in others if one not in leaving]


def _pick(
    view: View, job: JobState, staying: Iterable[int], skipped: set[int], count: int
) -> Iterator[int]:
    """Yield up to `count` candidates: better tiers first, in a tier the least used operators."""
    spec = view.specs(job.spec_hash)
    if spec is None:
        return
    load = Counter(view.books.licenses[one].owner for one in staying)
    tiers: dict[int, list[_Candidate]] = {}
    for one in _candidates(view, job, spec, skipped):
        tiers.setdefault(one.tier, []).append(one)
    for tier in sorted(tiers):
        for chosen in _spread(tiers[tier], load):
            if count == 0:
                return
            count -= 1
            yield chosen


def _candidates(view: View, job: JobState, spec: Spec, skipped: set[int]) -> Iterator[_Candidate]:
    for license_id, item in view.books.licenses.items():
        if license_id in skipped or obstacle(view, job.job_id, license_id) != ELIGIBLE:
            continue
        profile = view.profiles.of(item)
        if profile is not None:
            place = rank(view.block_hash, job.job_id, job.round, license_id)
            yield _Candidate(preference(spec, profile), place, license_id, item.owner)


def _spread(candidates: Iterable[_Candidate], load: Counter[str]) -> Iterator[int]:
    """Yield the licenses of one tier, each of an operator with the fewest; `load` is kept up."""
    queues: dict[str, list[_Candidate]] = {}
    for one in sorted(candidates, reverse=True):
        queues.setdefault(one.owner, []).append(one)
    heap = [(load[owner], queue[-1], owner) for owner, queue in queues.items()]
    heapq.heapify(heap)
    while heap:
        _, chosen, owner = heapq.heappop(heap)
        queues[owner].pop()
        load[owner] += 1
        yield chosen.license_id
        if queues[owner]:
            heapq.heappush(heap, (load[owner], queues[owner][-1], owner))
