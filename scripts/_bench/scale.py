"""What a job costs in a window as the network grows: windows of several sizes, and a plot.

Off chain it is the CPU time of one member; on chain the gas of the one report, which is flat, over
all jobs. Both are drawn over the number of placements, on logarithmic axes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts._bench.plot import Line, Panel, draw
from scripts._bench.process import ROOT, Figures, measure
from scripts._bench.world import SLOTS

PLOT = ROOT / "docs" / "scale.svg"
SNAPSHOT = ROOT / "gas-snapshot.json"
PER_NODE = 10
"""Placements of each node."""
SIZES = (100, 300, 1_000, 3_000)
"""Nodes of the windows that are measured besides the large one of `network`."""
HORIZON = 10_000_000
"""Placements up to which the gas is drawn: a million nodes."""
PROBES = "probes and verdicts"
MILLISECONDS = 1_000


def point(found: Mapping[str, Any]) -> Figures:
    """Return what a window of `network` says of one job: CPU milliseconds of a member."""
    jobs = found["placements"] // SLOTS
    cpu = {name: stage["cpu_seconds"] for name, stage in found["stages"].items()}
    probes, rest = cpu.pop(PROBES), sum(cpu.values())
    return {
        "nodes": found["nodes"],
        "placements": found["placements"],
        "window_seconds": found["window_seconds"],
        "rss_mb": found["rss_mb"],
        "probe_ms_per_node": round(probes * MILLISECONDS / found["nodes"], 3),
        "probe_ms_per_job": round(probes * MILLISECONDS / jobs, 3),
        "round_ms_per_job": round(rest * MILLISECONDS / jobs, 3),
    }


def report_gas() -> int:
    """Return the gas of one report of ten members, whatever it settles."""
    return int(json.loads(SNAPSHOT.read_text())["report"]["10"])


def gas_per_job(placements: int, report: int) -> float:
    """Return a job's share of the gas of one report."""
    return report * SLOTS / placements


def plot(points: Sequence[Mapping[str, Any]], report: int) -> str:
    """Return the plot of these points as SVG."""
    at = [one["placements"] for one in points]
    cpu = Panel(
        title="CPU of one member, per job of ten slots and window",
        unit="ms",
        lines=(
            Line("one probe of its nodes", _over(at, points, "probe_ms_per_job")),
            Line("the round", _over(at, points, "round_ms_per_job")),
        ),
    )
    sizes = [size for size in (10**exponent for exponent in range(3, 8)) if size <= HORIZON]
    gas = Panel(
        title=f"gas per job and window: one report of {report:,} for all",
        unit="gas",
        lines=(Line("report", tuple((size, gas_per_job(size, report)) for size in sizes)),),
    )
    return draw((cpu, gas), "placements (job, license)")


def _over(
    at: Sequence[int], points: Sequence[Mapping[str, Any]], name: str
) -> tuple[tuple[float, float], ...]:
    return tuple((x, one[name]) for x, one in zip(at, points, strict=True))


def run(large: Mapping[str, Any] | None, *, members: int, path: Path | None) -> Figures:
    """Measure windows of growing networks.

    Args:
        large: the figures of `network`, as the last point; None without.
        members: seats of the committee.
        path: where the plot goes; None for nowhere.

    """
    windows = [
        measure("network", nodes=size, placements=PER_NODE * size, members=members)
        for size in SIZES
    ]
    if large is not None and large["nodes"] > SIZES[-1]:
        windows.append(dict(large))
    points, report = [point(one) for one in windows], report_gas()
    if path is not None:
        path.write_text(plot(points, report))
    return {
        "members": members,
        "points": points,
        "report_gas": report,
        "report_gas_per_job": {
            str(one["placements"]): round(gas_per_job(one["placements"], report), 2)
            for one in points
        },
    }
