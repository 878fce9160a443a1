"""Deployment files: `deployments/<chain id>.json` says where the contracts of a chain are."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workdeed.chain.errors import ChainError
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.fields import Address, Hash, Positive, Uint
from workdeed.protocol.windows import WindowClock

REQUIRED: Final = (
    "TrustRegistry",
    "FeeVault",
    "NodeLicense",
    "OracleCommittee",
    "Tariff",
    "JobDesk",
    "JobEscrow",
    "TestUSD",
)

ContractName = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$")]


class DeploymentError(ChainError):
    """A deployment file is missing, malformed, or of another chain."""


class DeployedContract(BaseModel):
    """Where a contract is: its address, and transaction and block of its creation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Address
    tx: Hash
    block: Uint


class Deployment(BaseModel):
    """The contracts of one chain.

    Attributes:
        schema_: always "workdeed/deployment@1"; "schema" in the file.
        chain_id: EIP-155 chain id.
        genesis: the Unix time at which window 1 begins.
        window: the length of a window in seconds.
        challenge: how many seconds a report can be vetoed.
        start_block: the block from which on logs are read; none of the contracts is older.
        contracts: by name, at least those in `REQUIRED`.
        parameters: what else the contracts were deployed with, for people and checks.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["workdeed/deployment@1"] = Field(
        default="workdeed/deployment@1", alias="schema"
    )
    chain_id: Positive
    genesis: Uint
    window: Positive
    challenge: Uint
    start_block: Uint
    contracts: dict[ContractName, DeployedContract]
    parameters: dict[str, int | str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        missing = [name for name in REQUIRED if name not in self.contracts]
        if missing:
            raise ValueError(f"contracts: {', '.join(missing)} missing")
        if self.challenge >= self.window:
            raise ValueError("challenge: it must be shorter than the window")
        early = [name for name, at in self.contracts.items() if at.block < self.start_block]
        if early:
            raise ValueError(f"start_block: {', '.join(sorted(early))} is older")
        return self

    @property
    def clock(self) -> WindowClock:
        """The calendar of windows."""
        return WindowClock(genesis=self.genesis, window=self.window)

    def address(self, name: str) -> str:
        """Return the address of a contract; raises `DeploymentError` if the file has none."""
        contract = self.contracts.get(name)
        if contract is None:
            raise DeploymentError(f"contracts: {name} missing in the deployment of this chain")
        return contract.address

    def domain(self, name: str) -> Domain:
        """Return the EIP-712 domain of a contract; raises `DeploymentError` as `address`."""
        return Domain(name=name, chain_id=self.chain_id, contract=self.address(name))


def deployment_path(directory: Path, chain_id: int) -> Path:
    """Return where the deployment of a chain is kept."""
    return directory / f"{chain_id}.json"


def load_deployment(path: Path, chain_id: int | None = None) -> Deployment:
    """Read a deployment file.

    Args:
        path: the file, or a directory that holds `<chain id>.json`; then `chain_id` is needed.
        chain_id: the chain that it must be of; None takes any.

    Raises:
        DeploymentError: if it is missing, malformed or of another chain; names the field.

    """
    if path.is_dir():
        if chain_id is None:
            raise DeploymentError(f"deployment {path}: name a file, or give the chain id")
        path = deployment_path(path, chain_id)
    deployment = _parse(path)
    if chain_id is not None and deployment.chain_id != chain_id:
        raise DeploymentError(
            f"deployment {path}: chain_id is {deployment.chain_id}, the chain in use is {chain_id};"
            " use the file of that chain"
        )
    return deployment


def save_deployment(directory: Path, deployment: Deployment) -> Path:
    """Write a deployment to `<directory>/<chain id>.json`, at once or not at all.

    Raises:
        DeploymentError: if the file cannot be written.

    """
    path = deployment_path(directory, deployment.chain_id)
    content = deployment.model_dump(mode="json", by_alias=True)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise DeploymentError(f"deployment {path}: cannot write it ({error.strerror})") from error
    return path


def _parse(path: Path) -> Deployment:
    try:
        return Deployment.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DeploymentError(
            f"deployment {path}: no such file; deploy the contracts or name another file"
        ) from None
    except OSError as error:
        raise DeploymentError(f"deployment {path}: cannot read it ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise DeploymentError(
            f"deployment {path}: {field + ': ' if field else ''}{problem}"
        ) from error


def _replace(path: Path, content: str) -> None:
    """Write beside the file and rename, so that no reader and no crash sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
