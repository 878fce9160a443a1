"""The space that new work must leave."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import structlog

from workdeed.node import disk
from workdeed.node.disk import Reserve
from workdeed.node.errors import DiskFullError, RunnerError
from workdeed.node.runners.base import Runner

_MB = 1_000_000


class Drive:
    """A file system of any size, and a clock."""

    def __init__(self, free_mb: int) -> None:
        self.free_mb = free_mb
        self.now = 0.0

    def usage(self, path: str) -> SimpleNamespace:
        return SimpleNamespace(free=self.free_mb * _MB)


class Hoard:
    """A runner that can give up some space."""

    def __init__(self, drive: Drive, held_mb: int, *, broken: bool = False) -> None:
        self.asked = 0
        self._drive = drive
        self._held_mb = held_mb
        self._broken = broken

    async def shrink(self) -> None:
        self.asked += 1
        if self._broken:
            raise RunnerError("builds: they can't be removed; look at the disk")
        self._drive.free_mb += self._held_mb
        self._held_mb = 0


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Drive:
    made = Drive(free_mb=2_000)
    monkeypatch.setattr(disk.psutil, "disk_usage", made.usage)
    monkeypatch.setattr(disk.time, "monotonic", lambda: made.now)
    return made


def reserve(*runners: object) -> Reserve:
    return Reserve(Path("/"), 1_000, [cast("Runner", one) for one in runners])


async def test_with_room_nothing_is_given_up(drive: Drive):
    hoard = Hoard(drive, 500)
    await reserve(hoard).check()
    assert hoard.asked == 0


async def test_what_is_kept_for_speed_goes_first(drive: Drive):
    drive.free_mb = 600
    hoard = Hoard(drive, 500)
    await reserve(object(), hoard).check()
    assert (hoard.asked, drive.free_mb) == (1, 1_100)


async def test_what_does_not_help_is_said_with_both_figures(drive: Drive):
    drive.free_mb = 600
    with pytest.raises(DiskFullError, match=r"disk\.reserve_mb: 700 MB are free .* 1000 are"):
        await reserve(Hoard(drive, 100)).check()


async def test_a_runner_that_fails_does_not_keep_others_from_making_room(drive: Drive):
    drive.free_mb = 600
    broken, hoard = Hoard(drive, 0, broken=True), Hoard(drive, 500)
    assert await reserve(broken, hoard).problem() == ""
    assert broken.asked == 1


async def test_room_is_looked_for_once_a_minute(drive: Drive):
    drive.free_mb = 600
    hoard = Hoard(drive, 0)
    one = reserve(hoard)
    for _ in range(3):
        assert await one.problem()
    assert hoard.asked == 1
    drive.now += 61
    await one.problem()
    assert hoard.asked == 2


async def test_the_log_says_it_once_each_way(drive: Drive):
    one = reserve()
    with structlog.testing.capture_logs() as logs:
        for drive.free_mb in (2_000, 600, 500, 2_000, 2_000):
            await one.problem()
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]
    assert "600 MB are free" in logs[0]["reason"]


async def test_the_real_disk_is_looked_at(tmp_path: Path):
    assert await Reserve(tmp_path, 0).problem() == ""
    assert "disk.reserve_mb" in await Reserve(tmp_path, 10**12).problem()
