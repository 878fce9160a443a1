"""One service of a job: where it comes from, how it is started, what it needs and keeps.

Sizes are bounded here once, for payers, oracles and nodes alike. Processor shares are thousandths
of a core, memory and storage megabytes (10^6 bytes), times milliseconds.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, Tag, field_validator, model_validator

from workdeed.intent.environment import EnvValue, FromSecret, FromService, reserved
from workdeed.intent.fields import (
    Argv,
    EnvName,
    Milliseconds,
    Name,
    Part,
    PathWithin,
    PluginName,
    PortNumber,
    ServiceName,
    by,
)
from workdeed.intent.health import HealthCheck, HttpCheck, TcpCheck
from workdeed.intent.sources import Source

MAIN = "main"
"""The name of a job's main service, and of a service's main port."""

# Where the node shows a service what is for the two of them.
_OF_THE_NODE = "/run/workdeed"

_USER = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?$"

Megabytes = Annotated[int, Field(ge=1, le=1_073_741_824)]


class Port(Part):
    """The main TCP port: the node allots it, and oracles and callers reach the service there.

    Attributes:
        env: the variable in which the service is told where to listen.
        number: where a service listens that can't be told; in a container only.

    """

    name: Literal["main"] = "main"
    env: EnvName = "PORT"
    number: PortNumber | None = None


class ExtraPort(Part):
    """A further TCP port, allotted like the main one."""

    name: ServiceName
    env: EnvName
    number: PortNumber | None = None


class FileVolume(Part):
    """A file that is there, with this content, when the service starts."""

    kind: Literal["file"]
    path: PathWithin
    content: Annotated[str, Field(max_length=65_536)]
    executable: bool = False


class NamedVolume(Part):
    """A folder that stays for as long as the job stays on the node, whatever the revision."""

    kind: Literal["named"]
    name: Name
    path: PathWithin


class FixedVolume(Part):
    """A folder like a named one that may hold `size_mb` and no more."""

    kind: Literal["fixed"]
    name: Name
    path: PathWithin
    size_mb: Megabytes


Volume = Annotated[
    Annotated[FileVolume, Tag("<file")]
    | Annotated[NamedVolume, Tag("<named")]
    | Annotated[FixedVolume, Tag("<fixed")],
    by("kind", ""),
]


class Restart(Part):
    """What follows when the service ends by itself, or is ended for being ill.

    Attributes:
        policy: `always` and `unless-stopped` start it again (they differ in whether a stop by the
            payer's command outlives a restart of the agent), `on-failure` only after a failure,
            `never` leaves it as it ended.
        first_ms, longest_ms: the pause before it is started again, doubling between both bounds.
        reset_ms: after so long a life the pause is the first one again.
        tries: failures in a row after which it is left alone; without it there is no such end.

    """

    policy: Literal["always", "on-failure", "unless-stopped", "never"] = "always"
    first_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 1_000
    longest_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 60_000
    reset_ms: Milliseconds = 300_000
    tries: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _check_pauses(self) -> Self:
        if self.first_ms > self.longest_ms:
            raise ValueError("first_ms is above longest_ms; swap them")
        return self


class Resources(Part):
    """What one slot needs; it must fit the job's class.

    Attributes:
        cpu_milli: thousandths of a core.
        memory_mb: MB of memory.
        storage_mb: MB of disk.

    """

    cpu_milli: Annotated[int, Field(ge=1, le=1_024_000)]
    memory_mb: Annotated[int, Field(ge=1, le=16_777_216)]
    storage_mb: Megabytes


class Service(Part):
    """What a node runs as one workload.

    Attributes:
        runner: which runner of the node fetches and starts it, by entry point name.
        source: what the runner fetches.
        build: commands run in order in the fetched tree, each an argument list, no shell.
        entrypoint: in place of the image's own.
        run: the command that serves, no shell; an image may bring its own.
        user: `user` or `user:group` by name or number inside a container.
        env: variables for build and run; texts are public, so secrets are named, never written.
        port: absent when the service listens on nothing.
        ports: further ports.
        health: absent when a living process is all that is asked.
        volumes: files and folders beside the service's own tree.
        restart: what follows when it ends.
        after: services of the job that must be well before this one starts.

    """

    runner: PluginName
    source: Source
    build: Annotated[tuple[Argv, ...], Field(max_length=32)] = ()
    entrypoint: Argv | None = None
    run: Argv | None = None
    user: Annotated[str, Field(pattern=_USER)] | None = None
    env: Annotated[dict[EnvName, EnvValue], Field(max_length=128, default_factory=dict)]
    port: Port | None = None
    ports: Annotated[tuple[ExtraPort, ...], Field(max_length=16)] = ()
    health: HealthCheck | None = None
    volumes: Annotated[tuple[Volume, ...], Field(max_length=32)] = ()
    restart: Restart = Restart()
    after: Annotated[tuple[ServiceName, ...], Field(max_length=16)] = ()

    @property
    def all_ports(self) -> tuple[Port | ExtraPort, ...]:
        """The main port and the further ones."""
        return (*((self.port,) if self.port is not None else ()), *self.ports)

    @property
    def waits_for(self) -> frozenset[str]:
        """The services that must be well before this one starts."""
        read = {value.service for value in self.env.values() if isinstance(value, FromService)}
        return frozenset(self.after) | read

    @property
    def used_secrets(self) -> frozenset[str]:
        """The names of the secrets that it uses."""
        return frozenset(self._secrets())

    def _secrets(self) -> Iterator[str]:
        yield from (one.secret for one in self.env.values() if isinstance(one, FromSecret))
        for source in (self.source.git, self.source.image):
            if source is not None and source.credentials is not None:
                yield source.credentials.secret

    @field_validator("env")
    @classmethod
    def _check_env(cls, env: dict[str, EnvValue]) -> dict[str, EnvValue]:
        for key in env:
            if reserved(key):
                raise ValueError(f"{key} is set by the node; choose another name")
        return env

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        if self.port is None and self.ports:
            raise ValueError("ports: the first port is the main one; move one to port")
        _all_differ("ports", [port.name for port in self.all_ports])
        variables = [port.env for port in self.all_ports]
        _all_differ("port.env", variables)
        for name in variables:
            if name in self.env:
                raise ValueError(f"env.{name} is set by the node from port; remove it")
            if reserved(name):
                raise ValueError(f"port.env {name} is set by the node; choose another name")
        return self

    @model_validator(mode="after")
    def _check_health(self) -> Self:
        if not isinstance(self.health, HttpCheck | TcpCheck):
            return self
        if self.port is None:
            raise ValueError("health needs a port; add port or remove health")
        if self.health.port not in {port.name for port in self.all_ports}:
            raise ValueError(f"health.port: there is no port {self.health.port}; name one")
        return self

    @model_validator(mode="after")
    def _check_volumes(self) -> Self:
        paths = [one.path for one in self.volumes]
        _all_differ("volumes.path", paths)
        # Services share volumes: one could lead the way into its own to a place of the host, with
        # a link, while the other starts.
        for path in paths:
            for other in (*paths, _OF_THE_NODE):
                if path.startswith(f"{other}/"):
                    raise ValueError(
                        f"volumes.path: {path} lies inside of {other}; give it a place of its own"
                    )
        kept = [one.name for one in self.volumes if not isinstance(one, FileVolume)]
        _all_differ("volumes.name", kept)
        return self


class Sibling(Service):
    """A further service of a job, on the same node as the main one.

    Attributes:
        name: by which the other services know it.
        resources: its part of what the slot needs; the main service has what is left.

    """

    name: ServiceName
    resources: Resources

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name == MAIN:
            raise ValueError("main is the job's main service; choose another name")
        return name


def _all_differ(field: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{field}: {value} is there twice; rename one")
