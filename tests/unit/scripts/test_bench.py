"""The table of the benchmarks, and what is kept of an earlier run."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from scripts import bench
from scripts._bench import follower, merkle, runtime, silverback
from scripts._bench.process import BenchError

FOLLOWER: dict[str, Any] = {
    "logs_per_second": 5_000,
    "live": {"p50_ms": 250.0, "p99_ms": 510.0, "poll_ms": 500},
    "peers": {
        "web3": {"logs_per_second": 2_500},
        "web3_decoded": {"logs_per_second": 500},
        "silverback": {"absent": "it is missing"},
    },
    "ratios": {"web3": 2.0, "web3_decoded": 10.0},
}
DISPATCH = {"p50_ms": 280.0, "p99_ms": 751.0, "poll_ms": 500, "allowed_p99_ms": 750}
LATENCY = {"p50_ms": 3.0, "p99_ms": 9.0}
REST = {"rss_mb": 88.0, "pss_mb": 80.0, "cpu_seconds_a_minute": 7.5}
START = {"well_ms": 250.0, "bare_ms": 100.0, "ratio": 2.5}
RUNTIME: dict[str, Any] = {
    "process": START,
    "container": {"absent": "install the packages podman"},
    "crowd": {
        "services": 200,
        "empty": {"agent": REST | {"rss_mb": 80.0, "cpu_seconds_a_minute": 0.2}},
        "rest": {"agent": REST, "supervisors": REST},
        "probe": LATENCY,
        "status": LATENCY,
    },
    "rolling": {"replicas": 20, "failed": 0, "requests": 9_000, "update_seconds": 70.0} | LATENCY,
}


class TestRows:
    def test_a_missed_target_is_marked(self) -> None:
        first, second = bench.rows({"dispatch": DISPATCH})
        assert first.missed
        assert first.target == "<= 750 ms"
        assert not second.missed

    def test_a_target_that_is_just_met_is_not(self) -> None:
        first, _ = bench.rows({"dispatch": DISPATCH | {"p99_ms": 750.0}})
        assert not first.missed

    def test_one_failed_request_in_an_update_is_a_target_missed(self) -> None:
        rows = {row.figure: row for row in bench.rows({"runtime": RUNTIME})}
        update = rows["rolling update of 20 replicas, failed requests"]
        assert (update.value, update.target, update.missed) == ("0 of 9,000", "0", False)
        failed = RUNTIME | {"rolling": RUNTIME["rolling"] | {"failed": 1}}
        assert [row.value for row in bench.rows({"runtime": failed}) if row.missed] == [
            "1 of 9,000"
        ]

    def test_without_an_engine_the_containers_row_says_so(self) -> None:
        first, second, *_ = bench.rows({"runtime": RUNTIME})
        assert (first.value, first.peer) == ("250 ms", "started bare 100 ms (2.5 times)")
        assert second.value == "left out: install the packages podman"

    def test_where_no_agent_runs_the_runtime_is_left_out_with_the_reason(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runtime.sys, "platform", "darwin")
        found = runtime.run(starts=1, jobs=1, rest_seconds=1.0, replicas=3)
        (row,) = bench.rows({"runtime": found})
        assert row.value == "left out: an agent that runs processes needs Linux"

    def test_an_absent_peer_is_named_with_the_reason(self) -> None:
        backfill, live = bench.rows({"follower": FOLLOWER})
        assert "2,500 (2.0 times)" in backfill.peer
        assert live.peer == "Silverback: it is missing"

    def test_a_peer_that_ran_is_shown(self) -> None:
        peers = FOLLOWER["peers"] | {"silverback": {"p50_ms": 30.0, "p99_ms": 90.0}}
        _, live = bench.rows({"follower": FOLLOWER | {"peers": peers}})
        assert live.peer == "Silverback p50 30 ms, p99 90 ms"


class TestProgress:
    @pytest.fixture
    def measured(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What is measured, without its work."""
        done: list[str] = []
        monkeypatch.setattr(bench, "OUTPUT", tmp_path / "bench.json")
        monkeypatch.setattr(bench, "measure_network", lambda _: done.append("network") or {"n": 1})
        monkeypatch.setattr(
            bench.scale,
            "run",
            lambda network, **_: done.append(f"scale of {network}") or {"points": []},
        )
        monkeypatch.setattr(bench, "rows", lambda _: [])
        return done

    def test_who_waits_is_told_what_is_measured_before_and_after(self, measured: list[str]) -> None:
        result = CliRunner().invoke(bench.main, ["scale", "network", "--quick"])
        assert result.exit_code == 0, result.output
        assert measured == ["network", "scale of {'n': 1}"]
        told = [line for line in result.output.splitlines() if " of 2: " in line]
        title = "1 of 2: network, a window of 500 nodes and 5,000 placements"
        assert told[0] == f"{title} ..."
        assert told[1].startswith(f"{title}: took ")
        assert told[2:] == [
            "2 of 2: scale, networks of several sizes ...",
            "2 of 2: scale, networks of several sizes: took 0 s",
        ]

    def test_on_a_terminal_the_time_goes_on(self) -> None:
        screen = io.StringIO()
        with bench.waiting(Console(file=screen, force_terminal=True, width=80), "1 of 1: merkle"):
            pass
        assert "1 of 1: merkle" in screen.getvalue()
        assert "0:00:00" in screen.getvalue()

    def test_a_part_that_fails_is_not_said_to_be_done(
        self, measured: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: object) -> None:
            raise BenchError("network: it ended with 1")

        monkeypatch.setattr(bench, "measure_network", fail)
        result = CliRunner().invoke(bench.main, ["network"])
        assert result.exit_code == 1
        assert "took" not in result.output
        assert measured == []


