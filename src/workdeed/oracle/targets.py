"""Whom to probe in a window, and about what. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from workdeed.chain.books import Books, JobState
from workdeed.oracle.ledger import service_pairs
from workdeed.protocol.figures import Pair


@dataclass(frozen=True, slots=True)
class JobTarget:
    """A job that a node is probed about.

    Attributes:
        pair: the job and the license.
        measured: the revision that counts in the window; a newer one counts too.
        revisions: spec hash of every revision so far.
        term: first window of the license's term.
        since: the window from which `measured` counts, or of the term if that is later.
        rolls: whether the license may have served an older revision in its term, and so has to roll
            out `measured`; one that came later starts it at once.
        replicas: how many licenses the job pays for.

    """

    pair: Pair
    measured: int
    revisions: Mapping[int, bytes]
    term: int
    since: int
    rolls: bool
    replicas: int


@dataclass(frozen=True, slots=True)
class Target:
    """A node.

    Attributes:
        license_id: its license.
        node: the node key that must sign, None if no node is linked: nothing it says counts then.
        endpoint: where it answers, "" if it told nobody.
        jobs: its jobs in the window.

    """

    license_id: int
    node: str | None
    endpoint: str
    jobs: tuple[JobTarget, ...]


def targets_of(start: Books, latest: Books, window: int) -> tuple[Target, ...]:
    """Return the nodes to probe in `window`, by license.

    Args:
        start: the books at the last block before the window, which say who serves in it.
        latest: the latest books, which say where nodes are now and what may run.
        window: the window.

    """
    jobs: dict[int, list[JobTarget]] = {}
    for pair in service_pairs(start, window):
        job = latest.jobs.get(pair.job_id) or start.jobs[pair.job_id]
        term = _term(start, pair, window)
        jobs.setdefault(pair.license_id, []).append(_job_target(pair, job, window, term))
    return tuple(_target(latest, license_id, jobs[license_id]) for license_id in sorted(jobs))


def _target(latest: Books, license_id: int, jobs: list[JobTarget]) -> Target:
    item = latest.licenses[license_id]
    return Target(license_id, item.node, item.endpoint, tuple(jobs))


def _job_target(pair: Pair, job: JobState, window: int, term: int) -> JobTarget:
    measured = job.measured(window)
    counts_from = measured.window + 1 if measured.revision else 0
    return JobTarget(
        pair=pair,
        measured=measured.revision,
        revisions={one.revision: one.spec_hash for one in job.revisions},
        term=term,
        since=max(term, counts_from),
        rolls=counts_from >= term,
        replicas=job.slots,
    )


def _term(start: Books, pair: Pair, window: int) -> int:
    """Return the first window of the term that `window` falls into."""
    service = start.assignments[pair.job_id, pair.license_id]
    terms = (*service.past, (service.first, service.until))
    return next(first for first, until in terms if first <= window < until)
