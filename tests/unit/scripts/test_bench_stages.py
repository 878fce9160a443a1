"""Percentiles, stages and shares: what the figures of the benchmarks are made of."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts._bench.nodes import SPARE_FILES, shares
from scripts._bench.process import BenchError, figures_of, measure, peak_memory
from scripts._bench.stages import Stages, per_item, percentile

VALUES = st.lists(st.floats(0, 1_000), min_size=1, max_size=50)


class TestPercentile:
    @pytest.mark.parametrize(
        ("share", "expected"), [(0.01, 1), (0.5, 50), (0.99, 99), (0.995, 100), (1.0, 100)]
    )
    def test_it_is_the_nearest_rank(self, share: float, expected: int) -> None:
        assert percentile(list(range(100, 0, -1)), share) == expected

    @given(VALUES, st.floats(0.01, 1.0))
    def test_it_was_measured_and_bounds_the_share_of_all(
        self, values: list[float], share: float
    ) -> None:
        found = percentile(values, share)
        assert found in values
        assert sum(one <= found for one in values) >= share * len(values) - 1e-9

    @pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
    def test_nothing_has_none(self, values: list[float], share: float) -> None:
        with pytest.raises(ValueError, match="values:"):
            percentile(values, share)


class TestStages:
    def test_a_stage_that_is_entered_again_adds_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ticks = iter(range(100))
        monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
        monkeypatch.setattr(time, "process_time", lambda: 0.5)
        stages = Stages()
        for name in ("probe", "settle", "probe"):
            with stages.stage(name):
                pass
        assert stages.wall == {"probe": 2.0, "settle": 1.0}
        assert stages.seconds == 3.0
        assert stages.figures()["probe"] == {"seconds": 2.0, "cpu_seconds": 0.0}

    def test_a_stage_that_fails_counts(self) -> None:
        stages = Stages()
        with pytest.raises(KeyError), stages.stage("probe"):
            raise KeyError
        assert list(stages.wall) == ["probe"]

    def test_microseconds_per_item(self) -> None:
        assert per_item(0.5, 1_000) == 500.0
        with pytest.raises(ValueError, match="items"):
            per_item(0.5, 0)


class TestShares:
    @given(st.integers(1, 50_000), st.integers(1, 30_000))
    def test_every_node_is_in_one_share_and_no_share_exceeds_the_files(
        self, nodes: int, room: int
    ) -> None:
        found = shares(nodes, SPARE_FILES + room)
        assert [at for first, count in found for at in range(first, first + count)] == list(
            range(nodes)
        )
        assert max(count for _, count in found) <= room

    def test_too_few_files_are_told(self) -> None:
        with pytest.raises(BenchError, match="open files"):
            shares(10, SPARE_FILES)


class TestProcess:
    def test_the_last_line_holds_the_figures(self) -> None:
        assert figures_of('a warning\n{"a": 1}\n') == {"a": 1}
        with pytest.raises(BenchError, match="printed nothing"):
            figures_of("\n")

    def test_a_measurement_has_memory_of_its_own(self) -> None:
        """The peak of this process must not show in that of a small one."""
        ballast = bytearray(400_000_000)
        ballast[::4_096] = b"1" * len(ballast[::4_096])
        assert peak_memory() > len(ballast)
        found = measure("merkle", leaves=100)
        assert found["leaves"] == 100
        assert found["rss_mb"] < 200
        assert found["cpu_seconds"] > 0

    def test_a_measurement_that_fails_is_told(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(BenchError, match="network: it ended with 1"):
            measure("network", nodes=10, placements=15, members=4)
        assert "placements: 15 must be a multiple" in capfd.readouterr().err