class TestOutput:
    def test_what_is_not_run_again_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "build" / "bench.json"
        bench.save(path, {"merkle": {"seconds": 4.0}})
        bench.save(path, bench.load(path) | {"dispatch": DISPATCH})
        assert json.loads(path.read_text()) == {"merkle": {"seconds": 4.0}, "dispatch": DISPATCH}

    @pytest.mark.parametrize("content", ["", "{", "[1]"])
    def test_a_file_of_something_else_is_passed_over(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "bench.json"
        path.write_text(content)
        assert bench.load(path) == {}
        assert bench.load(tmp_path / "none.json") == {}


class TestSilverback:
    def test_where_it_is_not_installed_the_figures_say_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(silverback, "ROOT", tmp_path)
        monkeypatch.setattr(silverback, "PROGRAM", tmp_path / "bin" / "silverback")
        chain: Any = SimpleNamespace()
        found = silverback.measured(chain, lambda _: {"p50_ms": 1.0})
        assert found == {"absent": "bin/silverback is missing; `make bench` installs it"}

    def test_where_it_does_not_start_the_figures_say_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = tmp_path / "silverback"
        program.write_text("#!/bin/sh\nexit 3\n")
        program.chmod(0o755)
        for name, value in (("ROOT", tmp_path), ("PROGRAM", program), ("LOG", tmp_path / "log")):
            monkeypatch.setattr(silverback, name, value)
        address = "0x" + "11" * 20
        chain: Any = SimpleNamespace(
            url="http://127.0.0.1:1", deployment=SimpleNamespace(address=lambda _: address)
        )

        def measure(lines: silverback.Lines) -> dict[str, Any]:
            while not lines():
                pass
            return {}

        found = silverback.measured(chain, measure)
        assert found == {"absent": "silverback: it ended with 3; see log"}


class TestSeen:
    def test_the_first_sight_of_a_job_counts(self) -> None:
        lines = ["ready\n", "7 100.5\n", "8 101.0\n", "7 200.0\n", "9", "\n"]
        assert follower.seen_of(lines) == {7: 100.5, 8: 101.0}


class TestMerklePeer:
    def test_the_proofs_that_were_not_made_are_reckoned(self) -> None:
        found = {"tree": {"seconds": 100.0}, "proofs": {"seconds": 2.0}}
        assert merkle.peer_total(found, "seconds", leaves=1_000, proofs=20) == 200.0

    def test_without_node_it_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(merkle.shutil, "which", lambda _: None)
        with pytest.raises(BenchError, match="needs Node"):
            merkle.peer(10, 10)
