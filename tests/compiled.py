"""The creation code of the contracts, compiled once for all processes that ask for it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ROOT / "contracts"
CACHE = ROOT / ".cache" / "tests"
NAMES = tuple(sorted(path.stem for path in CONTRACTS.glob("*.vy")))


@cache
def creation_code(name: str) -> bytes:
    """Return what creates one of the contracts, without the arguments."""
    return bytes.fromhex(_codes()[name].removeprefix("0x"))


@cache
def _codes() -> dict[str, str]:
    """Return the code of every contract; compiled anew only when a source changed."""
    kept = CACHE / f"contracts-{_sources_key()}.json"
    with _alone():
        if kept.exists():
            found: dict[str, str] = json.loads(kept.read_text())
            return found
        codes = _compile()
        part = kept.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(codes))
        part.replace(kept)
        return codes


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process compile, and the others wait for what it makes."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sources_key() -> str:
    files = sorted([*CONTRACTS.rglob("*.vy"), *CONTRACTS.rglob("*.vyi")])
    digest = hashlib.sha256(f"vyper {version('vyper')} snekmate {version('snekmate')}".encode())
    for path in files:
        digest.update(f"\0{path.relative_to(CONTRACTS)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _compile() -> dict[str, str]:
    from vyper.cli.vyper_compile import compile_files

    paths = [str(CONTRACTS / f"{name}.vy") for name in NAMES]
    output = compile_files(paths, ["bytecode"], paths=[str(CONTRACTS)])
    return {
        Path(str(path)).stem: str(content["bytecode"])
        for path, content in output.items()
        if Path(str(path)).stem in NAMES
    }
