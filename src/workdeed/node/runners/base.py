"""The runner port, and how runners are found.

A runner is registered in the entry point group `workdeed.runners` under the name that specs use;
the entry point is a callable that takes a `RunnerContext` and returns a `Runner`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, Protocol

from workdeed.intent import Spec
from workdeed.node.drivers.base import Driver, TaskKey
from workdeed.node.errors import RunnerError

GROUP: Final = "workdeed.runners"


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What the operator allows runners.

    Attributes:
        allow_private_endpoints: fetch from private and loopback addresses and from local paths.
        fetch_seconds, build_seconds: time for a fetch, and for each build command.
        keep_builds: how many finished builds are kept for later.
        ssh_key, ssh_known_hosts: identity for ssh sources; without it they are refused.

    """

    allow_private_endpoints: bool = False
    fetch_seconds: float = 120.0
    build_seconds: float = 900.0
    keep_builds: int = 4
    ssh_key: Path | None = None
    ssh_known_hosts: Path | None = None


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What a runner works with: the driver, a folder of its own, and the operator's options."""

    driver: Driver
    directory: Path
    options: RunnerOptions


@dataclass(frozen=True, slots=True)
class Plan:
    """A tree ready to run: `directory` is the task's own, it starts in `subdirectory`."""

    directory: Path
    subdirectory: str = ""


class Runner(Protocol):
    """Fetches and builds. All methods are safe to repeat, also after a crash of the agent."""

    def check(self, spec: Spec) -> None:
        """Raise `RunnerError` if this runner can't run `spec`, whatever happens."""

    async def prepare(self, spec: Spec, key: TaskKey) -> Plan:
        """Fetch and build `spec` and give the workload `key` its own tree.

        Raises:
            RunnerError: with the step that failed and the last line it printed.

        """

    async def discard(self, key: TaskKey) -> None:
        """Remove the tree of the workload `key`."""

    async def sweep(self, keep: Collection[TaskKey]) -> None:
        """Remove what a crash left behind, and the trees of all workloads but `keep`."""


RunnerFactory = Callable[[RunnerContext], Runner]


def installed_runners() -> Mapping[str, EntryPoint]:
    """Return the registered runners by name.

    Raises:
        RunnerError: if none is registered, or two packages register the same name.

    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise RunnerError(
                f"runners: {other.value} and {point.value} are both registered as {point.name}; "
                "uninstall one of the packages"
            )
    if not found:
        raise RunnerError("runners: none is registered; install workdeed as a package")
    return found


def load_runners(context: RunnerContext) -> dict[str, Runner]:
    """Return all registered runners, each with a folder of its own below the context's.

    Raises:
        RunnerError: if one can't be loaded.

    """
    runners: dict[str, Runner] = {}
    for name, point in installed_runners().items():
        own = RunnerContext(context.driver, context.directory / name, context.options)
        try:
            factory: RunnerFactory = point.load()
        except (ImportError, AttributeError) as error:
            raise RunnerError(
                f"runners: {name} can't be loaded from {point.value} ({error}); reinstall it"
            ) from error
        runners[name] = factory(own)
    return runners
