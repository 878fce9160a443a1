"""What payers stopped by their own word: the signed requests, kept to be shown to oracles.

Whoever stops a workload so pays for it all the same; the request is the node's proof that it does
not serve because it was told to.
"""

import contextlib
from pathlib import Path
from typing import Final

from workdeed.node.errors import StateError
from workdeed.node.files import private_directory, sync_directory, write_atomic
from workdeed.protocol.errors import MessageError
from workdeed.protocol.noderequest import NodeRequest

HOLDING: Final = "stop"
"""The action that is kept."""


class Holds:
    """The last stop of each job of which a service is stopped still, one file a job.

    Args:
        directory: made if it is missing.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)

    def note(self, request: NodeRequest) -> None:
        """Keep a stop that was allowed; it is on disk after this."""
        if request.action == HOLDING:
            write_atomic(self._path(request.job_id), request.to_json())

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
        """Drop what is held of a job, as when nothing of it is stopped any more, or it is over."""
        with contextlib.suppress(FileNotFoundError):
            self._path(job_id).unlink()
            sync_directory(self._directory)

    def _path(self, job_id: int) -> Path:
        return self._directory / f"{job_id}.json"
