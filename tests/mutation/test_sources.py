"""The ways into Vyper that are not its own."""

from __future__ import annotations

import pytest
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.phases import CompilerData

from tests.mutation.project import ROOT
from tests.mutation.sources import LIBRARIES, fast_compiler, reached

CONTRACTS = ROOT / "contracts"


def bytecode(name: str) -> bytes:
    """Compile a contract of this repository."""
    bundle = FilesystemInputBundle([LIBRARIES])
    file = bundle.load_file(CONTRACTS / f"{name}.vy")
    return bytes(CompilerData(file, input_bundle=bundle).bytecode)


@pytest.mark.parametrize("name", ["TrustRegistry", "LicenseSale"])
def test_fast_compiler_makes_the_same_bytecode(name: str) -> None:
    slow = bytecode(name)

    with fast_compiler():
        fast = bytecode(name)

    assert fast == slow


def test_contract_reaches_itself_its_modules_and_libraries() -> None:
    files = reached(CONTRACTS / "TrustRegistry.vy")

    assert CONTRACTS / "TrustRegistry.vy" in files
    assert CONTRACTS / "modules" / "standing_word.vy" in files
    assert LIBRARIES / "snekmate" / "auth" / "ownable.vy" in files
    assert CONTRACTS / "modules" / "money_word.vy" not in files
