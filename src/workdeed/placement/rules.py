"""Which licenses may be placed on a job. A rule that fails is named, for logs and for people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from workdeed.chain.bindings import licenses, registry
from workdeed.chain.bindings.escrow import SERVICE
from workdeed.chain.books import AssignmentState, Books, JobState, LicenseState, PriceClass
from workdeed.intent import Spec
from workdeed.intent.errors import TagError
from workdeed.intent.wishes import unmet_wish
from workdeed.placement.errors import PlacementError
from workdeed.placement.profiles import Profiles
from workdeed.protocol.messages import NodeProfile, Resources

ELIGIBLE: Final = ""
"""What `obstacle` returns where there is none."""

SpecSource = Callable[[bytes], Spec | None]
"""Returns the spec of a hash, None if it is not held."""


@dataclass(frozen=True, slots=True)
class View:
    """All that a placement follows from.

    Attributes:
        books: the state after the snapshot block.
        block_hash: hash of the snapshot block, which ranks candidates.
        timestamp: time of the snapshot block in Unix seconds, at which standings are read.
        window: in which the placement is signed; it takes effect in the next one.
        profiles: what nodes offer.
        specs: what jobs want.
        strikes: by (job, license): reported windows in a row without units, since the second
            window of the license's term.
        k: strikes after which a license is released.

    """

    books: Books
    block_hash: bytes
    timestamp: int
    window: int
    profiles: Profiles
    specs: SpecSource
    strikes: Mapping[tuple[int, int], int]
    k: int = 2

    def job(self, job_id: int) -> JobState:
        """Return a job; raises `PlacementError` if there is none."""
        job = self.books.jobs.get(job_id)
        if job is None:
            raise PlacementError(f"job_id: there is no job {job_id} at the snapshot block")
        return job

    def is_placeable(self, job: JobState) -> bool:
        """Tell whether a placement of `job` can be taken in this window; batch jobs get none."""
        is_over = job.start > 0 and self.window + 1 >= job.end
        return job.kind == SERVICE and not (job.cancelled or job.closed or is_over)


def obstacle(view: View, job_id: int, license_id: int) -> str:
    """Return why a license may not be assigned to a job, `ELIGIBLE` if it may.

    Raises:
        PlacementError: if there is no such job or license.

    """
    job, item = view.job(job_id), _license(view.books, license_id)
    return (
        _chain_obstacle(view, item)
        or _term_obstacle(view, job_id, license_id)
        or _fit_obstacle(view, job.class_id, view.specs(job.spec_hash), item)
    )


def obstacles(view: View, job_id: int) -> dict[int, str]:
    """Return `obstacle` of every node license, by license."""
    nodes = (one for one in view.books.licenses.values() if one.kind == licenses.NODE)
    return {
        one.license_id: obstacle(view, job_id, one.license_id)
        for one in sorted(nodes, key=lambda one: one.license_id)
    }


def lost(view: View, job_id: int, license_id: int) -> str:
    """Return why a placed license may no longer serve a job, "" if it may.

    Its resources are not counted again. What is not held of profile or spec releases nobody, nor
    does a malformed spec or one that wants more than is paid: nodes refuse it and serve the one
    before. Where the spec has secrets that it can't open, it could not start it.
    """
    job, item = view.job(job_id), _license(view.books, license_id)
    reason = _chain_obstacle(view, item)
    spec, profile = view.specs(job.spec_hash), view.profiles.of(item)
    if reason or spec is None:
        return reason
    reason = _seal_obstacle(spec, item)
    if reason or profile is None:
        return reason
    try:
        return unmet_wish(spec, profile)
    except TagError:
        return ELIGIBLE  # a payer's slip of the pen is no reason to stop the service


def is_draining(view: View, license_id: int) -> bool:
    """Tell whether a license wants to be replaced; raises `PlacementError` if there is none."""
    profile = view.profiles.of(_license(view.books, license_id))
    return profile is not None and profile.draining


def could_serve(view: View, class_id: int, spec: Spec, license_id: int) -> str:
    """Return why a license could not be assigned to a new job with `spec`, `ELIGIBLE` if it could.

    Raises:
        PlacementError: if there is no such license or class.

    """
    if class_id not in view.books.classes:
        raise PlacementError(f"class_id: there is no price class {class_id}")
    item = _license(view.books, license_id)
    return _chain_obstacle(view, item) or _fit_obstacle(view, class_id, spec, item)


def free_resources(view: View, item: LicenseState, profile: NodeProfile) -> Resources | None:
    """Return what a node has left beside the jobs it is placed on, None if it is overbooked."""
    left = [profile.resources.cpu_milli, profile.resources.memory_mb, profile.resources.storage_mb]
    for service in view.books.jobs_of(item.license_id):
        if _is_burden(view, service):
            asked = _asked(view.books, view.books.jobs[service.job_id].class_id)
            left = [have - want for have, want in zip(left, asked, strict=True)]
    if min(left) < 0:
        return None
    return Resources(cpu_milli=left[0], memory_mb=left[1], storage_mb=left[2])


def _chain_obstacle(view: View, item: LicenseState) -> str:
    """Check what the contract checks: kind, link, standing, bond, verification."""
    if item.kind != licenses.NODE:
        return "it is no node license"
    if item.node is None:
        return "no node is linked to it"
    standing = view.books.worst_standing(item.license_id, view.timestamp)
    if standing != registry.GOOD:
        return f"license, owner or node is {registry.STANDINGS[standing]}"
    if not item.bonded:
        return "its bond is below the minimum"
    if not view.books.eligible(item.license_id, view.timestamp):
        return "its owner is not verified to the level that policy demands"
    return ELIGIBLE


def _term_obstacle(view: View, job_id: int, license_id: int) -> str:
    """Check that it is not placed, and that a final report covers its last term if it had one."""
    service = view.books.assignments.get((job_id, license_id))
    if service is None:
        return ELIGIBLE
    if service.placed:
        return "it is placed on this job"
    final = view.books.final_report(view.timestamp)
    if (final.window if final else 0) + 1 < service.until:
        return f"no final report covers its release as of window {service.until}"
    return ELIGIBLE


def _fit_obstacle(view: View, class_id: int, spec: Spec | None, item: LicenseState) -> str:
    """Check what a job wants against what the node offers and has left."""
    profile = view.profiles.of(item)
    if spec is None:
        return "the spec of the job is not held"
    if profile is None:
        return "its profile on chain is not held"
    if profile.draining:
        return "it takes no new work"
    try:
        wish = unmet_wish(spec, profile)
    except TagError as error:
        wish = f"the spec is at fault: {error}"
    return (
        _class_obstacle(view.books, class_id, spec)
        or wish
        or _seal_obstacle(spec, item)
        or _room_obstacle(view, class_id, item, profile)
    )


def _seal_obstacle(spec: Spec, item: LicenseState) -> str:
    """Check that the node can open the spec's secrets, if there are any."""
    if spec.secrets is None:
        return ELIGIBLE
    box = spec.secrets.by_license.get(item.license_id)
    if box is None:
        return "the secrets of the spec are not sealed for it"
    if box.node != item.node:
        return "the secrets of the spec are sealed to another node than is linked to it"
    return ELIGIBLE


