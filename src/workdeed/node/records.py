"""What the agent remembers of each job, in one file a job, so that a restart resumes.

The file is the agent's intent, written before anything follows from it; what really runs is the
driver's record.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workdeed.intent import spec_hash
from workdeed.node.errors import StateError
from workdeed.node.files import private_directory, read_json, sync_directory, write_json
from workdeed.node.lifecycle import Cause
from workdeed.protocol.signing import to_checksum

MAX_BAD = 32
"""How many versions that failed are remembered of one service."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Which version of a service runs.

    Attributes:
        version: the one that is wanted, "" before it is known.
        good: the last one that was well for long enough, "" before there is one.
        bad: those that were given up, which are not taken again.

    """

    version: str = ""
    good: str = ""
    bad: tuple[str, ...] = ()

    def giving_up(self, version: str) -> "Pin":
        """Return the pin that goes back to the good version and never takes `version` again."""
        return replace(self.refusing(version), version=self.good)

    def refusing(self, version: str) -> "Pin":
        """Return the pin that never takes `version`."""
        return replace(self, bad=(*self.bad, version)[-MAX_BAD:])


@dataclass(frozen=True, slots=True)
class End:
    """An end of a service that the next run of the agent has to know of.

    Attributes:
        cause, reason: why it ended, or was asked to.
        for_good: whether it has ended, and its restart policy starts it no more. Else its process
            was asked to end, which may come only later: the wait for it may be called off, or the
            agent end meanwhile.

    """

    cause: Cause
    reason: str
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class Revision:
    """One accepted dispatch.

    Attributes:
        spec: canonical bytes.
        ports: the port that each `service.port` was last given.
        pins: which version of each service runs.
        stopped: services that the payer stopped by a command.
        failed: why the revision was given up here, "" while it was not.
        ends: of services that were asked to end, or ended for good, and were not started since.

    """

    number: int
    spec: bytes
    ports: Mapping[str, int] = field(default_factory=dict)
    pins: Mapping[str, Pin] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    failed: str = ""
    ends: Mapping[str, End] = field(default_factory=dict)

    @property
    def spec_hash(self) -> bytes:
        """The hash that stands on chain."""
        return spec_hash(self.spec)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What this node does for one job.

    Attributes:
        revisions: one or two, ascending. The last is the one wanted; one before it serves until
            that is ready, and is kept after that until it is sure not to be needed any more.
        serving: number of the revision that may run.
        retired: the last window that this node may have served it, None while it serves. A retired
            job is kept until no report holds anything for it any more.
        confirmed: number of the block that last confirmed a dispatch; no earlier one can end it.
        payer: the job's payer on chain, to whom its secrets must be sealed; "" while not known.

    """

    escrow: str
    job_id: int
    revisions: tuple[Revision, ...]
    serving: int
    retired: int | None = None
    confirmed: int = 0
    payer: str = ""

    @property
    def wanted(self) -> Revision:
        """The revision to run in the end."""
        return self.revisions[-1]

    @property
    def has_stops(self) -> bool:
        """Whether its payer has stopped a service of any revision."""
        return any(one.stopped for one in self.revisions)

    def of(self, number: int) -> Revision:
        """Return the revision `number`, which the record must hold."""
        return next(one for one in self.revisions if one.number == number)

    def changing(self, number: int, **changes: Any) -> "JobRecord":
        """Return the record with fields of revision `number` changed."""
        revisions = tuple(
            replace(one, **changes) if one.number == number else one for one in self.revisions
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
        "confirmed": record.confirmed,
        "payer": record.payer,
        "retired": record.retired,
        "serving": record.serving,
        "revisions": [
            {
                "number": one.number,
                "spec": base64.b64encode(one.spec).decode(),
                "ports": dict(one.ports),
                "pins": {
                    name: {"version": pin.version, "good": pin.good, "bad": list(pin.bad)}
                    for name, pin in one.pins.items()
                },
                "stopped": list(one.stopped),
                "failed": one.failed,
                "ends": {
                    name: {
                        "cause": end.cause.value,
                        "reason": end.reason,
                        "for_good": end.for_good,
                    }
                    for name, end in one.ends.items()
                },
            }
            for one in record.revisions
        ],
    }


def _decode(value: Any, name: str) -> JobRecord:
    try:
        return JobRecord(
            escrow=to_checksum(value["escrow"]),
            job_id=int(value["job_id"]),
            revisions=tuple(_revision(one) for one in value["revisions"]),
            serving=int(value["serving"]),
            retired=value["retired"],
            # Records of earlier releases lack the two.
            confirmed=int(value.get("confirmed", 0)),
            payer=str(value.get("payer", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"state_dir: jobs/{name} is damaged; remove it") from error


def _revision(value: Any) -> Revision:
    pins = {
        name: Pin(pin["version"], pin["good"], tuple(pin["bad"]))
        for name, pin in value["pins"].items()
    }
    return Revision(
        number=int(value["number"]),
        spec=base64.b64decode(value["spec"]),
        ports={name: int(port) for name, port in value["ports"].items()},
        pins=pins,
        stopped=tuple(value["stopped"]),
        failed=str(value["failed"]),
        # Records of earlier releases lack them.
        ends={
            name: End(Cause(end["cause"]), str(end["reason"]), bool(end["for_good"]))
            for name, end in value.get("ends", {}).items()
        },
    )
