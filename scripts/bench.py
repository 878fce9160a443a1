"""The benchmarks: `python -m scripts.bench [--quick] [merkle] [follower] [dispatch] ...`.

Prints a table and writes `build/bench.json`. What is run replaces its part of that file, the rest
stays. A target that is missed is marked, and fails nothing: times depend on the machine.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from scripts._bench import chain, dispatch, evidence, follower, merkle, runtime, scale
from scripts._bench.process import ROOT, BenchError, Figures, measure

OUTPUT = ROOT / "build" / "bench.json"
NAMES = ("network", "merkle", "follower", "dispatch", "runtime", "scale")
ON_CHAIN = ("follower", "dispatch")


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        leaves: of the Merkle tree.
        logs: on the chain that follower and dispatch read.
        events: live events for each reader.
        dispatched: placements whose dispatch is timed.
        nodes, placements, members: of the network.
        starts: workloads that are started under an agent, and as many bare.
        jobs: on one agent, of four services each.
        rest_seconds: that an agent with these is watched.
        replicas: of a job that is updated.
        repeat: runs of which medians are taken.
        poll_seconds: between two looks of a keeper at the chain.

    """

    leaves: int = 1_000_000
    logs: int = 20_000
    events: int = 200
    dispatched: int = 200
    nodes: int = 10_000
    placements: int = 100_000
    members: int = 4
    starts: int = 15
    jobs: int = 50
    rest_seconds: float = 60.0
    replicas: int = 20
    repeat: int = 3
    poll_seconds: float = 0.5


QUICK = Sizes(
    leaves=50_000,
    logs=2_000,
    events=30,
    dispatched=30,
    nodes=500,
    placements=5_000,
    starts=3,
    jobs=5,
    rest_seconds=5.0,
    replicas=4,
    repeat=1,
)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        figure: what was measured.
        value: how much, with its unit.
        target: what it should be, "" if nothing was promised.
        missed: whether it is not.
        peer: what the peer took, in the same run.

    """

    figure: str
    value: str
    target: str = ""
    missed: bool = False
    peer: str = ""


def measure_network(sizes: Sizes) -> Figures:
    """Return the window of median length of several."""
    found = [
        measure("network", nodes=sizes.nodes, placements=sizes.placements, members=sizes.members)
        for _ in range(sizes.repeat)
    ]
    found_evidence = measure("evidence", answers=sizes.nodes * evidence.A_DAY)
    seconds = median(one["window_seconds"] for one in found)
    middle = min(found, key=lambda one: abs(one["window_seconds"] - seconds))
    return middle | {
        "rss_mb": max(one["rss_mb"] for one in found),
        "runs": [one["window_seconds"] for one in found],
        "evidence_of_a_day": found_evidence,
    }


def measure_on_chain(names: Sequence[str], sizes: Sizes) -> Figures:
    """Return the figures of those benchmarks that read one and the same local chain."""
    content: Figures = {}
    with TemporaryDirectory(prefix="workdeed-bench-") as folder, chain.running(Path(folder)) as one:
        blocks = one.fill(sizes.logs)
        if "follower" in names:
            content["follower"] = follower.run(
                one, repeat=sizes.repeat, poll_seconds=sizes.poll_seconds, events=sizes.events
            ) | {"blocks": blocks}
        if "dispatch" in names:
            content["dispatch"] = dispatch.run(
                one, placements=sizes.dispatched, poll_seconds=sizes.poll_seconds
            )
    return content


@dataclass(frozen=True)
class Part:
    """What is measured in one go: a title for who waits, and what returns a part of the output."""

    title: str
    measure: Callable[[], Figures]


def parts(
    names: Sequence[str], sizes: Sizes, found: Figures, *, full_peer: bool, write_plot: bool
) -> Iterator[Part]:
    """Yield what is to be measured; a later part may use what was `found` by an earlier one."""
    if "network" in names:
        title = f"network, a window of {sizes.nodes:,} nodes and {sizes.placements:,} placements"
        yield Part(title, lambda: {"network": measure_network(sizes)})
    if "merkle" in names:
        yield Part(
            f"merkle, {sizes.leaves:,} leaves beside the npm package",
            lambda: {"merkle": merkle.run(sizes.leaves, sizes.repeat, full_peer=full_peer)},
        )
    on_chain = [name for name in names if name in ON_CHAIN]
    if on_chain:
        title = f"{' and '.join(on_chain)}, {sizes.logs:,} logs of a local chain"
        yield Part(title, lambda: measure_on_chain(on_chain, sizes))
    if "runtime" in names:
        yield Part(
            f"runtime, {sizes.jobs} jobs on an agent and an update of {sizes.replicas} replicas",
            lambda: {"runtime": measure_runtime(sizes)},
        )
    if "scale" in names:
        path = scale.PLOT if write_plot else None
        yield Part(
            "scale, networks of several sizes",
            lambda: {
                "scale": scale.run(found.get("network"), members=sizes.members, path=path),
            },
        )


def measure_runtime(sizes: Sizes) -> Figures:
    """Return the figures of an agent and of an update of many."""
    return runtime.run(
        starts=sizes.starts,
        jobs=sizes.jobs,
        rest_seconds=sizes.rest_seconds,
        replicas=sizes.replicas,
    )


@contextmanager
def waiting(console: Console, title: str) -> Iterator[None]:
    """Say what is measured and for how long: by the second on a terminal, elsewhere by lines."""
    if console.is_terminal:
        columns = SpinnerColumn(finished_text=" "), TextColumn("{task.description}")
        with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
            task = progress.add_task(title, total=1)
            yield
            progress.update(task, completed=1)
        return
    began = time.monotonic()
    console.print(f"{title} ...", highlight=False, soft_wrap=True)
    yield
    spent = time.monotonic() - began
    console.print(f"{title}: took {spent:.0f} s", highlight=False, soft_wrap=True)


def rows(content: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the lines of the table."""
    makers = {
        "network": _network_rows,
        "merkle": _merkle_rows,
        "follower": _follower_rows,
        "dispatch": _dispatch_rows,
        "runtime": _runtime_rows,
        "scale": _scale_rows,
    }
    for name, make in makers.items():
        if name in content:
            yield from make(content[name])