def _class_obstacle(books: Books, class_id: int, spec: Spec) -> str:
    offered = _asked(books, class_id)
    wanted = (spec.resources.cpu_milli, spec.resources.memory_mb, spec.resources.storage_mb)
    if any(want > have for want, have in zip(wanted, offered, strict=True)):
        return f"the spec wants more than class {class_id} gives"
    return ELIGIBLE


def _room_obstacle(view: View, class_id: int, item: LicenseState, profile: NodeProfile) -> str:
    left = free_resources(view, item, profile)
    have = (left.cpu_milli, left.memory_mb, left.storage_mb) if left else (0, 0, 0)
    if any(want > free for want, free in zip(_asked(view.books, class_id), have, strict=True)):
        return f"it has {have[0]} m CPU, {have[1]} MB memory and {have[2]} MB storage left"
    return ELIGIBLE


def _is_burden(view: View, service: AssignmentState) -> bool:
    """Tell whether a service still takes resources in the next window."""
    job = view.books.jobs[service.job_id]
    serves = service.until > view.window + 1
    return serves and not job.closed and not job.is_over(view.window + 1)


def _asked(books: Books, class_id: int) -> tuple[int, int, int]:
    """Return what one slot of a job takes: what its class gives, whatever the spec says."""
    offer: PriceClass = books.classes[class_id]
    return offer.cpu_milli, offer.memory_mb, offer.storage_mb


def _license(books: Books, license_id: int) -> LicenseState:
    item = books.licenses.get(license_id)
    if item is None:
        raise PlacementError(f"license_id: there is no license {license_id} at the snapshot block")
    return item
