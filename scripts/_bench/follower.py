"""Reading logs: a backfill beside a plain loop of web3.py, and live events beside Silverback.

Backfill: all logs of our contracts on a local chain, each reader in a process of its own. The
follower also fetches the block of each log for its timestamp, checks that the chain did not change
meanwhile, decodes, and stores logs and cursor in SQLite; web3.py's loop only fetches, or fetches
and decodes. Live: the time from the request that mines an event's block to the event's handler.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen, TimeoutExpired
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from web3 import HTTPProvider, Web3
from web3.types import FilterParams, LogReceipt

from scripts._bench import silverback
from scripts._bench.chain import Chain
from scripts._bench.process import ROOT, BenchError, Figures, answer, measure
from scripts._bench.stages import percentile
from workdeed.chain.bindings.codec import Contract, load_abi
from workdeed.chain.bindings.escrow import JobOpened
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import Deployment, load_deployment
from workdeed.chain.follower import Follower, FollowerSettings
from workdeed.chain.rpc import RpcClient
from workdeed.chain.store import Store

PAGE = 1_000
"""Blocks that web3.py's loop asks for at a time, as many as the follower's first page has."""
RPC_SECONDS = 60.0
PAUSE_SECONDS = (0.05, 0.35)
"""Between two live events; drawn, so that they fall anywhere between two polls."""
WAIT_SECONDS = 120.0
GRACE_SECONDS = 10.0

Seen = dict[int, float]
"""When a reader's handler saw the opening of each job, Unix seconds."""


def follow(url: str, deployment: str) -> Figures:
    """Read all logs as a keeper does, into a new database."""

    async def work(folder: Path) -> tuple[int, float]:
        found = load_deployment(Path(deployment))
        store = Store.open(str(folder / "keeper.sqlite"))
        async with RpcClient(url, timeout=RPC_SECONDS) as rpc:
            follower = _follower(rpc, store, found)
            began, logs, caught_up = time.perf_counter(), 0, False
            while not caught_up:
                update = await follower.poll()
                logs, caught_up = logs + len(update.events), update.caught_up
            seconds = time.perf_counter() - began
        await store.close()
        return logs, seconds

    with TemporaryDirectory(prefix="workdeed-bench-") as folder:
        logs, seconds = asyncio.run(work(Path(folder)))
    return {"logs": logs, "seconds": seconds}


def _follower(rpc: RpcClient, store: Store, deployment: Deployment) -> Follower:
    return Follower(
        rpc,
        store,
        Suite.of(deployment),
        chain_id=deployment.chain_id,
        start_block=deployment.start_block,
        settings=FollowerSettings(),
    )


def loop(url: str, deployment: str, *, decode: bool) -> Figures:
    """Read all logs with web3.py, a page after the other."""
    contracts = Suite.of(load_deployment(Path(deployment))).followed
    web3 = Web3(HTTPProvider(url, request_kwargs={"timeout": RPC_SECONDS}))
    decoder = _decoder(web3, contracts) if decode else None
    head, logs = web3.eth.block_number, 0
    began = time.perf_counter()
    for first in range(0, head + 1, PAGE):
        span: FilterParams = {
            "address": [web3.to_checksum_address(one.address) for one in contracts],
            "fromBlock": first,
            "toBlock": min(first + PAGE - 1, head),
        }
        found = web3.eth.get_logs(span)
        logs += len(found)
        if decoder is not None:
            for log in found:
                decoder(log)
    return {"logs": logs, "seconds": time.perf_counter() - began}


def _decoder(web3: Web3, contracts: tuple[Contract, ...]) -> Callable[[LogReceipt], Any]:
    """Return what decodes a log of ours with web3.py."""
    events: dict[tuple[str, bytes], Any] = {}
    for one in contracts:
        abi = load_abi(one.NAME)
        known = web3.eth.contract(web3.to_checksum_address(one.address), abi=abi).events
        for name in {entry["name"] for entry in abi if entry["type"] == "event"}:
            event = known[name]
            events[event.address, bytes.fromhex(event.topic.removeprefix("0x"))] = event
    return lambda log: events[log["address"], bytes(log["topics"][0])]().process_log(log)


def watch(url: str, deployment: str, poll_seconds: float) -> Figures:
    """Follow the chain as a keeper's loop does, and print when each opening was seen."""

    async def work(folder: Path) -> None:
        found = load_deployment(Path(deployment))
        store = Store.open(str(folder / "keeper.sqlite"))
        async with RpcClient(url, timeout=RPC_SECONDS) as rpc:
            follower = _follower(rpc, store, found)
            while not (await follower.poll()).caught_up:
                pass
            print("ready", flush=True)
            closing = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
            while not closing.done():
                began = time.monotonic()
                update = await follower.poll()
                for logged in update.events:
                    if isinstance(logged.event, JobOpened):
                        print(logged.event.job_id, time.time(), flush=True)
                pause = poll_seconds - (time.monotonic() - began)
                await asyncio.wait({closing}, timeout=max(0.0, pause))
        await store.close()

    with TemporaryDirectory(prefix="workdeed-bench-") as folder:
        asyncio.run(work(Path(folder)))
    return {}


