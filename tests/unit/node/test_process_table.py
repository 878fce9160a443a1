"""The processes of the machine, read once for many tasks."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from workdeed.node.drivers import process_table, shim
from workdeed.node.drivers.process_table import ProcessTable
from workdeed.node.drivers.shim import Stat

PAGE = os.sysconf("SC_PAGE_SIZE")
PID = 4_000


def stat(parent: int, pages: int) -> Stat:
    return Stat("S", parent, 1, pages)


class Machine:
    """Processes that a test makes up, and a clock."""

    def __init__(self) -> None:
        self.processes: dict[int, Stat] = {}
        self.readings = 0
        self.time = 0.0

    def living(self) -> dict[int, Stat]:
        self.readings += 1
        return dict(self.processes)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(process_table.shim, "living", made.living)
    return made


@pytest.fixture
def table(machine: Machine) -> ProcessTable:
    return ProcessTable(max_age=1.0, now=lambda: machine.time)


@pytest.fixture
def tree() -> Iterator[subprocess.Popen[bytes]]:
    program = 'x = b"x" * 50_000_000; print(flush=True); input()'
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(
        ["sh", "-c", '"$@"; true', "sh", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate()


async def test_memory_is_that_of_real_processes(tree: subprocess.Popen[bytes]):
    (below,) = shim.descendants(tree.pid).values()
    assert below.pages * PAGE > 50_000_000
    assert 50_000_000 < await ProcessTable().memory_bytes(tree.pid) < 100_000_000


async def test_descendants_count_at_any_depth_and_others_do_not(
    machine: Machine, table: ProcessTable
):
    machine.processes = {
        PID: stat(1, 100),
        PID + 1: stat(PID, 3),
        PID + 2: stat(PID + 1, 4),
        PID + 3: stat(1, 1_000),
    }
    assert await table.memory_bytes(PID) == 7 * PAGE
    assert await table.descendants(PID) == [PID + 1, PID + 2]
    assert await table.memory_bytes(PID + 2) == 0
    assert await table.memory_bytes(PID + 9) == 0


async def test_the_cost_of_a_look_does_not_grow_with_the_number_of_tasks(
    machine: Machine, table: ProcessTable
):
    machine.processes = {PID: stat(1, 1), PID + 1: stat(PID, 2)}
    asked = [table.memory_bytes(PID) for _ in range(200)]
    assert await asyncio.gather(*asked) == [2 * PAGE] * 200
    machine.time = 1.0
    await table.memory_bytes(PID)
    assert machine.readings == 1


async def test_what_changed_is_seen_after_a_moment(machine: Machine, table: ProcessTable):
    assert await table.memory_bytes(PID) == 0
    machine.processes = {PID: stat(1, 1), PID + 1: stat(PID, 2)}
    machine.time = 1.1
    assert await table.memory_bytes(PID) == 2 * PAGE


async def test_a_caller_that_gives_up_leaves_the_reading_to_the_others(
    machine: Machine, table: ProcessTable
):
    machine.processes = {PID: stat(1, 1), PID + 1: stat(PID, 2)}
    first = asyncio.create_task(table.memory_bytes(PID))
    second = asyncio.create_task(table.memory_bytes(PID))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 2 * PAGE


async def test_a_reading_in_which_a_number_was_reused_is_no_endless_circle(
    machine: Machine, table: ProcessTable
):
    machine.processes = {PID: stat(PID + 1, 1), PID + 1: stat(PID, 2)}
    assert await table.memory_bytes(PID) == 3 * PAGE
