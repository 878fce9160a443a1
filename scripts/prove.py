"""Prove the contracts' pure arithmetic: `python -m scripts.prove`.

Writes build/audit/proofs.json.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "audit" / "proofs.json"


def main() -> int:
    """Prove every fact and tell; return 1 if one is not proven."""
    import z3

    from tests.symbolic.facts import FACTS, decide

    found: list[dict[str, Any]] = []
    for fact in FACTS:
        began = time.monotonic()
        result = decide(fact)
        source = ROOT / "contracts" / f"{fact.source}.vy"
        found.append(
            {
                "id": fact.id,
                "statement": fact.statement,
                "bounds": fact.bounds,
                "result": result,
                "seconds": round(time.monotonic() - began, 2),
                "source": str(source.relative_to(ROOT)),
                "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
                "solver": f"z3 {z3.get_version_string()}",
            }
        )
        print(f"{fact.id}: {result} ({found[-1]['seconds']} s)", flush=True)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if all(one["result"] == "proven" for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