def _network_rows(found: Mapping[str, Any]) -> Iterator[Row]:
    name = f"window of {found['nodes']:,} nodes, {found['placements']:,} placements"
    yield _most(name, found["window_seconds"], 60.0, "s")
    yield _most("  memory of the member", found["rss_mb"], 2_000.0, "MB")
    for stage, spent in found["stages"].items():
        yield Row(f"  {stage}", f"{spent['seconds']:.2f} s, CPU {spent['cpu_seconds']:.2f} s")
    yield Row("a follower's check of the report", f"{found['follow_seconds']:.2f} s")
    day = found["evidence_of_a_day"]
    name = f"evidence root of a day, {day['answers']:,} answers"
    yield Row(name, f"{day['seconds']:.1f} s, CPU {day['root_cpu_seconds']:.1f} s")
    yield Row("CPU of the simulated nodes", f"{found['simulated_nodes']['cpu_seconds']:.1f} s")


def _merkle_rows(found: Mapping[str, Any]) -> Iterator[Row]:
    name = f"tree of {found['leaves']:,} leaves, root and all proofs"
    peer = f"@openzeppelin/merkle-tree {found['peer_seconds']:,} s ({found['ratio']} times)"
    yield replace(_most(name, found["seconds"], 5.0, "s"), peer=peer)
    peer = f"{found['peer_rss_mb']:,.0f} MB"
    yield replace(_most("  memory", found["rss_mb"], 1_000.0, "MB"), peer=peer)
    peer = f"{found['peer_cpu_seconds']:,} s"
    yield Row("  CPU", f"{found['cpu_seconds']:.2f} s", peer=peer)
    updated = f"  again after {found['updated']:,} leaves changed"
    yield Row(updated, f"{found['update_seconds']:.2f} s")


def _follower_rows(found: Mapping[str, Any]) -> Iterator[Row]:
    peers, ratios = found["peers"], found["ratios"]
    plain, decoded = peers["web3"], peers["web3_decoded"]
    peer = (
        f"web3.py {plain['logs_per_second']:,} ({ratios['web3']} times),"
        f" decoded {decoded['logs_per_second']:,} ({ratios['web3_decoded']} times)"
    )
    yield Row("backfill, logs a second", f"{found['logs_per_second']:,}", peer=peer)
    bot = peers["silverback"]
    peer = f"Silverback: {bot['absent']}" if "absent" in bot else f"Silverback {_latency(bot)}"
    live = found["live"]
    yield Row(f"event to handler, polled every {live['poll_ms']} ms", _latency(live), peer=peer)


def _dispatch_rows(found: Mapping[str, Any]) -> Iterator[Row]:
    name = f"placement to dispatch, polled every {found['poll_ms']} ms, p99"
    yield _most(name, found["p99_ms"], float(found["allowed_p99_ms"]), "ms")
    yield Row("  p50", f"{found['p50_ms']:,.0f} ms")


