"""Write the ABIs that the package ships: `python scripts/export_abi.py [--check]`.

`--check` writes nothing and fails when a committed ABI is not what the compiler says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vyper.cli.vyper_compile import compile_files

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
TARGET = ROOT / "src" / "workdeed" / "chain" / "abi"
NAMES = tuple(sorted(path.stem for path in CONTRACTS.glob("*.vy")))
"""Every deployable contract; what it rests on is in folders below."""


def compile_abi(name: str) -> str:
    """Return the ABI of the contract `name` as the text of its JSON file."""
    compiled = compile_files([str(CONTRACTS / f"{name}.vy")], ["abi"], paths=[str(CONTRACTS)])
    (output,) = (value for key, value in compiled.items() if str(key).endswith(f"{name}.vy"))
    return json.dumps(output["abi"], indent=1, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check every ABI; return the exit code."""
    stale = []
    for name in NAMES:
        path, text = TARGET / f"{name}.json", compile_abi(name)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    if stale and "--check" in arguments:
        print(f"ABI out of date: {', '.join(stale)}; run python scripts/export_abi.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
