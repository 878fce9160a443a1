"""What payers stopped by their own word: the signed requests, kept to be shown to oracles.

Whoever stops a workload so pays for it all the same; the request is the node's proof that it does
not serve because it was told to.
"""

from pathlib import Path
from typing import Final

from workdeed.node.errors import StateError
from workdeed.node.files import private_directory, sync_directory, write_atomic
from workdeed.protocol.errors import MessageError
from workdeed.protocol.noderequest import NodeRequest

HOLDING: Final = "stop"
"""The action that is kept."""

_RELEASING: Final = frozenset({"restart", "resume"})


class Holds:
    """The last stop of each job that no later request has lifted, one file a job.

    Args:
        directory: made if it is missing.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)

    def note(self, request: NodeRequest) -> None:
        """Take notice of a request that was allowed; what follows from it is on disk after this.

        A restart or resume of any service lifts the hold: the node has something to serve again.
        """
        if request.action == HOLDING:
            write_atomic(self._path(request.job_id), request.to_json())
        elif request.action in _RELEASING:
            self.forget(request.job_id)

    def of(self, job_id: int) -> NodeRequest | None:
        """Return the stop that is in force for a job.

        Raises:
            StateError: if its file is damaged.

        """
        try:
            data = self._path(job_id).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return NodeRequest.parse(data)
        except MessageError as error:
            raise StateError(f"state_dir: holds/{job_id}.json is damaged; remove it") from error

    def forget(self, job_id: int) -> None:
        """Drop what is held of a job, as when the job is over."""
        self._path(job_id).unlink(missing_ok=True)
        sync_directory(self._directory)

    def _path(self, job_id: int) -> Path:
        return self._directory / f"{job_id}.json"
