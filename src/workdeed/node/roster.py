"""The jobs of a node: those that run, those that are over, and those that are left alone."""

from collections.abc import Iterable

from workdeed.intent import Spec, SpecError, parse_spec
from workdeed.node.drivers.base import TaskKey
from workdeed.node.jobs import Job
from workdeed.node.leftovers import Held, job_prefix
from workdeed.node.records import JobRecord


class Roster:
    """Knows each job that this node has, and what belongs to it.

    Args:
        license_id: whose jobs they are.

    Attributes:
        jobs: those that are looked after.
        retired: records of those that are over and may still have leaves to come.
        left_alone: records of those that can't be looked after here; what they run and hold is not
            touched.

    """

    def __init__(self, license_id: int) -> None:
        self._license_id = license_id
        self.jobs: dict[int, Job] = {}
        self.retired: dict[int, JobRecord] = {}
        self.left_alone: list[JobRecord] = []

    def all(self) -> list[Job]:
        """Return those that are looked after, ascending."""
        return [job for _, job in sorted(self.jobs.items())]

    def add(self, job: Job) -> None:
        """Look after a job from now on."""
        record = job.record
        self.left_alone = [one for one in self.left_alone if not _is_same(one, record)]
        self.retired.pop(record.job_id, None)
        self.jobs[record.job_id] = job

    def retire(self, job: Job) -> None:
        """Take note that a job is over."""
        del self.jobs[job.record.job_id]
        self.retired[job.record.job_id] = job.record

    def ports(self, *, without: Job) -> set[int]:
        """Return what the services of all other jobs were given."""
        return ports_of(job for job in self.jobs.values() if job is not without)

    def held(self) -> Held:
        """Return what belongs to the jobs, those that are left alone among them."""
        records = [*(job.record for job in self.jobs.values()), *self.left_alone]
        keys: list[TaskKey] = []
        prefixes = []
        for record in records:
            try:
                keys += self._keys(record)
            except SpecError:
                prefixes.append(job_prefix(record.escrow, record.job_id))
        return Held(tuple(keys), tuple(prefixes))

    def keys_left_alone(self, escrow: str, job_id: int, spec: Spec) -> list[TaskKey]:
        """Return what a job may still run that was left alone and is to have another `spec`."""
        found: list[TaskKey] = []
        for record in self.left_alone:
            if (record.escrow, record.job_id) != (escrow, job_id):
                continue
            try:
                found += self._keys(record)
            except SpecError:
                # Those of the new spec are the best guess; the next start finds any others.
                for one in record.revisions:
                    found += self._services(record, one.number, spec)
        return found

    def _keys(self, record: JobRecord) -> list[TaskKey]:
        return [
            key
            for one in record.revisions
            for key in self._services(record, one.number, parse_spec(one.spec))
        ]

    def _services(self, record: JobRecord, revision: int, spec: Spec) -> list[TaskKey]:
        return [
            TaskKey(record.escrow, record.job_id, self._license_id, revision, service)
            for service in spec.services
        ]


def ports_of(jobs: Iterable[Job]) -> set[int]:
    """Return what the services of jobs were given."""
    workloads = (one for job in jobs for pod in job.pods for one in pod.workloads.values())
    return {port for one in workloads for port in one.ports.values()}


def _is_same(one: JobRecord, other: JobRecord) -> bool:
    return (one.escrow, one.job_id) == (other.escrow, other.job_id)
