"""The demo's path on real processes, and every balance against a calculation of its own.

The calculation starts from what the oracles signed, not from what was claimed: it reads the leaves
of every report from an oracle that is still alive, checks them against the roots on chain, applies
the rules of money to the highest figure of each license, and compares the result with the token's
balance of every account.

With Podman's packages, which CI has, a job runs an image too, in an engine of the test's own.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import struct
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from eth_utils import keccak
from rich.console import Console

from scripts._demo.containers import give_back
from scripts._demo.ledger import Ledger
from scripts._demo.processes import Crew
from scripts._demo.screen import Screen
from scripts._demo.specs import EVENING, MORNING
from scripts._demo.stage import FUNDS, OPERATORS, PAYER, WITHOUT_ENGINE, Stage, account_key
from scripts.demo import perform
from tests.podman import Podman, missing
from workdeed.chain.rpc import RpcClient
from workdeed.protocol.merkle import leaf_hashes, root_of
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


async def leaves_of(session: aiohttp.ClientSession, stage: Stage, window: int) -> bytes:
    """Return a report's leaves from an oracle that has them: a quorum does, and one may be dead."""
    for oracle in stage.keepers.values():
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{oracle}/reports/{window}") as response:
                if response.status == 200:
                    return base64.b64decode((await response.json())["leaves"])
    pytest.fail(f"no oracle shows report {window}")


async def signed_units(stage: Stage, roots: Mapping[int, bytes]) -> dict[tuple[int, int], int]:
    """Return the highest cumulative units that reports hold for each (job, license)."""
    units: dict[tuple[int, int], int] = defaultdict(int)
    escrow = stage.deployment.address("JobEscrow")
    async with aiohttp.ClientSession() as session:
        for window, root in roots.items():
            leaves = list(LEAF.iter_unpack(await leaves_of(session, stage, window)))
            assert {address for address, *_ in leaves} <= {bytes.fromhex(escrow[2:])}
            hashes = b"".join(leaf_hashes((escrow, *figures) for _, *figures in leaves))
            assert root_of(hashes) == root
            for _, job_id, license_id, figure in leaves:
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
    units = await signed_units(stage, ledger.roots)
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


def check_result(result: dict[str, Any], jobs: int) -> None:
    """Check what `build/demo.json` says."""
    assert result["conserved"] is True
    assert len(result["jobs"]) == jobs
    assert all(job["state"] == "closed" for job in result["jobs"])
    assert result["reallocations"] >= 1
    parts = ("paid", "fees", "refunded", "unclaimed")
    assert result["deposited"] == sum(result[name] for name in parts)
    assert result["fees"] == sum(result["pots"].values())
    assert result["jobs"][1]["slots"] == 2
    assert result["paid"] > 0
    assert result["refunded"] > 0


def check_image_job(result: dict[str, Any]) -> None:
    """Check that a job ran an image, was paid whole windows, and was updated without a gap."""
    containers = result["containers"]
    assert containers["engine"].startswith("podman ")
    job = next(one for one in result["jobs"] if one["job_id"] == containers["job_id"])
    without = int(address_of(account_key(WITHOUT_ENGINE)), 16)
    assert without not in {int(one["payee"], 16) for one in job["licenses"]}
    assert max(one["units"] for one in job["licenses"]) >= UNIT
    assert job["paid"] > 0
    assert containers["revision"] == 1
    assert containers["answers"] == [MORNING, EVENING]
    assert containers["calls"] > 0
    assert containers["failed"] == 0


def check_nothing_left(podman: Podman) -> None:
    """Check that the demo took away all that it made in the engine."""
    assert podman.run("ps", "--all", "--quiet") == ""
    assert podman.run("images", "--quiet") == ""
    assert podman.run("network", "ls", "--format", "{{.Name}}") == "podman"


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Podman | None:
    """An engine of the test's own, None on a machine that lacks Podman's packages."""
    if reason := missing():
        assert os.environ.get("CI") != "true", reason
        return None
    started: Podman = request.getfixturevalue("podman")
    return started


async def test_all_jobs_settle_to_the_last_base_unit_while_a_node_and_an_oracle_die(
    tmp_path: Path, engine: Podman | None
) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    crew = Crew(folder)
    started: list[psutil.Process] = []
    sockets = [str(engine.socket)] if engine is not None else []
    try:
        with Screen(Console(highlight=False, width=160)) as screen:
            await perform(crew, screen, audit, sockets)
        started = [one for member in crew.members.values() if (one := member.process())]
        started += [one for work in crew.workloads if (one := work.process())]
    finally:
        crew.end()
        left = give_back(folder)
    assert left == ""
    result = json.loads(folder.with_suffix(".json").read_text())
    check_result(result, 2 if engine is None else 3)
    if engine is not None:
        check_image_job(result)
        check_nothing_left(engine)
    else:
        assert result["containers"]["engine"] is None
    assert started
    assert not [process for process in started if process.is_running()]
