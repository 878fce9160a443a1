"""The agent's configuration: a TOML file with a table `[node]`, and the environment above it.

`WORKDEED_NODE__LICENSE_ID=7` sets `license_id`, `WORKDEED_NODE__RESOURCES__CPU_MILLI=2000` a
field of a table. Secrets are not written here: `key` names where the node key is read from, and
addresses of RPCs that carry a password may stand in a file that `WORKDEED_NODE__RPC_URLS_FILE`
names, one a line.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from workdeed.chain.deployment import load_deployment
from workdeed.chain.keys import KeySource
from workdeed.chain.rpc import origin_of
from workdeed.node.chain_view import Contracts
from workdeed.node.drivers.cgroups import Use
from workdeed.node.drivers.process import DEFAULT_PATH
from workdeed.node.drivers.sandbox import SHOWN
from workdeed.node.errors import SettingsError
from workdeed.node.runners.base import RunnerOptions
from workdeed.protocol.errors import SignatureError
from workdeed.protocol.messages import Tag
from workdeed.protocol.signing import to_checksum

PREFIX = "WORKDEED_NODE__"
TABLE = "node"
_RPC_FILE = f"{PREFIX}RPC_URLS_FILE"

# The file's table, on its way from `load_settings` into the class.
_file_values: ContextVar[dict[str, Any]] = ContextVar("file_values", default={})  # noqa: B039 - never changed


def _address(text: str) -> str:
    try:
        return to_checksum(text)
    except SignatureError as error:
        raise ValueError(str(error)) from error


Address = Annotated[str, AfterValidator(_address)]
TcpPort = Annotated[int, Field(ge=0, le=65_535)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Addresses(_Table):
    """Contracts of the deployment that this node serves."""

    escrow: Address
    licenses: Address
    committee: Address


class Offer(_Table):
    """What the node gives to workloads: thousandths of a core, and MB (10^6 bytes)."""

    cpu_milli: Annotated[int, Field(ge=1)]
    memory_mb: Annotated[int, Field(ge=1)]
    storage_mb: Annotated[int, Field(ge=1)]


class Git(_Table):
    """Fetching. `ssh_key` is an identity for sources only; it is never the node key."""

    fetch_seconds: Annotated[float, Field(gt=0)] = 120.0
    build_seconds: Annotated[float, Field(gt=0)] = 900.0
    keep_builds: Annotated[int, Field(ge=1)] = 4
    ssh_key: Path | None = None
    ssh_known_hosts: Path | None = None


class SandboxSettings(_Table):
    """What workloads see of the machine besides /usr.

    Attributes:
        path: their PATH.
        read_only: further folders, at the same place inside.
        cgroup: whether control groups bound what they take: `auto` for where there are any,
            `required` to run nothing without, or `off`.

    """

    path: str = DEFAULT_PATH
    read_only: tuple[Path, ...] = ()
    cgroup: Use = Use.AUTO


class ContainerSettings(_Table):
    """Which container engine is used.

    Attributes:
        enabled: false keeps the agent from looking for one.
        socket: `unix:///path` of a Docker Engine API; the usual places are tried without it.

    """

    enabled: bool = True
    socket: str | None = None


class Restart(_Table):
    """Seconds; what a spec asks for is held within these bounds.

    Attributes:
        pause_seconds: the least pause before a workload that failed is tried again.
        max_pause_seconds: the longest; pauses double.
        unhealthy_seconds: until a workload that stays ill is ended.
        settle_seconds: that a new revision must have been well to replace the old one for good.
        proven_seconds: that a new commit of a branch must have been well to count as good.

    """

    pause_seconds: Annotated[float, Field(gt=0)] = 1.0
    max_pause_seconds: Annotated[float, Field(gt=0)] = 60.0
    unhealthy_seconds: Annotated[float, Field(gt=0)] = 120.0
    settle_seconds: Annotated[float, Field(ge=0)] = 2.0
    proven_seconds: Annotated[float, Field(ge=0)] = 10.0


class Disk(_Table):
    """Bounds of what is kept on disk beside the workloads' own storage.

    Attributes:
        log_mb: of each service's output.
        check_seconds: between two looks at what a workload takes; it may exceed its storage by what
            it writes in that time.
        reserve_mb: free space of `state_dir` below which no new work is taken.

    """

    log_mb: Annotated[float, Field(gt=0)] = 2.0
    check_seconds: Annotated[float, Field(gt=0)] = 30.0
    reserve_mb: Annotated[int, Field(ge=0)] = 1_000


class NodeSettings(BaseSettings):
    """All settings of one agent; `load_settings` reads them.

    Attributes:
        rpc_urls: JSON-RPC addresses of the chain, from operators independent of each other.
        min_rpcs: how many of them must answer alike before anything is started or stopped; at
            least 2 everywhere but on a local chain.
        stale_seconds: age of the newest block from which on an RPC does not count.
        deployment: file of a deployment, in place of `contracts`.
        license_id: the license that this node's key is linked to.
        host, port: where the agent listens; port 0 takes any.
        workload_host: where workloads are told to listen.
        port_range: first and last port for workloads; any free one without it.
        state_dir: the agent's memory; one agent, one folder.
        allow_unsandboxed: run workloads without bubblewrap; for local chains only.
        allow_private_endpoints: fetch sources from private addresses and local paths; likewise.
        overcommit: offer more resources than the machine has; likewise.
        poll_seconds: time between two looks at the chain.
        stop_seconds: time that a workload gets to end by itself.
        stop_workloads_on_exit: end all workloads with the agent; else they outlive it.
        oracle_urls: where leaves and proofs of reports are fetched from.
        runners: which runners the node announces, whether they work now or not; all that work when
            the agent starts without it.
        drivers: a table of options for each driver of another package, by its name.

    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    chain_id: Annotated[int, Field(ge=1)]
    rpc_urls: Annotated[tuple[str, ...], Field(min_length=1, repr=False)]
    min_rpcs: Annotated[int, Field(ge=1)] = 2
    stale_seconds: Annotated[float, Field(gt=0)] = 60.0
    rpc_seconds: Annotated[float, Field(gt=0)] = 5.0
    deployment: Path | None = None
    contracts: Addresses | None = None
    license_id: Annotated[int, Field(ge=1)]
    key: KeySource
    host: str = "127.0.0.1"
    port: TcpPort = 8470
    workload_host: str = "127.0.0.1"
    port_range: tuple[TcpPort, TcpPort] | None = None
    state_dir: Path
    allow_unsandboxed: bool = False
    allow_private_endpoints: bool = False
    overcommit: bool = False
    poll_seconds: Annotated[float, Field(gt=0)] = 2.0
    stop_seconds: Annotated[float, Field(ge=0)] = 10.0
    stop_workloads_on_exit: bool = False
    oracle_urls: tuple[str, ...] = ()
    resources: Offer
    tags: tuple[Tag, ...] = ()
    runners: tuple[Tag, ...] | None = None
    git: Git = Git()
    sandbox: SandboxSettings = SandboxSettings()
    restart: Restart = Restart()
    container: ContainerSettings = ContainerSettings()
    disk: Disk = Disk()
    drivers: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments first, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        file = InitSettingsSource(settings_cls, init_kwargs=_file_values.get())
        return init_settings, env_settings, file

    @model_validator(mode="after")
    def _check_rpcs(self) -> Self:
        if len({origin_of(url) for url in self.rpc_urls}) < self.min_rpcs:
            raise ValueError(
                f"rpc_urls: fewer hosts than min_rpcs ({self.min_rpcs}) are named; add another RPC"
            )
        if (self.deployment is None) == (self.contracts is None):
            raise ValueError("deployment: set either it or contracts")
        if (self.git.ssh_key is None) != (self.git.ssh_known_hosts is None):
            raise ValueError("git.ssh_key: set it together with git.ssh_known_hosts")
        if self.port_range is not None and self.port_range[0] > self.port_range[1]:
            raise ValueError("port_range: the first port is above the last; swap them")
        return self

    @model_validator(mode="after")
    def _check_mounts(self) -> Self:
        """Refuse to show workloads what is the agent's alone."""
        for field, path in self._private():
            place = path.resolve()
            for mount in self.sandbox.read_only:
                if place.is_relative_to(mount.resolve()):
                    raise ValueError(
                        f"sandbox.read_only: {mount} holds {path}, which workloads must not see; "
                        "name a narrower folder"
                    )
            for folder in SHOWN:
                if place.is_relative_to(folder.resolve()):
                    raise ValueError(
                        f"{field}: {path} lies in {folder}, which workloads see; move it elsewhere"
                    )
        return self

    def _private(self) -> Iterator[tuple[str, Path]]:
        """Yield what no workload may see, after the field or variable that names it."""
        yield "state_dir", self.state_dir
        for field, path in (
            ("key.keystore", self.key.keystore),
            ("key.private_key_file", self.key.private_key_file),
            ("git.ssh_key", self.git.ssh_key),
        ):
            if path is not None:
                yield field, path
        secrets = (self.key.passphrase_env, self.key.private_key_env)
        for name in (*(f"{one}_FILE" for one in secrets if one is not None), _RPC_FILE):
            if file := os.environ.get(name):
                yield name, Path(file)

    def addresses(self) -> Contracts:
        """Return the contracts, from the deployment file if that is set.

        Raises:
            workdeed.chain.deployment.DeploymentError: if the file is missing, malformed, or of
                another chain.

        """
        if self.contracts is not None:
            return Contracts(**self.contracts.model_dump())
        if self.deployment is None:
            raise SettingsError("deployment: set either it or contracts")
        found = load_deployment(self.deployment, self.chain_id)
        names = ("JobEscrow", "NodeLicense", "OracleCommittee")
        return Contracts(*(found.address(name) for name in names))

    def driver_options(self, name: str) -> dict[str, Any]:
        """Return the options of the driver `name`."""
        own: dict[str, dict[str, Any]] = {
            "process": self.sandbox.model_dump(),
            "container": {"socket": self.container.socket, "host": self.workload_host},
        }
        return own.get(name, self.drivers.get(name, {}))

    def runner_options(self) -> RunnerOptions:
        """Return what runners need of this."""
        return RunnerOptions(
            allow_private_endpoints=self.allow_private_endpoints,
            private=tuple(path for _, path in self._private()),
            **self.git.model_dump(),
        )


