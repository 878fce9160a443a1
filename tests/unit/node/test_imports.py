"""The agent stays light: what it imports costs every node its start-up time and memory."""

import subprocess
import sys

import pytest

HEAVY = ("web3", "sqlalchemy", "eth_account", "boa", "ape", "docker")


@pytest.mark.parametrize("module", ["workdeed.node.app", "workdeed.node.run"])
def test_heavy_packages_are_not_imported(module: str):
    code = f"import sys, {module}; print(*(one for one in {HEAVY} if one in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []
