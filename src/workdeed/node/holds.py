"""What payers stopped by their own word: the signed requests, kept to be shown to oracles.

Whoever stops a workload so pays for it all the same; the request is the node's proof that it does
not serve because it was told to.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import structlog

from workdeed.node.errors import StateError
from workdeed.node.files import private_directory, sync_directory, write_atomic
from workdeed.protocol.errors import MessageError
from workdeed.protocol.noderequest import NodeRequest

HOLDING: Final = "stop"
"""The action that is kept."""

_log = structlog.get_logger(__name__)


class Holds:
    """The stops of services that are stopped still: of each service, the last one of each account.

    One account's stop must not take the place of another's: a delegate's counts only for as long
    as its grant lasts.

    Args:
        directory: made if it is missing.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)

    def note(self, request: NodeRequest) -> None:
        """Keep a stop that was allowed; it is on disk after this."""
        if request.action == HOLDING:
            write_atomic(self._directory / _name(request), request.to_json())

    def of(self, job_id: int) -> list[NodeRequest]:
        """Return the stops that are kept of a job, but those whose files are damaged.

        Raises:
            StateError: if the files of all are damaged.

        """
        found: list[NodeRequest] = []
        damage: StateError | None = None
        for path in self._paths(job_id):
            try:
                found.append(_read(path))
            except StateError as error:
                _log.warning("node: a stop can't be shown to oracles", error=str(error))
                damage = error
        if damage is not None and not found:
            raise damage
        return found

    def keep(self, job_id: int, stopped: Collection[tuple[int, str]]) -> None:
        """Drop the stops of a job but those of the services that are stopped still.

        Args:
            job_id: of the job.
            stopped: revision and name of each such service.

        """
        paths = self._paths(job_id)
        self._drop([path for path in paths if not (stopped and _is_of(path, stopped))])

    def forget(self, job_id: int) -> None:
        """Drop what is held of a job, as when nothing of it is stopped any more, or it is over."""
        self._drop(self._paths(job_id))

    def _drop(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        if paths:
            sync_directory(self._directory)

    def _paths(self, job_id: int) -> list[Path]:
        # Earlier releases kept the last stop of a job alone, by the number of the job.
        before = self._directory / f"{job_id}.json"
        found = sorted(self._directory.glob(f"{job_id}-*.json"))
        return [before, *found] if before.exists() else found


def _name(request: NodeRequest) -> str:
    account = request.account.lower().removeprefix("0x")
    return f"{request.job_id}-{request.revision}-{request.service}-{account}.json"


def _is_of(path: Path, services: Collection[tuple[int, str]]) -> bool:
    try:
        request = _read(path)
    except StateError:
        # It is told where it is to be shown; what is done to services does not depend on it.
        return True
    return (request.revision, request.service) in services


def _read(path: Path) -> NodeRequest:
    try:
        return NodeRequest.parse(path.read_bytes())
    except (MessageError, OSError) as error:
        raise StateError(f"state_dir: holds/{path.name} is damaged; remove it") from error
