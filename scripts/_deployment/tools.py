"""Where ape finds the programs that it starts."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def find_tools() -> None:
    """Let ape find vyper and anvil where `make setup` puts them, whatever PATH says."""
    path = os.environ.get("PATH", "").split(os.pathsep)
    own = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin")]
    os.environ["PATH"] = os.pathsep.join([*(item for item in own if item not in path), *path])
