"""The runner port, and how runners are found.

A runner is registered in the entry point group `workdeed.runners` under the name that specs use;
the entry point is a callable that takes a `RunnerContext` and returns a `Runner`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

from workdeed.intent import Resources, Service
from workdeed.node.drivers.base import Driver, TaskKey
from workdeed.node.errors import PluginError
from workdeed.node.plugins import installed, load

GROUP: Final = "workdeed.runners"


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What the operator allows runners.

    Attributes:
        allow_private_endpoints: fetch from private and loopback addresses and from local paths.
        fetch_seconds, build_seconds: time for a fetch, and for each build command.
        keep_builds: how many finished builds are kept for later.
        ssh_key, ssh_known_hosts: identity for ssh sources; without it they are refused.
        private: files and folders of the agent that no workload may see: its state and keys.

    """

    allow_private_endpoints: bool = False
    fetch_seconds: float = 120.0
    build_seconds: float = 900.0
    keep_builds: int = 4
    ssh_key: Path | None = None
    ssh_known_hosts: Path | None = None
    private: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What a runner works with.

    Attributes:
        drivers: by name; `process` is always there, whether it can run something its fingerprint
            says.
        directory: a folder of the runner's own.
        options: what the operator allows.

    """

    drivers: Mapping[str, Driver]
    directory: Path
    options: RunnerOptions


@dataclass(frozen=True, slots=True)
class Order:
    """One service that is to be made ready.

    Attributes:
        key: of the task that will serve.
        service: the part of the spec that says what to run.
        resources: what it may use.
        build_env: the variables for builds: those of the spec that hold no secret.
        secrets: opened values of those that the service names; never to be written anywhere.

    """

    key: TaskKey
    service: Service
    resources: Resources
    build_env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """A service ready to run; the agent adds ports, volumes, variables and limits.

    Attributes:
        driver: what runs it.
        directory: the task's own tree.
        argv, subdirectory, mounts, image, entrypoint, user, mount_tree: as in `Task`.
        env: variables that the runner adds to those of the spec.

    """

    driver: Driver
    directory: Path
    argv: tuple[str, ...] = ()
    subdirectory: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Path, ...] = ()
    image: str = ""
    entrypoint: tuple[str, ...] | None = None
    user: str = ""
    mount_tree: bool = True


class Runner(Protocol):
    """Fetches and builds. All methods are safe to repeat, also after a crash of the agent."""

    async def problem(self) -> str:
        """Return why nothing can be run here by this runner, "" if it can.

        A node offers only runners without a problem.
        """

    def check(self, service: Service) -> None:
        """Raise `RunnerError` if this runner can't run `service`, whatever happens."""

    def poll_seconds(self, service: Service) -> float | None:
        """Return how often to look for a newer version of `service`, None for never."""

    async def resolve(self, order: Order) -> str:
        """Return the version that is wanted now: a commit, the hex of an image digest, or "".

        The agent asks once for each revision and remembers the answer, and again only where
        `poll_seconds` says so.

        Raises:
            RunnerError: if it can't be known now.

        """

    async def prepare(self, order: Order, version: str) -> Plan:
        """Fetch and build `version` of the service and give the workload its own tree.

        Raises:
            RunnerError: with the step that failed and the last line it printed.

        """

    async def disk_bytes(self, key: TaskKey) -> int:
        """Return what the workload `key` alone takes on disk by this runner, 0 if nothing."""

    async def discard(self, key: TaskKey) -> None:
        """Remove the tree of the workload `key`."""

    async def sweep(self, keep: Collection[TaskKey]) -> None:
        """Remove what a crash left behind, and the trees of all workloads but `keep`."""

    async def close(self) -> None:
        """Give back connections and the like; workloads run on."""


@runtime_checkable
class Controllable(Protocol):
    """A runner that also passes on what is asked of a service while it runs."""

    async def control(
        self, key: TaskKey, action: Literal["command", "configure"], argument: str
    ) -> bytes:
        """Do what a `NodeRequest` with this action asks of the service `key`.

        Args:
            key: of the task that serves.
            action: the request's action.
            argument: the request's argument: canonical JSON.

        Returns:
            JSON of at most `workdeed.protocol.noderequest.MAX_ARGUMENT` bytes.

        Raises:
            RequestRefusedError: if the argument is malformed or the service does not take it.
            RunnerError: if the service does not run or does not answer.

        """


@runtime_checkable
class Shrinking(Protocol):
    """A runner that keeps what it could make again, such as builds, only to be faster."""

    async def shrink(self) -> None:
        """Remove all of that which no workload needs: disk space is short."""


RunnerFactory = Callable[[RunnerContext], Runner]


def load_runners(context: RunnerContext) -> dict[str, Runner]:
    """Return all registered runners, each with a folder of its own below the context's.

    Raises:
        PluginError: if there is none, one can't be loaded, or two have the same name.

    """
    runners: dict[str, Runner] = {}
    for name, point in installed(GROUP).items():
        factory: RunnerFactory = load(point)
        runners[name] = factory(replace(context, directory=context.directory / name))
    if not runners:
        raise PluginError(f"{GROUP}: none is registered; install workdeed as a package")
    return runners
