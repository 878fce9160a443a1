"""Campaigns: worlds in which victims work while faults are done to them, and what they came to."""

from __future__ import annotations

import random
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.committees import Committee
from tests.chaos.episode import Episode
from tests.chaos.proxy import open_proxy
from tests.chaos.server import FailingServer, missing, open_server
from tests.chaos.tally import Tally
from tests.chaos.victims import Victims
from tests.chaos.world import open_world

Say = Callable[[str], None]
Play = Callable[[int, int, Path], Awaitable[Tally]]


@dataclass(frozen=True)
class Part:
    """A kind of world, and how many faults are done to it.

    Attributes:
        name: what the table calls it.
        play: plays one world: its seed, the number of faults, its folder.
        count: how many faults, over all worlds of the kind.
        most: how many in one world at most.
        lacks: says in one sentence what it needs and this machine has not; "" if it has all.

    """

    name: str
    play: Play
    count: int
    most: int
    lacks: Callable[[], str] = str


def on_chain(faults: Callable[[Episode, int], Awaitable[None]], *, counts: bool = True) -> Play:
    """Return what plays a world on a chain of its own.

    Args:
        faults: does so many faults to it.
        counts: whether the counter is moved, which two keepers at a time would do twice.

    """

    async def play(seed: int, count: int, folder: Path) -> Tally:
        return await _play(seed, folder, lambda one: faults(one, count), counts=counts)

    return play


async def on_postgres(seed: int, count: int, folder: Path) -> Tally:
    """Play a world whose keepers share a database on a server of its own."""
    with open_server() as server:
        return await _play(seed, folder, lambda one: one.postgres(count), server=server)


async def _play(
    seed: int,
    folder: Path,
    faults: Callable[[Episode], Awaitable[None]],
    *,
    counts: bool = True,
    server: FailingServer | None = None,
) -> Tally:
    async with open_world() as world, open_proxy(world.url, random.Random(seed)) as proxy:
        victims = Victims(world.scene, folder)
        victims.warm_up()
        episode = Episode(seed, world, victims, proxy, folder, counts=counts, server=server)
        return await episode.play(faults)


async def in_committees(seed: int, count: int, folder: Path) -> Tally:
    """Let so many committees with faulty members settle some windows each."""
    tally = Tally()
    for index in range(count):
        committee = Committee(1_000 * seed + index, folder / f"committee-{index}")
        await committee.play()
        equivocations = committee.done["equivocating"]
        tally.faults["equivocation"] += equivocations
        tally.faults["lying_oracle"] += committee.done.total() - equivocations
        tally.members += committee.done
        tally.wanted += committee.wanted
        tally.lost += committee.wrong
    return tally


PARTS: tuple[Part, ...] = (
    Part("kills", on_chain(Episode.kill), 1_000, 25),
    Part("reorgs", on_chain(Episode.reorg), 100, 20),
    Part("bad node", on_chain(Episode.bad_node), 1_000, 250),
    Part("nonces", on_chain(Episode.nonces), 60, 15),
    Part("twins", on_chain(Episode.twins, counts=False), 8, 4),
    Part("machine", on_chain(Episode.machine), 40, 20),
    Part("postgres", on_postgres, 60, 20, missing),
    Part("nodes", on_chain(Episode.nodes), 200, 25),
    Part("leaders", on_chain(Episode.leaders), 40, 5),
    Part("committees", in_committees, 200, 20),
)
"""The long campaign."""


async def run(parts: Sequence[Part], seed: int, folder: Path, say: Say) -> Tally:
    """Run a campaign.

    Args:
        parts: what to do.
        seed: of the first world; each further one has the next.
        folder: is emptied, and holds what the worlds leave on disk.
        say: told how each world ended.

    """
    shutil.rmtree(folder, ignore_errors=True)
    total = Tally()
    for part in parts:
        if lacks := part.lacks():
            say(f"{part.name}: it is left out; {lacks}")
            total.skipped.append(f"{part.name}: {lacks}")
            continue
        left = part.count
        while left > 0:
            faults = min(left, part.most)
            left -= faults
            tally = await play_in(part, faults, seed, folder)
            total.add(tally)
            say(_line(part, faults, seed, tally, total))
            seed += 1
    return total


async def play_in(part: Part, faults: int, seed: int, folder: Path) -> Tally:
    """Play one world and return what it came to; its files are kept if something went wrong."""
    own = folder / f"{part.name.replace(' ', '-')}-{seed}"
    own.mkdir(parents=True)
    tally = await part.play(seed, faults, own)
    if tally.is_clean:
        shutil.rmtree(own)
    return tally


def _line(part: Part, faults: int, seed: int, tally: Tally, total: Tally) -> str:
    state = "clean" if tally.is_clean else "WRONG"
    done = ", ".join(f"{count} {name}" for name, count in sorted(total.faults.items()))
    return (
        f"{part.name} seed {seed}: {faults} faults, {tally.wanted} effects, {state}; so far {done}"
    )
