"""The connection to a container engine: Docker's or Podman's API on a unix socket.

The docker SDK blocks, so every call runs in a thread of a small pool. Whatever goes wrong becomes
one of two errors: the engine said no, or it can't be asked.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from workdeed.node.errors import DriverDownError, DriverError
from workdeed.node.files import write_atomic

T = TypeVar("T")

OLDEST_API: Final = (1, 41)
PODMAN: Final = "podman"
DOCKER: Final = "docker"

_SYSTEM_SOCKETS: Final = ("/run/podman/podman.sock", "{runtime}/podman/podman.sock")
_DOCKER_SOCKET: Final = "/run/docker.sock"
_NOT_FOUND: Final = 404
_LONG_CALLS: Final = 4


class EngineDownError(DriverDownError):
    """The engine can't be asked now: nothing is known of its containers."""


class EngineRefusedError(DriverError):
    """The engine answered, and it said no.

    Attributes:
        status: of its HTTP answer.

    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status

    @property
    def missing(self) -> bool:
        """Whether it says that there is no such thing."""
        return self.status == _NOT_FOUND


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself; `missing_limits` are those that it can't enforce."""

    kind: str
    version: str
    api: tuple[int, ...]
    missing_limits: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)


def default_sockets() -> tuple[str, ...]:
    """Return where an engine may listen here, the likeliest first."""
    found = []
    address = urlsplit(os.environ.get("DOCKER_HOST", ""))
    if address.scheme == "unix":
        found.append(address.path)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for template in _SYSTEM_SOCKETS:
        if runtime or "{runtime}" not in template:
            found.append(template.format(runtime=runtime))
    return (*found, _DOCKER_SOCKET)


class Engine:
    """A container engine; connects when it is first asked, and again after it was gone.

    The socket is remembered in a file as soon as there is a container behind it: were another
    engine asked after a restart of the agent, it would know none of the containers, and all would
    be started a second time.
    """

    def __init__(self, socket: str | None, memory: Path, workers: int, timeout: float) -> None:
        """Use the engine at `socket`.

        Args:
            socket: path of a unix socket; None for the one in `memory`, else the first that
                answers of the usual ones.
            memory: the file that remembers the socket.
            workers: calls at one time.
            timeout: seconds that the engine may be silent in one call.

        """
        self._socket = socket
        self._memory = memory
        self._timeout = timeout
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="engine")
        self._long_pool = ThreadPoolExecutor(_LONG_CALLS, thread_name_prefix="engine-pull")
        self._lock = threading.Lock()
        self._client: Any = None
        self._kind = ""
        self._connected_to = ""
        self._closed = False

    async def call(self, what: str, function: Callable[[Any], T], *, takes_long: bool = False) -> T:
        """Return `function(client)`, run in a thread.

        Args:
            what: is done, for the error's text.
            function: gets the SDK's `APIClient`.
            takes_long: run it beside the calls that are short.

        Raises:
            EngineRefusedError: if the engine says no.
            EngineDownError: if it can't be asked.

        """
        if self._closed:
            raise EngineDownError(f"engine: {what}: the driver is closed; make another")
        pool = self._long_pool if takes_long else self._pool
        return await asyncio.get_running_loop().run_in_executor(pool, self._call, what, function)

    async def facts(self) -> EngineFacts:
        """Return what the engine says of itself; see `call` for errors."""
        return await self.call("looking at it", _facts)

    async def kind(self) -> str:
        """Return `podman` or `docker`; see `call` for errors."""
        if not self._kind:
            self._kind = (await self.facts()).kind
        return self._kind

    async def ping(self) -> None:
        """Return if the engine answers; see `call` for errors."""
        await self.call("looking at it", lambda client: client.ping())

    def remember(self) -> None:
        """Ask this engine also after a restart of the agent: it has containers now."""
        found = self._connected_to.encode()
        if not self._memory.exists() or self._memory.read_bytes() != found:
            write_atomic(self._memory, found)

    def close(self) -> None:
        """Give connections and threads back; what runs in the engine runs on."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._long_pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._drop()

    def _call(self, what: str, function: Callable[[Any], T]) -> T:
        import requests
        import urllib3
        from docker import errors

        try:
            return function(self._connected())
        except errors.APIError as error:
            text = str(error.explanation or error).strip()
            raise EngineRefusedError(f"engine: {what}: {text}", error.status_code or 0) from error
        except requests.JSONDecodeError as error:
            # Podman answers with nothing when a container ends while it is measured.
            raise EngineRefusedError(f"engine: {what}: its answer is no JSON", 0) from error
        except (
            errors.DockerException,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            with self._lock:
                self._drop()
            raise EngineDownError(
                f"engine: {what}: it does not answer ({error}); start Podman or Docker"
            ) from error

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        import docker

        reasons = []
        for socket in self._candidates():
            try:
                if not Path(socket).is_socket():
                    reasons.append(f"{socket} is no socket")
                    continue
                client = docker.APIClient(
                    base_url=f"unix://{socket}",
                    version="auto",
                    timeout=self._timeout,
                    max_pool_size=self._workers + _LONG_CALLS,
                )
            except (docker.errors.DockerException, OSError) as error:
                reasons.append(f"{socket}: {error}")
                continue
            self._connected_to = socket
            return client
        raise EngineDownError(
            f"engine: none answers ({'; '.join(reasons)}); start Podman or Docker, or set socket"
        )

    def _candidates(self) -> Sequence[str]:
        if self._socket is not None:
            return (self._socket,)
        with contextlib.suppress(FileNotFoundError):
            return (self._memory.read_text(encoding="utf-8"),)
        return default_sockets()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _facts(client: Any) -> EngineFacts:
    version, info = client.version(), client.info()
    names = {part.get("Name", "") for part in version.get("Components") or ()}
    kind = PODMAN if any("podman" in name.lower() for name in names) else DOCKER
    wanted = {"MemoryLimit": "memory", "CpuCfsQuota": "cpu", "PidsLimit": "processes"}
    security = " ".join(info.get("SecurityOptions") or ())
    return EngineFacts(
        kind=kind,
        version=str(version.get("Version", "")),
        api=tuple(int(part) for part in str(version["ApiVersion"]).split(".")),
        missing_limits=tuple(word for name, word in wanted.items() if info.get(name) is False),
        attributes={
            "cgroups": str(info.get("CgroupVersion") or ""),
            "rootless": "yes" if "rootless" in security else "no",
            "storage_driver": str(info.get("Driver") or ""),
        },
    )
