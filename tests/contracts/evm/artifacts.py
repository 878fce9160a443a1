"""Compiled contracts, kept on disk under the hash of what they were compiled from."""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[3]
CONTRACTS = Path(os.environ.get("WORKDEED_CONTRACTS", ROOT / "contracts")).resolve()
"""Where the sources are; a mutated copy when the tests are tested."""

CACHE = ROOT / ".cache" / "contracts"
_IMPORT = re.compile(r"^\s*(?:from\s+([.\w]+)\s+)?import\s+(\w+)", re.MULTILINE)


class Artifact(NamedTuple):
    """What running a contract takes."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes


@cache
def artifact(name: str) -> Artifact:
    """Return the contract `name`, a path below `contracts/` without its suffix."""
    source = CONTRACTS / f"{name}.vy"
    kept = CACHE / f"{source.stem}-{_digest(source)}.json"
    if not kept.exists():
        abi, bytecode = _compile(source)
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"abi": abi, "bytecode": bytecode.hex()}))
        partial.replace(kept)
    content = json.loads(kept.read_text())
    return Artifact(source.stem, content["abi"], bytes.fromhex(content["bytecode"]))


def _compile(source: Path) -> tuple[list[dict[str, Any]], bytes]:
    from vyper.cli.vyper_compile import compile_files

    output = compile_files([str(source)], ["abi", "bytecode"], paths=[str(CONTRACTS)])
    (contract,) = (one for path, one in output.items() if Path(path).name == source.name)
    return contract["abi"], bytes.fromhex(contract["bytecode"].removeprefix("0x"))


def _digest(source: Path) -> str:
    """Hash a source with all that it imports, and the compiler."""
    import vyper

    digest = hashlib.sha256(vyper.__version__.encode())
    for path in sorted(_closure(source, set())):
        digest.update(str(path.relative_to(CONTRACTS)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def _closure(source: Path, seen: set[Path]) -> set[Path]:
    """Return a source and every source of this project below its imports."""
    if source in seen:
        return seen
    seen.add(source)
    for package, name in _IMPORT.findall(source.read_text()):
        for found in _sources(source, package, name):
            _closure(found, seen)
    return seen


def _sources(source: Path, package: str, name: str) -> list[Path]:
    above = len(package) - len(package.lstrip("."))
    base = source.parents[above - 1] if above else CONTRACTS
    folder = base.joinpath(*filter(None, package.lstrip(".").split(".")))
    return [path for suffix in ("vy", "vyi") if (path := folder / f"{name}.{suffix}").exists()]
