"""The benchmarks of the runtime, small: do they measure what they say?"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts._bench import crowd, rolling, starting
from scripts._bench.process import ROOT, BenchError
from scripts._bench.site import Site, command, opened
from tests import podman

pytestmark = pytest.mark.anvil


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    path = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ.get("PATH", "")])
    if shutil.which("anvil", path=path) is None and os.environ.get("CI") != "true":
        pytest.skip("anvil is missing: run npm ci")
    async with opened() as made:
        yield made


async def test_a_process_is_started_under_an_agent_and_bare(site: Site) -> None:
    found = await starting.processes(site, 2)
    assert found["runs"] == 2
    assert 0 < found["launched_ms"] < found["well_ms"]
    assert found["overhead_ms"] == pytest.approx(found["well_ms"] - found["bare_ms"], abs=0.1)


@pytest.mark.container
async def test_a_container_is_started_under_an_agent_and_bare(site: Site) -> None:
    if reason := podman.missing():
        pytest.skip(reason)
    found = await starting.containers(site, 1)
    assert found["runs"] == 1
    assert min(found["well_ms"], found["bare_ms"]) > 0


async def test_without_an_engine_containers_are_left_out_with_the_reason(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "missing", lambda: "install the packages podman")
    assert await starting.containers(site, 1) == {"absent": "install the packages podman"}


async def test_every_service_of_the_crowd_runs_and_the_agent_answers(site: Site) -> None:
    found = await crowd.run(site, 2, 0.5)
    assert found["services"] == 2 * crowd.SERVICES
    assert found["rest"]["agent"]["rss_mb"] > 20
    assert found["rest"]["supervisors"]["pss_mb"] > found["empty"]["supervisors"]["pss_mb"] == 0
    assert found["probe"]["asked"] >= 4
    assert 0 < found["probe"]["p50_ms"] <= found["probe"]["p99_ms"]


async def test_every_call_in_an_update_is_counted(site: Site) -> None:
    found = await rolling.run(site, 1 + rolling.ROLLOUT["max_unavailable"])
    assert found["failures"] == []
    assert found["requests"] > found["requests_in_update"] > 0
    assert sum(found["versions"].values()) == found["requests"]
    assert list(found["versions"]) == [rolling.OLD, rolling.NEW]


async def test_a_call_that_fails_is_counted_and_told(site: Site) -> None:
    calls = rolling.Calls()
    async with calls.made(site.chain.url):
        await site.until(lambda: _has(calls, 2), "calls")
    assert calls.count == len(calls.failures) >= 2
    assert calls.failures[0].startswith("status ")


def test_a_command_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    words = ("node", "run", "--config", str(tmp_path / "none.toml"))
    with (
        pytest.raises(BenchError, match=r"workdeed node run: it ended; .*none\.toml"),
        command(*words, log=tmp_path / "log") as started,
    ):
        started.child.wait(60)


async def _has(calls: rolling.Calls, count: int) -> bool:
    return calls.count >= count
