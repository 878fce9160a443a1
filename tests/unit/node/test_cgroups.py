"""Where control groups are looked for, and what is written into them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.node.drivers import cgroups
from workdeed.node.drivers.base import Limits
from workdeed.node.drivers.cgroups import (
    AGENT_GROUP,
    CONTROLLERS,
    ControlGroups,
    Hierarchy,
)
from workdeed.node.drivers.process_limits import described, unheld
from workdeed.node.errors import DriverError

UNIFIED = "30 25 0:26 / {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A folder in place of /proc/self."""
    path = tmp_path / "proc"
    path.mkdir()
    return path


def places(proc: Path, mounts: str, own: str) -> list[Hierarchy]:
    (proc / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts)
    (proc / "cgroup").write_text(own)
    return list(cgroups._own_places(proc))


def unified(tmp_path: Path, group: str, controllers: str) -> Path:
    """Make the folder of a group in a tree of version 2."""
    place = tmp_path / "tree" / group
    place.mkdir(parents=True)
    (place / "cgroup.controllers").write_text(controllers)
    return place


def test_in_version_2_it_is_the_agents_own_group(tmp_path: Path, proc: Path):
    place = unified(tmp_path, "system.slice/node.service", "cpuset cpu io memory pids\n")
    mounts = UNIFIED.format(point=tmp_path / "tree")
    found = places(proc, mounts, "0::/system.slice/node.service\n")
    assert found == [Hierarchy(place, frozenset(CONTROLLERS), unified=True)]


def test_an_agent_in_its_leaf_makes_groups_beside_the_leaf(tmp_path: Path, proc: Path):
    place = unified(tmp_path, "system.slice/node.service", "cpu memory pids\n")
    mounts = UNIFIED.format(point=tmp_path / "tree")
    (found,) = places(proc, mounts, f"0::/system.slice/node.service/{AGENT_GROUP}\n")
    assert found.place == place


def test_only_controllers_that_were_delegated_count(tmp_path: Path, proc: Path):
    unified(tmp_path, "user.slice", "memory pids\n")
    mounts = UNIFIED.format(point=tmp_path / "tree")
    (found,) = places(proc, mounts, "0::/user.slice\n")
    assert found.controllers == {"memory", "pids"}


def test_in_version_1_each_hierarchy_has_a_place_of_its_own(proc: Path):
    mounts = (
        "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "34 25 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    )
    own = "4:memory:/a/b\n3:cpu,cpuacct:/\n2:pids:/c\n1:name=systemd:/d\n0::/\n"
    found = {tuple(one.controllers): one.place for one in places(proc, mounts, own)}
    assert found == {
        ("cpu",): Path("/sys/fs/cgroup/cpu,cpuacct"),
        ("memory",): Path("/sys/fs/cgroup/memory/a/b"),
        ("pids",): Path("/sys/fs/cgroup/pids/c"),
    }


def test_a_mount_that_shows_a_part_of_the_hierarchy_is_read_from_there(proc: Path):
    mounts = "32 25 0:28 /docker/1f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    (found,) = places(proc, mounts, "4:memory:/docker/1f/inner\n")
    assert found.place == Path("/sys/fs/cgroup/memory/inner")
    assert places(proc, mounts, "4:memory:/elsewhere\n") == []


def test_both_kinds_side_by_side_make_up_for_each_other(tmp_path: Path, proc: Path):
    unified(tmp_path, "x", "cpu memory\n")
    mounts = UNIFIED.format(point=tmp_path / "tree")
    mounts += "34 25 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    older, newer = places(proc, mounts, "2:pids:/\n0::/x\n")
    assert (older.controllers, newer.controllers) == ({"pids"}, {"cpu", "memory"})


def test_without_any_hierarchy_each_controller_is_missing_for_a_reason(proc: Path):
    assert places(proc, "", "") == []
    found = ControlGroups.find("me", proc)
    assert found.controllers == frozenset()
    assert unheld(found) == "cpu, memory, pids: no hierarchy has it here"
    assert "no hierarchy has it here" in described(found, sandboxed=True)["cpu"]