def _runtime_rows(found: Mapping[str, Any]) -> Iterator[Row]:
    if "absent" in found:
        yield Row("runtime of a node", f"left out: {found['absent']}")
        return
    yield _start_row("process", found["process"], "started bare")
    yield _start_row("container", found["container"], "podman run")
    crowd, rolling = found["crowd"], found["rolling"]
    agent, supervisors = crowd["rest"]["agent"], crowd["rest"]["supervisors"]
    name = f"agent with {crowd['services']} services, memory"
    yield Row(
        name, f"{agent['rss_mb']:,.0f} MB", peer=f"without any {_agent_memory(crowd['empty'])}"
    )
    cpu = f"{agent['cpu_seconds_a_minute']:.1f} s"
    yield Row("  CPU a minute, at rest", cpu, peer=f"without any {_agent_cpu(crowd['empty'])}")
    held = f"{supervisors['pss_mb']:,.0f} MB, CPU {supervisors['cpu_seconds_a_minute']:.1f} s"
    yield Row("  its supervisors, memory and CPU a minute", held)
    for asked in ("probe", "status"):
        yield Row(f"  {asked}, one every 100 ms", _latency(crowd[asked]))
    name = f"rolling update of {rolling['replicas']} replicas, failed requests"
    failed = f"{rolling['failed']} of {rolling['requests']:,}"
    yield Row(name, failed, "0", missed=rolling["failed"] > 0)
    yield Row("  the update", f"{rolling['update_seconds']:.0f} s")
    yield Row("  answers through the gateway", _latency(rolling))


def _start_row(what: str, found: Mapping[str, Any], how: str) -> Row:
    name = f"{what} under an agent, dispatch taken to well"
    if "absent" in found:
        return Row(name, f"left out: {found['absent']}")
    peer = f"{how} {found['bare_ms']:,.0f} ms ({found['ratio']} times)"
    return Row(name, f"{found['well_ms']:,.0f} ms", peer=peer)


def _agent_memory(rest: Mapping[str, Any]) -> str:
    return f"{rest['agent']['rss_mb']:,.0f} MB"


def _agent_cpu(rest: Mapping[str, Any]) -> str:
    return f"{rest['agent']['cpu_seconds_a_minute']:.1f} s"


def _scale_rows(found: Mapping[str, Any]) -> Iterator[Row]:
    for one in found["points"]:
        cpu = f"{one['probe_ms_per_job']:.1f} ms a probe + {one['round_ms_per_job']:.1f} ms"
        yield Row(f"CPU per job and window, {one['placements']:,} placements", cpu)


def _latency(found: Mapping[str, Any]) -> str:
    return f"p50 {found['p50_ms']:,.0f} ms, p99 {found['p99_ms']:,.0f} ms"


def _most(figure: str, value: float, most: float, unit: str) -> Row:
    """Return the line of a figure that should be `most` at most."""
    return Row(figure, f"{value:,.2f} {unit}", f"<= {most:,.0f} {unit}", value > most)


def show(console: Console, content: Mapping[str, Any]) -> None:
    """Print the table."""
    peer = Column("peer in the same run", overflow="fold")
    table = Table("figure", "measured", "target", peer, title="benchmarks")
    for row in rows(content):
        style = "yellow" if row.missed else None
        table.add_row(row.figure, row.value, row.target, row.peer, style=style)
    console.print(table)


def load(path: Path) -> Figures:
    """Return what an earlier run wrote; nothing if there is no such file, or not one of ours."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write what is known so far."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def machine() -> Figures:
    """Return what the figures were measured on, and how busy it was (load of the last minute)."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 1),
    }


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--quick", is_flag=True, help="Small sizes and one run each: to see that it works.")
@click.option("--leaves", type=click.IntRange(2), help="Leaves of the Merkle tree.")
@click.option("--logs", type=click.IntRange(1), help="Logs of the backfill.")
@click.option("--nodes", type=click.IntRange(10), help="Nodes of the network.")
@click.option("--placements", type=click.IntRange(10), help="Placements of the network.")
@click.option("--members", type=click.IntRange(2, 32), help="Seats of the network's committee.")
@click.option("--repeat", type=click.IntRange(1), help="Runs of which medians are taken.")
@click.option("--full-peer", is_flag=True, help="Let the npm package make every proof.")
@click.option("--write-plot", is_flag=True, help="Draw docs/scale.svg anew.")
def main(
    names: tuple[str, ...], *, quick: bool, full_peer: bool, write_plot: bool, **given: int | None
) -> None:
    """Run all benchmarks, or those that are named."""
    sizes = replace(QUICK if quick else Sizes(), **{k: v for k, v in given.items() if v})
    content, console = load(OUTPUT), Console()
    found: Figures = {}
    todo = list(parts(names or NAMES, sizes, found, full_peer=full_peer, write_plot=write_plot))
    try:
        for number, part in enumerate(todo, start=1):
            with waiting(console, f"{number} of {len(todo)}: {part.title}"):
                found |= part.measure()
            save(OUTPUT, content | {"machine": machine()} | found)
    except BenchError as error:
        sys.exit(str(error))
    finally:
        show(console, found)


if __name__ == "__main__":
    main()