def load_settings(path: Path | None, **overrides: Any) -> NodeSettings:
    """Read the table `[node]` of the TOML file at `path`, if any.

    The environment is above the file, `overrides` are above both. Relative paths in the file are
    taken from the file's folder.

    Raises:
        SettingsError: one sentence that names the field and the remedy.

    """
    values = _read_table(path) if path is not None else {}
    token = _file_values.set(values | _rpc_urls(os.environ))
    try:
        return NodeSettings(**overrides)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    except ValueError as error:
        raise SettingsError(f"environment: {error}; correct the variable") from None
    finally:
        _file_values.reset(token)


def _read_table(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"config: {path} can't be read ({error.strerror})") from error
    except ValueError as error:
        raise SettingsError(f"config: {path} is no TOML ({error})") from error
    table = document.get(TABLE)
    if not isinstance(table, dict):
        raise SettingsError(f"config: {path} has no table [{TABLE}]; add it")
    return _anchored(table, path.resolve().parent)


def _anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Take relative paths from the file's own folder, wherever the agent is started."""
    result = dict(table)
    for name in ("deployment", "state_dir"):
        if isinstance(result.get(name), str):
            result[name] = folder / result[name]
    for section, names in (
        ("key", ("keystore", "private_key_file")),
        ("git", ("ssh_key", "ssh_known_hosts")),
    ):
        if isinstance(result.get(section), dict):
            inner = dict(result[section])
            inner |= {name: folder / inner[name] for name in names if name in inner}
            result[section] = inner
    return result


def _rpc_urls(environment: Mapping[str, str]) -> dict[str, Any]:
    name = environment.get(_RPC_FILE)
    if name is None:
        return {}
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"{_RPC_FILE}: {name} can't be read ({error.strerror})") from error
    return {"rpc_urls": tuple(line.strip() for line in lines if line.strip())}


def _sentence(error: ValidationError) -> str:
    """Name the first field at fault, and never quote a value: it may be a secret."""
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{field}: it is not set; set it in the file or as {PREFIX}{field.upper()}"
    return f"{field}: {text}" if field else text
