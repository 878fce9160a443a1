"""`make chaos`: the fault campaign of the keeper.

Kills it at a thousand places, reorganizes its chain, spoils its node's answers, its fees, nonces,
disk and clock, lets oracles lie, and lets a judge count from the chain what was lost or done twice.
Writes `build/chaos.json`; exit code 0 only if nothing was and the books balance.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import structlog
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from tests.chaos.tally import Tally

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "chaos.json"
FOLDER = ROOT / "build" / "chaos"
INTERRUPTED = 130
SHOWN = 10
"""Complaints that are printed; all are in the file."""


@click.command()
@click.option("--seed", default=1, show_default=True, help="Of the first world; others follow.")
@click.option("--part", "names", multiple=True, help="Only this part; may be repeated.")
@click.option("--count", type=click.IntRange(min=1), help="Faults of each part.")
@click.option("--list", "only_list", is_flag=True, help="Name the parts and stop.")
def main(seed: int, names: tuple[str, ...], count: int | None, only_list: bool) -> None:
    """Do faults to the keeper and count what was lost or done twice."""
    # Every victim loads this module, and is to start within moments.
    from tests.chaos.campaign import PARTS, run

    console = Console(soft_wrap=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    known = {part.name: part for part in PARTS}
    if only_list:
        for part in PARTS:
            console.print(f"{part.name}: {part.count}")
        return
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name}: there is none; choose of {', '.join(known)}")
    chosen = [known[name] for name in names or known]
    parts = [replace(part, count=count or part.count) for part in chosen]
    console.print(f"seed {seed}; each line names the seed that plays its world again")
    try:
        tally = asyncio.run(_interruptible(run(parts, seed, FOLDER, console.print)))
    except asyncio.CancelledError:
        console.print("interrupted; every process has ended")
        sys.exit(INTERRUPTED)
    result = {"seed": seed, **tally.to_json()}
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(result, indent=2) + "\n")
    show(console, result)
    is_skip_wrong = bool(tally.skipped) and os.environ.get("CI") == "true"
    sys.exit(0 if tally.is_clean and not is_skip_wrong else 1)


async def _interruptible(campaign: Coroutine[Any, Any, Tally]) -> Tally:
    """Run a campaign to its end; Ctrl-C and SIGTERM cancel it, which ends its processes."""
    task = asyncio.create_task(campaign)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await task


def show(console: Console, result: Mapping[str, Any]) -> None:
    """Print what was done and what came of it."""
    table = Table("fault", "done", title=f"{result['wanted']} effects wanted")
    for name, count in result["faults"].items():
        table.add_row(name, str(count))
    console.print(table)
    balance = "balance" if result["books_balance"] else "do not balance"
    console.print(f"lost {result['lost']}, doubled {result['doubled']}, the books {balance}")
    for text in result["skipped"]:
        console.print(f"left out: {text}")
    for text in result["complaints"][:SHOWN]:
        console.print(text, style="red")


if __name__ == "__main__":
    main()
