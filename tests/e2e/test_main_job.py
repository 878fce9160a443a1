"""The demo's path on real processes, and every balance against a calculation of its own.

The calculation starts from what the oracles signed, not from what was claimed: it reads the leaves
of every report from an oracle that is still alive, checks them against the roots on chain, applies
the rules of money to the highest figure of each license, and compares the result with the token's
balance of every account.
"""

from __future__ import annotations

import base64
import json
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from eth_utils import keccak
from rich.console import Console

from scripts._demo.ledger import Ledger
from scripts._demo.processes import Crew
from scripts._demo.screen import Screen
from scripts._demo.stage import FUNDS, OPERATORS, PAYER, Stage, account_key
from scripts.demo import perform
from workdeed.chain.rpc import RpcClient
from workdeed.protocol.signing import address_of

pytestmark = pytest.mark.e2e

UNIT = 10_000
PRICE, FEE_BPS = 100_000, 2_000
ORACLE_BPS, TREASURY_BPS = 500, 500
"""Class 1 and the policy of the local preset, written out: base units, basis points."""
TREASURY = 9
LEAF = struct.Struct(">20sQQQ")


async def view(rpc: RpcClient, contract: str, signature: str, *words: int) -> int:
    """Return the word that a view of a contract answers."""
    data = keccak(text=signature)[:4] + b"".join(word.to_bytes(32, "big") for word in words)
    return int.from_bytes(await rpc.eth_call(contract, data), "big")


async def signed_units(stage: Stage, windows: list[int]) -> dict[tuple[int, int], int]:
    """Return the highest cumulative units that reports hold for each (job, license)."""
    units: dict[tuple[int, int], int] = defaultdict(int)
    escrow = bytes.fromhex(stage.deployment.address("JobEscrow")[2:])
    async with aiohttp.ClientSession() as session:
        for window in windows:
            async with session.get(f"{stage.keepers[1]}/reports/{window}") as response:
                assert response.status == 200
                leaves = base64.b64decode((await response.json())["leaves"])
            for address, job_id, license_id, figure in LEAF.iter_unpack(leaves):
                assert address == escrow
                key = (job_id, license_id)
                units[key] = max(units[key], figure)
    return units


def operators_share(units: int) -> int:
    """Return what an operator gets for cumulative units."""
    gross = PRICE * units // UNIT
    return gross - gross * FEE_BPS // 10_000


async def audit(stage: Stage, ledger: Ledger) -> None:
    """Compare every balance with what follows from the signed leaves."""
    rpc = stage.rpc()
    token, escrow = (stage.deployment.address(name) for name in ("TestUSD", "JobEscrow"))
    units = await signed_units(stage, ledger.reports)
    served = {key: figure for key, figure in units.items() if key[1] != 0}
    owners = dict(zip(sorted(stage.nodes), OPERATORS, strict=True))
    for license_id, owner in owners.items():
        due = sum(operators_share(value) for key, value in served.items() if key[1] == license_id)
        account = int(address_of(account_key(owner)), 16)
        assert await view(rpc, token, "balanceOf(address)", account) == due
    gross = sum(PRICE * value // UNIT for value in served.values())
    fees = gross - sum(map(operators_share, served.values()))
    payer = int(address_of(account_key(PAYER)), 16)
    assert await view(rpc, token, "balanceOf(address)", payer) == FUNDS - gross
    assert await view(rpc, token, "balanceOf(address)", int(escrow, 16)) == 0
    assert await view(rpc, escrow, "liabilities()") == 0
    await audit_fees(stage, rpc, fees)


async def audit_fees(stage: Stage, rpc: RpcClient, fees: int) -> None:
    """Compare where the fees went with their shares, which come to all of them."""
    token = stage.deployment.address("TestUSD")
    others = fees * (FEE_BPS - TREASURY_BPS) // FEE_BPS
    oracles = others * ORACLE_BPS // (FEE_BPS - TREASURY_BPS)
    due = {
        stage.deployment.address("OracleCommittee"): oracles,
        stage.deployment.address("BurnAuction"): others - oracles,
        address_of(account_key(TREASURY)): fees - others,
        stage.deployment.address("FeeVault"): 0,
    }
    for account, amount in due.items():
        assert await view(rpc, token, "balanceOf(address)", int(account, 16)) == amount


def check_result(result: dict[str, Any]) -> None:
    """Check what `build/demo.json` says."""
    assert result["conserved"] is True
    assert len(result["jobs"]) == 2
    assert all(job["state"] == "closed" for job in result["jobs"])
    assert result["reallocations"] >= 1
    parts = ("paid", "fees", "refunded", "unclaimed")
    assert result["deposited"] == sum(result[name] for name in parts)
    assert result["fees"] == sum(result["pots"].values())
    assert result["jobs"][1]["slots"] == 2
    assert result["paid"] > 0
    assert result["refunded"] > 0


async def test_two_jobs_settle_to_the_last_base_unit_while_a_node_and_an_oracle_die(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    crew = Crew(folder)
    started: list[psutil.Process] = []
    try:
        with Screen(Console(highlight=False, width=160)) as screen:
            await perform(crew, screen, audit)
        started = [one for member in crew.members.values() if (one := member.process())]
        started += [one for work in crew.workloads if (one := work.process())]
    finally:
        crew.end()
    check_result(json.loads(folder.with_suffix(".json").read_text()))
    assert started
    assert not [process for process in started if process.is_running()]
