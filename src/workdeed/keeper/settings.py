"""All settings of a keeper: a TOML file, over it the environment, secrets from files.

`WORKDEED_SECTION__KEY` sets one key, lists and tables as JSON. Of keys there are only names here: a
`KeySource` says where the key is. An RPC address often carries an API key and a database address a
password, so both may come from a file (`WORKDEED_CHAIN__RPC_URLS_FILE`, one address a line, and
`WORKDEED_DATABASE_FILE`), and `public` leaves them out.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from workdeed.chain.keys import KeySource
from workdeed.chain.rpc import origin_of
from workdeed.keeper.errors import SettingsError
from workdeed.protocol.fields import Address

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Endpoint = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+$", max_length=128)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChainSettings(_Section):
    """Which chain, and how it is read.

    Attributes:
        rpc_urls: JSON-RPC addresses, the first one preferred.
        agree: how many of them have to show the same logs before they count; None stands for two
            where there are three or more, and for one else.
        ws_url: websocket address of a node that may tell of new blocks sooner than a poll; nothing
            that it says is believed.
        chain_id: what every RPC must serve.
        deployment: the file with the contracts' addresses, `deployments/<chain id>.json`.
        confirmations: blocks below the head that count as settled; 0 only on a chain of one's own.
        poll_seconds: time between two looks at the chain.
        block_seconds: time between two blocks of this chain, roughly.

    """

    rpc_urls: Annotated[tuple[str, ...], Field(min_length=1, repr=False)]
    agree: Annotated[int | None, Field(ge=1)] = None
    ws_url: Annotated[str | None, Field(pattern=r"^wss?://", repr=False)] = None
    chain_id: Annotated[int, Field(ge=1)]
    deployment: Path
    confirmations: Annotated[int, Field(ge=0, le=1_000)] = 3
    poll_seconds: Seconds = 2.0
    block_seconds: Seconds = 12.0

    @field_validator("rpc_urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{origin_of(url)} is not an http(s):// address")
        if len(set(urls)) < len(urls):
            raise ValueError("an address stands there twice: it would agree with itself")
        return urls

    @model_validator(mode="after")
    def _check_agree(self) -> Self:
        if self.agree is not None and self.agree > len(self.rpc_urls):
            raise ValueError(f"agree: {self.agree} is more than there are rpc_urls; add some")
        return self

    @property
    def agreeing(self) -> int:
        """How many RPCs have to show the same logs."""
        return self.agree or min(2, (len(self.rpc_urls) + 1) // 2)


class KeySettings(_Section):
    """Where the keys are.

    Attributes:
        sender: pays gas. Without it nothing is sent: the keeper watches and dispatches.
        member: signs reports and placements; needed by an oracle.

    """

    sender: KeySource | None = None
    member: KeySource | None = None


class HttpSettings(_Section):
    """Where the keeper answers; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8600


class OracleSettings(_Section):
    """The oracle's part; windows follow from the chain.

    Attributes:
        turn_seconds: how long one leader has; the same for all members.
        probe_interval: seconds between two probes of one node.
        probe_timeout: seconds for one answer.
        open_windows: windows after which an open pair earns 0 (D); the same for all members.
        grace_windows: windows for which a freshly assigned license may be unknown; likewise.
        recovery_windows: windows for which nobody signs where leaves are lost; likewise.
        report_idle: whether this member, as leader, reports windows in which nothing happened.
        journal: where the signing journal lies. "file" is in `state_dir`, and the oracle one
            process; "database" is in PostgreSQL, and others may stand ready to act for the member.

    """

    enabled: bool = False
    turn_seconds: Seconds = 120.0
    probe_interval: Seconds = 60.0
    probe_timeout: Seconds = 5.0
    open_windows: Annotated[int, Field(ge=1, le=63)] = 3
    grace_windows: Annotated[int, Field(ge=0, le=16)] = 1
    recovery_windows: Annotated[int, Field(ge=0, le=16)] = 2
    report_idle: bool = False
    journal: Literal["file", "database"] = "file"


class PlacementSettings(_Section):
    """The oracle's part in placements.

    Attributes:
        k: reported windows in a row without units after which a license is released; the same for
            all members.
        min_spares: a job with secrets is told of when they are sealed for fewer eligible licenses
            beside those in place; changes no placement.

    """

    k: Annotated[int, Field(ge=1, le=64)] = 2
    min_spares: Annotated[int, Field(ge=0, le=256)] = 1


class FeeSettings(_Section):
    """What a transaction may cost.

    Attributes:
        max_fee_gwei: cap of the fee for one unit of gas; above it the keeper waits.
        priority_fee_gwei: the part of a first attempt that goes to the block's producer.
        bump_after_blocks: a transaction unmined for so long is replaced at a higher fee.

    """

    max_fee_gwei: Annotated[float, Field(gt=0)] = 100.0
    priority_fee_gwei: Annotated[float, Field(ge=0)] = 1.0
    bump_after_blocks: Annotated[int, Field(ge=1, le=1_000)] = 5


class DutySettings(_Section):
    """Which duties this keeper has; each is off where its key is missing."""

    dispatch: bool = True
    rollouts: bool = True
    placements: bool = True
    reports: bool = True
    claims: bool = True
    closes: bool = True


class DispatchSettings(_Section):
    """How specs are handed to nodes.

    Attributes:
        verify_seconds: time between two looks whether a node still has what it accepted.

    """

    verify_seconds: Seconds = 60.0


class ClaimSettings(_Section):
    """For whom the keeper claims.

    Attributes:
        payees: "all", or the payout addresses that are served.
        min_amount: base units of the token below which a claim waits until its job is over.

    """

    payees: Literal["all"] | tuple[Address, ...] = "all"
    min_amount: Annotated[int, Field(ge=0)] = 0


class CloseSettings(_Section):
    """Which jobs the keeper closes.

    Attributes:
        own_unattested: whether it also asks for, and then sends, the close without a report of jobs
            whose payer is this keeper's sender.

    """

    own_unattested: bool = False


class LeaseSettings(_Section):
    """How keepers that share a PostgreSQL database take turns; without one there are no leases.

    Attributes:
        ttl_seconds: how long the others wait for a keeper that does not answer any more, by the
            database's clock; the same for all of them.
        standby: whether this keeper is in order while another sends with its key, or acts for its
            member.

    """

    ttl_seconds: Annotated[float, Field(ge=1, le=3_600)] = 15.0
    standby: bool = False