def child(reader: str, **options: Any) -> Figures:
    """Be the process of one reader."""
    if reader == "follower":
        return follow(**options)
    if reader == "watch":
        return watch(**options)
    return loop(**options, decode=reader == "web3_decoded")


@contextmanager
def watching(chain: Chain, poll_seconds: float) -> Iterator[Callable[[], list[str]]]:
    """Run our follower on the chain; yields what returns the lines that it printed so far."""
    options = {
        "reader": "watch",
        "url": chain.url,
        "deployment": str(chain.path),
        "poll_seconds": poll_seconds,
    }
    command = [sys.executable, "-m", "scripts._bench.follower", json.dumps(options)]
    lines: list[str] = []
    with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None  # noqa: PT018, S101 - both are pipes
        reader = Thread(target=lambda: lines.extend(iter(stdout.readline, "")), daemon=True)
        reader.start()
        try:
            yield lambda: list(lines)
        finally:
            stdin.close()
            with suppress(TimeoutExpired):
                process.wait(GRACE_SECONDS)
            process.kill()


def live(chain: Chain, lines: Callable[[], list[str]], events: int) -> list[float]:
    """Make events and return the milliseconds until the reader's handler saw each.

    Raises:
        BenchError: if the reader does not come up, or misses one.

    """
    _until(lambda: bool(lines()), "reader: it does not come up")
    time.sleep(1.0)  # subscriptions of a bot follow its start
    chance = random.Random(1)
    mined: Seen = {}
    with chain.mining_by_hand():
        for _ in range(events):
            job_id = chain.open_job_later()
            mined[job_id] = time.time()
            chain.mine()
            time.sleep(chance.uniform(*PAUSE_SECONDS))
    _until(lambda: mined.keys() <= seen_of(lines()).keys(), "reader: it missed events")
    seen = seen_of(lines())
    return [1_000 * (seen[job_id] - at) for job_id, at in mined.items()]


def seen_of(lines: list[str]) -> Seen:
    """Return when each job was first seen, from lines "<job> <time>"; others are passed over."""
    seen: Seen = {}
    for line in lines:
        job, _, at = line.strip().partition(" ")
        if job.isdigit() and at:
            seen.setdefault(int(job), float(at))
    return seen


def _until(holds: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise BenchError(f"{complaint} within {WAIT_SECONDS:.0f} s")
        time.sleep(0.05)


def latency(milliseconds: list[float]) -> Figures:
    """Return the percentiles of latencies."""
    return {
        "events": len(milliseconds),
        "p50_ms": round(percentile(milliseconds, 0.5), 1),
        "p99_ms": round(percentile(milliseconds, 0.99), 1),
    }


def backfill(chain: Chain, repeat: int) -> Figures:
    """Return logs per second of each reader, medians of several runs in turn."""
    readers = ("follower", "web3", "web3_decoded")
    rates: dict[str, list[float]] = {name: [] for name in readers}
    memory: dict[str, float] = {}
    counts = set()
    for _ in range(repeat):
        for name in readers:
            found = measure("follower", reader=name, url=chain.url, deployment=str(chain.path))
            counts.add(found["logs"])
            rates[name].append(found["logs"] / found["seconds"])
            memory[name] = max(memory.get(name, 0.0), found["rss_mb"])
    if len(counts) != 1:
        raise BenchError(f"logs: the readers found different numbers, {sorted(counts)}")
    middle = {name: median(rates[name]) for name in readers}
    own, *peers = ({"logs_per_second": round(middle[n]), "rss_mb": memory[n]} for n in readers)
    return {
        "logs": counts.pop(),
        **own,
        "peers": dict(zip(readers[1:], peers, strict=True)),
        "ratios": {n: round(middle["follower"] / middle[n], 2) for n in readers[1:]},
    }


def run(chain: Chain, *, repeat: int, poll_seconds: float, events: int) -> Figures:
    """Measure both; Silverback's figures say why where it is absent."""
    found = backfill(chain, repeat) | {"page_blocks": PAGE}
    with watching(chain, poll_seconds) as lines:
        own = latency(live(chain, lines, events))
    found["live"] = own | {"poll_ms": round(1_000 * poll_seconds)}
    found["peers"]["silverback"] = silverback.measured(
        chain, lambda lines: latency(live(chain, lines, events))
    )
    return found


if __name__ == "__main__":
    answer(child)
