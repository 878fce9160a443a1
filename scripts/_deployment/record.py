"""The file of a deployment: unfinished while transactions are still to be sent, then the record.

An unfinished file has a schema of its own, so that nobody who reads deployments takes it for one.
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Literal, cast

from eth_typing import HexAddress
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from web3.types import Nonce
from web3.utils import get_create_address

from scripts._deployment.errors import DeployError
from workdeed.chain.deployment import Deployment, load_deployment
from workdeed.protocol.fields import Address, Hash, Positive, Uint
from workdeed.protocol.signing import to_checksum

UNFINISHED = "workdeed/unfinished-deployment@1"


class Sent(BaseModel):
    """A transaction that was signed, and recorded before it was sent.

    Attributes:
        nonce: the deployer's nonce.
        tx: its hash.
        block: the block that holds it; None until that is known.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nonce: Uint
    tx: Hash
    block: Uint | None = None


class Draft(BaseModel):
    """A deployment under way.

    Attributes:
        schema_: always "workdeed/unfinished-deployment@1"; "schema" in the file.
        chain_id: EIP-155 chain id.
        deployer: the account that sends, and that alone can go on.
        genesis: the Unix time at which window 1 begins.
        begun_block: the head of the chain when the deployment began.
        begun_hash: the hash of that block, which tells a restarted local chain.
        first_nonce: the deployer's nonce at that time.
        parameters: the flat parameters.
        steps: what was sent, by step.

    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: Literal["workdeed/unfinished-deployment@1"] = Field(
        default="workdeed/unfinished-deployment@1", alias="schema"
    )
    chain_id: Positive
    deployer: Address
    genesis: Uint
    begun_block: Uint
    begun_hash: Hash
    first_nonce: Uint
    parameters: dict[str, int | str]
    steps: dict[str, Sent] = Field(default_factory=dict)

    def address(self, step: str) -> str:
        """Return where the contract that `step` deploys is, or will be."""
        return created_address(self.deployer, self.steps[step].nonce)


def created_address(deployer: str, nonce: int) -> str:
    """Return the address of the contract that an account creates with a nonce."""
    return to_checksum(get_create_address(cast(HexAddress, deployer), Nonce(nonce)))


def read_record(path: Path) -> Draft | Deployment | None:
    """Return what a file records; None if there is no file.

    Raises:
        DeployError: if it is malformed.
        DeploymentError: if it is a malformed record of a finished deployment.

    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeployError(f"deployment {path}: cannot read it ({error.strerror})") from error
    with contextlib.suppress(ValueError, TypeError, KeyError):
        if json.loads(content)["schema"] != UNFINISHED:
            return load_deployment(path)
    try:
        return Draft.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DeployError(
            f"deployment {path}: {field or 'content'}: {first['msg']}; correct the file, or move it"
            " away to deploy anew"
        ) from error


def write_record(path: Path, record: Draft | Deployment) -> None:
    """Write a file at once or not at all; it is on the disk when this returns.

    Raises:
        DeployError: if it cannot be written.

    """
    content = json.dumps(record.model_dump(mode="json", by_alias=True), indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise DeployError(f"deployment {path}: cannot write it ({error.strerror})") from error