class LogSettings(_Section):
    """How the keeper logs: one JSON object a line, or lines for people."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class KeeperSettings(_Section):
    """Everything that a keeper is told.

    Attributes:
        database: path of an SQLite file, or a URL of PostgreSQL, which several keepers may share. A
            cache: it may be deleted while they are down, unless it holds the signing journal.
        state_dir: folder of the specs, the report data and the signing journals; the journals are
            the one thing that must survive.
        allow_private_endpoints: whether nodes and peers may live at private addresses; only for a
            chain of one's own.
        peers: license id -> address that overrides the endpoint on chain.
        specs_from: further keepers that specs may be fetched from.
        dry_run: whether nothing is signed and nothing handed to nodes; see `workdeed.keeper.dryrun`
            for what else that means.

    """

    chain: ChainSettings
    keys: KeySettings = KeySettings()
    database: Annotated[str, Field(min_length=1, repr=False)] = "keeper.db"
    state_dir: Path = Path("keeper-state")
    http: HttpSettings = HttpSettings()
    oracle: OracleSettings = OracleSettings()
    placement: PlacementSettings = PlacementSettings()
    fees: FeeSettings = FeeSettings()
    duties: DutySettings = DutySettings()
    dispatch: DispatchSettings = DispatchSettings()
    claims: ClaimSettings = ClaimSettings()
    closes: CloseSettings = CloseSettings()
    lease: LeaseSettings = LeaseSettings()
    log: LogSettings = LogSettings()
    allow_private_endpoints: bool = False
    peers: dict[int, Endpoint] = {}
    specs_from: tuple[Endpoint, ...] = ()
    dry_run: bool = False

    SECRETS: ClassVar[frozenset[str]] = frozenset(
        {"chain.rpc_urls", "chain.ws_url", "database", "keys"}
    )

    @model_validator(mode="after")
    def _check_oracle(self) -> Self:
        if self.oracle.enabled and self.keys.member is None:
            raise ValueError("oracle: it needs keys.member; set it, or oracle.enabled = false")
        is_shared = self.database.startswith(("postgresql", "postgres:"))
        if self.oracle.journal == "database" and not is_shared:
            raise ValueError(
                'oracle.journal: "database" needs PostgreSQL; set database to its address, or'
                ' oracle.journal = "file"'
            )
        return self

    def public(self) -> dict[str, Any]:
        """Return what may be logged: everything but `SECRETS`, of RPCs scheme, host and port."""
        content = self.model_dump(mode="json", exclude={"keys", "database"})
        content["chain"]["rpc_urls"] = [origin_of(url) for url in self.chain.rpc_urls]
        if self.chain.ws_url is not None:
            content["chain"]["ws_url"] = origin_of(self.chain.ws_url)
        return content

    def relative_to(self, folder: Path) -> Self:
        """Return the same settings with every relative path taken from `folder`."""
        chain = self.chain.model_copy(
            update={"deployment": folder / self.chain.deployment}  # absolute paths stay as they are
        )
        keys = KeySettings(
            sender=_source_in(self.keys.sender, folder), member=_source_in(self.keys.member, folder)
        )
        return self.model_copy(
            update={
                "chain": chain,
                "keys": keys,
                "database": self.database
                if "://" in self.database
                else str(folder / self.database),
                "state_dir": folder / self.state_dir,
            }
        )


class _Loader(KeeperSettings, BaseSettings):
    """Reads the environment over the file's content, which comes as keyword arguments."""

    model_config = SettingsConfigDict(
        env_prefix="WORKDEED_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load_settings(path: Path, environment: Mapping[str, str] | None = None) -> KeeperSettings:
    """Read the settings from a TOML file and the environment; paths in it are relative to it.

    Args:
        path: the file.
        environment: where `..._FILE` names are looked up, in place of the process's.

    Raises:
        SettingsError: naming the first setting at fault.

    """
    content = _read_toml(path)
    _read_secret_files(content, os.environ if environment is None else environment)
    try:
        loaded = _Loader(**content)
    except ValidationError as error:
        raise _settings_error(path, error) from None  # its text would quote what was set
    except ValueError:
        raise SettingsError(
            f"{path}: a WORKDEED_ variable holds no JSON where a list or table is meant"
        ) from None
    settings = KeeperSettings.model_validate(
        {name: getattr(loaded, name) for name in KeeperSettings.model_fields}
    )
    return settings.relative_to(path.resolve().parent)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot read it ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: it is not TOML ({error})") from None


def _read_secret_files(content: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Put what the `..._FILE` variables point to in place of the file's own values."""
    urls = _read_secret("WORKDEED_CHAIN__RPC_URLS_FILE", environment)
    if urls is not None:
        content.setdefault("chain", {})["rpc_urls"] = urls.split()
    ws_url = _read_secret("WORKDEED_CHAIN__WS_URL_FILE", environment)
    if ws_url is not None:
        content.setdefault("chain", {})["ws_url"] = ws_url
    database = _read_secret("WORKDEED_DATABASE_FILE", environment)
    if database is not None:
        content["database"] = database


def _read_secret(name: str, environment: Mapping[str, str]) -> str | None:
    path = environment.get(name)
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{name}: cannot read {path}") from None


def _settings_error(path: Path, error: ValidationError) -> SettingsError:
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        variable = "WORKDEED_" + field.replace(".", "__").upper()
        return SettingsError(f"it is not set; set it in {path} or as {variable}", field)
    return SettingsError(f"{text} (in {path} or the environment)", field)


def _source_in(source: KeySource | None, folder: Path) -> KeySource | None:
    if source is None:
        return None
    update = {
        name: folder / value
        for name in ("keystore", "private_key_file")
        if (value := getattr(source, name)) is not None
    }
    return source.model_copy(update=update)
