"""`make demo`: the main job from a deposit to the last base unit, on a chain of its own.

Starts anvil, deploys, brings one payer, four oracles and five nodes, each a process; opens two jobs
that run a service from a git repository made for the occasion and, where Docker or Podman answers,
one that runs an image, which is updated while a client calls it; kills a serving node and an
oracle; extends one job, scales and cancels another; waits until all are settled; hands the fees on;
adds up the books from the chain's logs and writes `build/demo.json`. Exit code 0 only if they
balance.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import structlog
from rich.markup import escape

from scripts._demo.containers import ContainersError, give_back
from scripts._demo.ledger import Ledger
from scripts._demo.processes import Crew
from scripts._demo.screen import Screen
from scripts._demo.stage import ROOT, DemoError, Stage, set_stage
from scripts._demo.story import Story
from workdeed.chain.errors import ChainError
from workdeed.node.drivers.container_engine import default_sockets
from workdeed.sdk.errors import SdkError

FOLDER = ROOT / "build" / "demo"

Audit = Callable[[Stage, Ledger], Awaitable[None]]


def result_of(ledger: Ledger, differences: list[str], containers: dict[str, Any]) -> dict[str, Any]:
    """Return what `build/demo.json` holds; amounts in base units of the token."""
    jobs = [
        {
            "job_id": job.job_id,
            "state": job.state,
            "slots": job.slots,
            "windows": job.windows,
            "reallocations": job.reallocations,
            "deposited": job.deposited,
            "paid": job.paid,
            "fees": job.fees,
            "refunded": job.refunded,
            "unclaimed": job.unclaimed,
            "licenses": [
                {
                    "license_id": license_id,
                    "payee": job.payees[license_id],
                    "units": units,
                    "earned": job.earned[license_id],
                }
                for license_id, units in sorted(job.units.items())
            ],
        }
        for job in ledger.jobs.values()
    ]
    totals = ("deposited", "paid", "fees", "refunded", "unclaimed")
    return {
        "jobs": jobs,
        "windows": len(ledger.reports),
        "reallocations": ledger.total("reallocations"),
        **{name: ledger.total(name) for name in totals},
        "pots": dict(ledger.pulled),
        "containers": containers,
        "conserved": not differences,
        "differences": differences,
    }


async def perform(
    crew: Crew,
    screen: Screen,
    audit: Audit | None = None,
    sockets: Sequence[str] | None = None,
) -> Ledger:
    """Set the stage, play, and return the books, added up while the chain still runs.

    Args:
        crew: starts the processes; the caller ends them.
        screen: what a person sees.
        audit: another look at the settled stage, such as a test's.
        sockets: where a container engine may listen; by default the usual places.

    Raises:
        DemoError: if it cannot be finished or the books do not balance.

    """
    async with AsyncExitStack() as connections:
        places = default_sockets() if sockets is None else sockets
        stage = await set_stage(crew, screen.say, connections, places)
        session = await connections.enter_async_context(aiohttp.ClientSession())
        rpc = stage.rpc()
        contracts = {name: stage.deployment.address(name) for name in stage.deployment.contracts}
        ledger = Ledger(rpc, contracts, stage.deployment.start_block)
        story = Story(stage, screen, ledger, rpc, session)
        await story.play()
        await settle(crew, ledger, story.containers())
        if audit is not None:
            await audit(stage, ledger)
    return ledger


async def settle(crew: Crew, ledger: Ledger, containers: dict[str, Any]) -> None:
    """Write the result; raises `DemoError` if the books differ from the chain or the rules."""
    differences = await ledger.differences()
    result = crew.folder.with_suffix(".json")
    result.write_text(json.dumps(result_of(ledger, differences, containers), indent=2) + "\n")
    if differences:
        raise DemoError(f"the books do not balance: {differences[0]}; see {result}")


def prepare(crew: Crew, screen: Screen) -> None:
    """Clear what an earlier demo left."""
    swept = crew.sweep()
    if swept:
        screen.say(f"ended {swept} processes of an earlier demo")
    clear_engine(crew, screen)
    shutil.rmtree(crew.folder, ignore_errors=True)
    crew.folder.with_suffix(".json").unlink(missing_ok=True)
    crew.folder.mkdir(parents=True)


def clear_engine(crew: Crew, screen: Screen) -> None:
    """Remove what a demo of this folder made in a container engine; its agents must have ended."""
    if left := give_back(crew.folder):
        screen.say(f"[red]{escape(left)}[/]")


async def interruptible(crew: Crew, screen: Screen) -> Ledger:
    """Perform until done, or until Ctrl-C or SIGTERM cancels it."""
    task = asyncio.ensure_future(perform(crew, screen))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await task


def main() -> int:
    """Run the demo; return the exit code."""
    # The gateway's: what it does is told here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    crew = Crew(FOLDER)
    screen = Screen()
    ledger, code = None, 1
    try:
        prepare(crew, screen)
        with screen:
            ledger = asyncio.run(interruptible(crew, screen))
        code = 0
    except asyncio.CancelledError:
        screen.say("interrupted; ending every process")
        code = 130
    except (DemoError, ContainersError, SdkError, ChainError) as error:
        screen.say(f"[red]{escape(str(error))}[/]")
    finally:
        killed = crew.end()
        clear_engine(crew, screen)
        screen.say("every process has ended" + (f", {killed} had to be killed" if killed else ""))
    if ledger is not None:
        screen.close(ledger)
        screen.say(f"the books balance; figures in {crew.folder.with_suffix('.json')}")
    return code


if __name__ == "__main__":
    sys.exit(main())
