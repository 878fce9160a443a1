"""What is mutated, and which tests must notice."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from tests.mutation.sources import reached

ROOT = Path(__file__).resolve().parents[2]
WORDS = "testing/WordsMock"
"""Exposes the functions of the modules: compiled sooner than any contract."""

LEFT_OUT = {"TestUSD"}
"""Money of testnets: snekmate's token and a faucet."""

ALSO = {"JobEscrow": ("job_desk", "tariff")}
"""Folders beside a contract's own: who alone may call some of its functions is tested there."""

LATE = ("attacks", "stateful*")
"""Patterns of the folders that test the contracts together."""


@dataclass(frozen=True)
class Project:
    """A folder of contracts and a folder of tests.

    Attributes:
        suites: folders of tests by contract, whose file's suffix is left out, in the order in which
            they are tried. What lies in `testing/` is compiled and never mutated.
        late: folders of tests that take long and reach every contract but those in `testing/`.

    """

    contracts: Path
    tests: Path
    suites: Mapping[str, tuple[str, ...]]
    late: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        """The files to mutate, as they lie below the folder of the contracts."""
        names = [f"{name}.vy" for name in self.suites if not name.startswith("testing/")]
        modules = self.contracts.glob("modules/*.vy")
        return sorted([*names, *(str(path.relative_to(self.contracts)) for path in modules)])

    def contracts_with(self, file: str) -> list[str]:
        """Return the contracts that are compiled from a file."""
        return [name for name in self.suites if self.contracts / file in self._sources[name]]

    def late_for(self, contracts: Iterable[str]) -> tuple[str, ...]:
        """Return the late folders if they reach any of some contracts."""
        return self.late if any(not name.startswith("testing/") for name in contracts) else ()

    def folders(self, contracts: Collection[str]) -> list[str]:
        """Return the folders of tests that some contracts are tried on."""
        own = {folder for name in contracts for folder in self.suites[name]}
        return sorted({*own, *self.late_for(contracts)})

    def suite_digest(self) -> str:
        """Return a hash of all contracts and tests: what survives them may not survive others."""
        digest = sha256(repr((self.suites, self.late)).encode())
        for path in sorted([*self.contracts.rglob("*.vy*"), *self.tests.rglob("*.py")]):
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:20]

    @cached_property
    def _sources(self) -> dict[str, set[Path]]:
        return {name: reached(self.contracts / f"{name}.vy") for name in self.suites}


def workdeed() -> Project:
    """Return this repository: the tests of a contract lie in the folder of its name."""
    contracts, tests = ROOT / "contracts", ROOT / "tests" / "contracts"
    suites = {WORDS: ("modules",)}
    for path in sorted(contracts.glob("*.vy"), key=lambda path: path.stat().st_size):
        folders = (_snake_case(path.stem), *ALSO.get(path.stem, ()))
        if path.stem not in LEFT_OUT:
            suites[path.stem] = tuple(name for name in folders if (tests / name).is_dir())
    late = tuple(sorted(path.name for pattern in LATE for path in tests.glob(pattern)))
    return Project(contracts, tests, suites, late)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