def test_a_folder_that_is_no_hierarchy_is_seen_to_be_of_no_use(tmp_path: Path, proc: Path):
    place = unified(tmp_path, "x", "cpu memory pids\n")
    places(proc, UNIFIED.format(point=tmp_path / "tree"), "0::/x\n")
    found = ControlGroups.find("me", proc)
    assert found.missing.keys() == set(CONTROLLERS)
    assert str(place) in found.missing["cpu"]


@given(milli=st.integers(1, 256_000), memory=st.integers(1, 10**7), processes=st.integers(1, 10**5))
def test_both_kinds_hold_to_the_same_limits(milli: int, memory: int, processes: int):
    limits = Limits(memory_mb=memory, storage_mb=1, cpu_milli=milli, processes=processes)
    newer = written(cgroups._unified_bounds(limits))
    older = written(cgroups._older_bounds(limits))
    quota, period = map(int, str(newer["cpu.max"]).split())
    assert (quota, period) == (older["cpu.cfs_quota_us"], older["cpu.cfs_period_us"])
    assert quota * 1_000 == milli * period
    assert quota >= 1_000
    assert 1_000 <= period <= 1_000_000
    assert newer["memory.max"] == older["memory.limit_in_bytes"] == memory * 1_000_000
    assert newer["memory.swap.max"] == 0
    assert older["memory.memsw.limit_in_bytes"] == memory * 1_000_000
    assert newer["pids.max"] == older["pids.max"] == processes + 2
    assert 1 <= int(str(newer["cpu.weight"])) <= 10_000
    assert 2 <= int(str(older["cpu.shares"])) <= 262_144


@pytest.mark.parametrize(
    ("before", "is_counted"), [("100000000\n", True), ("max\n", False), (None, False)]
)
def test_memory_taken_while_there_was_no_controller_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, is_counted: bool
):
    place = unified(tmp_path, "node.service", "cpu memory pids\n")
    group = place / "workdeed-me" / "task"
    group.mkdir(parents=True)
    if before is not None:
        (group / "memory.max").write_text(before)
    monkeypatch.setattr(cgroups, "_write", lambda path, value: path.write_text(str(value)))
    groups = ControlGroups([Hierarchy(place, frozenset(CONTROLLERS), unified=True)], "me", {})
    assert groups.apply("task", Limits(memory_mb=50, storage_mb=1)) is is_counted
    assert (group / "memory.max").read_text() == "50000000"
    assert groups.apply("another", Limits(memory_mb=50, storage_mb=1))
    assert (place / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


@pytest.mark.parametrize("name", ["../workdeed-agent", "..", ".", "", "a/b", "a" * 300, "a\n"])
def test_a_name_that_leads_to_groups_of_others_is_refused(tmp_path: Path, name: str):
    groups = ControlGroups([Hierarchy(tmp_path, frozenset({"pids"}), unified=False)], "me", {})
    (tmp_path / "workdeed-me").mkdir()
    (tmp_path / "workdeed-agent").mkdir()
    for act in (groups.folders, groups.remove, groups.kill, groups.processes):
        with pytest.raises(DriverError, match="can't name a control group"):
            act(name)
    assert (tmp_path / "workdeed-agent").is_dir()


def test_a_folder_that_is_no_group_of_ours_is_not_among_them(tmp_path: Path):
    groups = ControlGroups([Hierarchy(tmp_path, frozenset({"pids"}), unified=False)], "me", {})
    for name in ("e5e5-3-7-0-main-run", "session.scope"):
        (tmp_path / "workdeed-me" / name).mkdir(parents=True)
    assert groups.names() == {"e5e5-3-7-0-main-run"}


def written(bounds: cgroups.Bounds) -> dict[str, object]:
    """Return the last value that each file gets."""
    return {file: value for files in bounds.values() for file, value, _ in files}
