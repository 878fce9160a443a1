"""The simulated network, and a window of a small one over real HTTP."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from scripts._bench.network import window
from scripts._bench.nodes import Node
from scripts._bench.process import BenchError, measure
from scripts._bench.scale import gas_per_job, plot, point
from scripts._bench.world import DOMAIN, ENDING, FIRST_NODE, SICK, WINDOW, World, key_of
from workdeed.oracle.ledger import service_pairs
from workdeed.protocol.messages import Probe
from workdeed.protocol.signing import address_of

WORLD = World(nodes=20, placements=200)
FOUND: dict[str, Any] = {
    "nodes": 100,
    "placements": 1_000,
    "window_seconds": 1.0,
    "rss_mb": 90.0,
    "stages": {
        "targets": {"seconds": 0.1, "cpu_seconds": 0.1},
        "probes and verdicts": {"seconds": 0.5, "cpu_seconds": 0.2},
        "settlement": {"seconds": 0.1, "cpu_seconds": 0.05},
    },
}


class TestWorld:
    def test_every_node_has_as_many_placements_and_none_twice_in_a_job(self) -> None:
        served = Counter(one for job in range(1, WORLD.jobs + 1) for one in WORLD.licenses_of(job))
        assert set(served.values()) == {10}
        assert len(served) == WORLD.nodes
        assert all(len(set(WORLD.licenses_of(job))) == 10 for job in range(1, WORLD.jobs + 1))

    def test_nodes_and_chain_agree_on_who_serves_what(self) -> None:
        books = WORLD.history([9_000 + at for at in range(WORLD.nodes)]).tip
        by_chain = {(one.job_id, one.license_id) for one in service_pairs(books, WINDOW)}
        by_node = {
            (job, FIRST_NODE + at) for at, jobs in enumerate(WORLD.jobs_by_node()) for job in jobs
        }
        assert by_chain == by_node
        assert len(by_chain) == WORLD.placements

    def test_some_jobs_end_with_the_window(self) -> None:
        books = WORLD.history([9_000] * WORLD.nodes).tip
        ending = [job.job_id for job in books.jobs.values() if job.is_over(WINDOW + 1)]
        assert ending == list(range(ENDING, WORLD.jobs + 1, ENDING))

    @pytest.mark.parametrize(("nodes", "placements"), [(5, 50), (20, 210), (20, 30), (30, 100)])
    def test_sizes_that_do_not_divide_are_refused(self, nodes: int, placements: int) -> None:
        with pytest.raises(BenchError, match="multiple"):
            World(nodes, placements)


def test_a_simulated_node_signs_its_answer() -> None:
    key = key_of("node", 3)
    node = Node(3, key, address_of(key), WORLD.workloads(3, [1, 2]))
    probe = Probe(nonce=bytes(32), window=WINDOW, block_hash=bytes(32))
    answer = node.answer(probe)
    assert answer.verify(DOMAIN) == address_of(key)
    assert answer.answers(probe)
    assert answer.license_id == FIRST_NODE + 3


def test_a_window_of_a_small_network_settles_what_the_nodes_said() -> None:
    """One of a hundred nodes is sick and earns nothing; `window` raises if a unit differs."""
    found = measure("network", nodes=SICK, placements=10 * SICK, members=4)
    assert found["leaves"] == 10 * SICK + SICK // ENDING
    assert found["simulated_nodes"]["sign"] is True
    assert found["window_seconds"] == pytest.approx(
        sum(stage["seconds"] for stage in found["stages"].values()), abs=0.02
    )
    assert set(found["stages"]) >= {"probes and verdicts", "settlement", "tree and proofs"}


def test_a_window_is_refused_before_any_node_is_started() -> None:
    with pytest.raises(BenchError, match="placements"):
        window(nodes=10, placements=15, members=4)


class TestScale:
    def test_a_point_tells_probes_from_the_round(self) -> None:
        found = point(FOUND)
        assert found["probe_ms_per_node"] == 2.0
        assert found["probe_ms_per_job"] == 2.0
        assert found["round_ms_per_job"] == 1.5

    def test_the_gas_of_a_report_is_shared_by_all_jobs(self) -> None:
        assert gas_per_job(10, 90_000) == 90_000
        assert gas_per_job(1_000_000, 90_000) == 0.9

    def test_the_plot_shows_every_point(self) -> None:
        points = [point(FOUND), point(FOUND | {"nodes": 200, "placements": 2_000})]
        drawn = plot(points, 90_000)
        assert drawn.count("<circle") == 2 * 2 + 5 + 3
        assert "90,000" in drawn
