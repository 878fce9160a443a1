"""What the agent remembers of each job, in one file a job, so that a restart resumes.

The file is the agent's intent, written before anything follows from it; what really runs is the
driver's record.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workdeed.intent import spec_hash
from workdeed.node.errors import StateError
from workdeed.node.files import private_directory, read_json, sync_directory, write_json
from workdeed.protocol.signing import to_checksum


@dataclass(frozen=True, slots=True)
class Revision:
    """One accepted dispatch.

    Attributes:
        spec: canonical bytes.
        port: the port it was last given, None before or without one.

    """

    number: int
    spec: bytes
    port: int | None = None

    @property
    def spec_hash(self) -> bytes:
        """The hash that stands on chain."""
        return spec_hash(self.spec)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What this node does for one job.

    Attributes:
        revisions: ascending; the last is the one wanted, one before it serves until that is ready.
        retired: the last window that this node may have served it, None while it serves. A retired
            job is kept until no report holds anything for it any more.

    """

    escrow: str
    job_id: int
    revisions: tuple[Revision, ...]
    retired: int | None = None

    @property
    def wanted(self) -> Revision:
        """The revision to run in the end."""
        return self.revisions[-1]

    def with_port(self, number: int, port: int | None) -> "JobRecord":
        """Return the record with the port of revision `number`."""
        revisions = tuple(
            replace(one, port=port) if one.number == number else one for one in self.revisions
        )
        return replace(self, revisions=revisions)


class JobStore:
    """The records of all jobs, in one folder."""

    def __init__(self, directory: Path) -> None:
        """Keep records in `directory`."""
        self._directory = private_directory(directory)

    def load(self) -> Iterator[JobRecord]:
        """Yield all records.

        Raises:
            StateError: if one is damaged; nothing is run on half a memory.

        """
        for path in sorted(self._directory.glob("*.json")):
            yield _decode(read_json(path), path.name)

    def save(self, record: JobRecord) -> None:
        """Write a record; it is on disk when this returns."""
        write_json(self._path(record), _encode(record))

    def remove(self, record: JobRecord) -> None:
        """Forget a job."""
        self._path(record).unlink(missing_ok=True)
        sync_directory(self._directory)

    def _path(self, record: JobRecord) -> Path:
        return self._directory / f"{record.escrow[2:].lower()}-{record.job_id}.json"


def _encode(record: JobRecord) -> dict[str, Any]:
    return {
        "escrow": record.escrow,
        "job_id": record.job_id,
        "retired": record.retired,
        "revisions": [
            {"number": one.number, "spec": base64.b64encode(one.spec).decode(), "port": one.port}
            for one in record.revisions
        ],
    }


def _decode(value: Any, name: str) -> JobRecord:
    try:
        revisions = tuple(
            Revision(int(one["number"]), base64.b64decode(one["spec"]), one["port"])
            for one in value["revisions"]
        )
        escrow = to_checksum(value["escrow"])
        return JobRecord(escrow, int(value["job_id"]), revisions, value["retired"])
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"state_dir: jobs/{name} is damaged; remove it") from error
