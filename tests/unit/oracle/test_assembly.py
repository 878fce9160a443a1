"""An oracle opened as a keeper opens it, against real nodes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI

from workdeed.chain.bindings import licenses
from workdeed.oracle.assembly import Oracle, OracleSetup
from workdeed.oracle.errors import JournalError, StoreError
from workdeed.oracle.prober import Prober
from workdeed.oracle.settings import ProbeSettings
from workdeed.oracle.snapshots import ChainView
from workdeed.protocol.figures import UNIT, UNKNOWN

from .servers import Node, serving
from .support import CLOCK, DOMAIN, FIRST_NODE, RULES, Sim, View, oracle, with_job


def setup(folder: Path) -> OracleSetup:
    probes = ProbeSettings(timeout=5.0, max_skew=float("inf"))
    return OracleSetup(folder, DOMAIN, RULES, probes, allow_private_endpoints=True)


def opened(folder: Path, sim: Sim) -> Oracle:
    chain = cast("ChainView", View(sim))
    return Oracle.open(setup(folder), chain=chain, signer=oracle(0), specs=lambda _: None)


async def test_it_probes_real_nodes_and_observes_the_window(tmp_path: Path) -> None:
    sim = with_job(Sim())
    async with AsyncExitStack() as stack:
        node = Node()
        port = await stack.enter_async_context(serving({"POST /probe": node.handle}))
        url = f"http://127.0.0.1:{port}"
        sim.log(licenses.ProfileSet(FIRST_NODE, bytes(32), url))
        found = opened(tmp_path, sim)
        stack.push_async_callback(found.close)
        service = found.service
        service.start()
        prober: Prober = service._prober
        sim.to_window(2)
        sim.time = CLOCK.start(2) + 1.0
        await service.tick()
        await prober.probe_all()
        sim.to_window(3)
        await service.tick()
        facts = await service._facts.window(2)
        observation = await service._desk.observation(facts, sim.books.committee_epoch)
        # The second node answers nobody, and its grace lasts through its first window.
        assert observation.figures == (UNIT, UNKNOWN)
        assert observation.verify(DOMAIN) == oracle(0).address
        assert service.status.observed == 2
        assert service.status.seated


async def test_its_paths_are_an_applications(tmp_path: Path) -> None:
    found = opened(tmp_path, Sim())
    app = FastAPI()
    app.include_router(found.router())
    paths = set(app.openapi()["paths"])
    assert "/rounds/{window}/proposal" in paths
    assert "/reports/{window}/proofs/{job}/{license_id}" in paths
    await found.close()


async def test_one_process_is_one_oracle(tmp_path: Path) -> None:
    found = opened(tmp_path, Sim())
    with pytest.raises(JournalError, match="another process"):
        opened(tmp_path, Sim())
    await found.close()
    await opened(tmp_path, Sim()).close()


async def test_a_store_that_fails_leaves_the_journal_free(tmp_path: Path) -> None:
    (tmp_path / "oracle.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError):
        opened(tmp_path, Sim())
    (tmp_path / "oracle.db").unlink()
    await opened(tmp_path, Sim()).close()


def test_the_rules_can_be_had_without_a_web_framework() -> None:
    script = (
        "import sys, workdeed.oracle.service, workdeed.oracle.assembly;"
        "print([name for name in ('fastapi', 'web3', 'uvicorn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
