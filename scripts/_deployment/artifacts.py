"""Compiled contracts, kept by the hash of everything that they are compiled from.

ape's own cache compares a contract's file alone: after a change in a module that it imports, the
old code stays there. Money goes to these contracts: the key covers all sources and the compiler.
"""

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ape import compilers, project
from ape.exceptions import ApeException
from ethpm_types import ContractType

from scripts._deployment.errors import DeployError
from scripts._deployment.tools import find_tools

ROOT: Final = Path(__file__).resolve().parents[2]
CONTRACTS: Final = ROOT / "contracts"
CACHE: Final = ROOT / ".cache" / "deployment"
"""Its own: what stands there for other sources is dropped."""

NAMES: Final = (
    "TestUSD",
    "Timelock",
    "TrustRegistry",
    "ProtocolToken",
    "BurnAuction",
    "FeeVault",
    "NodeLicense",
    "OracleCommittee",
    "Tariff",
    "JobDesk",
    "JobEscrow",
    "JobLens",
    "LicenseSale",
)
_TOOLS: Final = ("vyper", "snekmate", "ape-vyper")

Artifacts = dict[str, ContractType]


def load_artifacts() -> Artifacts:
    """Return the compiled contracts by name, compiling only what is not kept yet.

    Raises:
        DeployError: if they do not compile.

    """
    path = CACHE / f"{sources_key(CONTRACTS)}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: ContractType.model_validate(kept[name]) for name in NAMES}
    except (OSError, ValueError, KeyError):
        # Missing, or not what this code wrote: as good as missing.
        return _compile(path)


def sources_key(contracts: Path) -> str:
    """Return the hash of all sources under a folder, less test doubles, and of the compiler."""
    files = sorted(path for path in contracts.rglob("*.vy*") if path.suffix in (".vy", ".vyi"))
    hasher = hashlib.sha256()
    for path in files:
        relative = path.relative_to(contracts)
        if relative.parts[0] != "testing":
            hasher.update(f"{relative}\0{path.stat().st_size}\0".encode())
            hasher.update(path.read_bytes())
    settings = [f"{tool} {version(tool)}" for tool in _TOOLS] + [str(project.config.vyper)]
    hasher.update("\n".join(settings).encode())
    return hasher.hexdigest()


def _compile(path: Path) -> Artifacts:
    """Compile every contract and keep the result; the results of other sources are dropped."""
    find_tools()
    sources = [CONTRACTS / f"{name}.vy" for name in NAMES]
    try:
        compiled = {str(item.name): item for item in compilers.compile(sources, project=project)}
    except ApeException as error:
        raise DeployError(f"contracts: they do not compile: {error}") from error
    kept = {name: compiled[name].model_dump(mode="json", by_alias=True) for name in NAMES}
    CACHE.mkdir(parents=True, exist_ok=True)
    for old in CACHE.glob("*.json"):
        old.unlink(missing_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(kept), encoding="utf-8")
    part.replace(path)
    return {name: compiled[name] for name in NAMES}


if __name__ == "__main__":
    load_artifacts()
