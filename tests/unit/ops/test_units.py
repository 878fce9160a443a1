"""The systemd units: they parse, are fenced in, and agree with the program."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from workdeed.cli.root import root
from workdeed.keeper.loop import STOP_SECONDS
from workdeed.node.drivers.cgroups import CONTROLLERS

from .ops_support import OPS, ROOT

FOLDER = OPS / "systemd"
each = pytest.mark.parametrize("name", ["workdeed-keeper", "workdeed-node"])

Unit = dict[str, list[str]]


def read(name: str) -> Unit:
    """Return the settings of a unit, each with all of its values in order."""
    found: Unit = defaultdict(list)
    for line in (FOLDER / f"{name}.service").read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found[key].append(value)
    return found


def only(unit: Unit, key: str) -> str:
    (value,) = unit[key]
    return value


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


@each
def test_it_runs_a_command_that_there_is(name: str) -> None:
    program, *arguments = only(read(name), "ExecStart").split()
    assert program.endswith("/workdeed")
    *command, option, config = arguments
    assert option == "--config"
    assert config == f"/etc/workdeed/{name.removeprefix('workdeed-')}.toml"
    shown = CliRunner().invoke(root, [*command, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "--config" in shown.output


@each
def test_it_runs_as_a_user_of_its_own_in_a_folder_of_its_own(name: str) -> None:
    unit = read(name)
    assert only(unit, "User") == only(unit, "Group") == only(unit, "StateDirectory") == name
    assert only(unit, "WorkingDirectory") == f"/var/lib/{name}"
    assert only(unit, "StateDirectoryMode") == "0700"
    users = (FOLDER / "workdeed-sysusers.conf").read_text(encoding="utf-8")
    assert re.search(rf"(?m)^u +{name} +-", users)


@each
def test_it_is_fenced_in(name: str) -> None:
    unit = read(name)
    assert only(unit, "NoNewPrivileges") == "yes"
    assert only(unit, "ProtectSystem") == "strict"
    assert only(unit, "ProtectHome") == "yes"
    assert unit["CapabilityBoundingSet"] == [""]
    assert "AmbientCapabilities" not in unit


@each
def test_passphrases_come_as_credentials_and_only_as_those(name: str) -> None:
    unit = read(name)
    loaded = {value.partition(":")[0] for value in unit["LoadCredential"]}
    variables = dict(value.split("=", 1) for value in unit["Environment"])
    assert variables
    assert all(variable.endswith("_PASSPHRASE_FILE") for variable in variables)
    assert {f"%d/{one}" for one in loaded} == set(variables.values())


@each
def test_it_comes_back_after_a_failure_and_is_left_time_to_stop(name: str) -> None:
    unit = read(name)
    assert only(unit, "Restart") == "on-failure"
    assert only(unit, "StartLimitIntervalSec") == "0"
    assert only(unit, "KillSignal") == "SIGTERM"
    # Duties, then one RPC that does not answer, then a margin for the rest.
    assert seconds(only(unit, "TimeoutStopSec")) >= 4 * STOP_SECONDS


def test_the_check_sees_what_the_keeper_would() -> None:
    keeper, check = read("workdeed-keeper"), read("workdeed-check")
    shared = ("User", "Group", "WorkingDirectory", "StateDirectory", "LoadCredential")
    for key in (*shared, "SetCredential", "Environment", "UMask", "RestrictAddressFamilies"):
        assert check[key] == keeper[key], key
    assert only(check, "ExecStart") == only(keeper, "ExecStart").replace("keeper run", "check")
    assert only(check, "Type") == "oneshot"


def test_workloads_outlive_the_agent_and_one_that_is_too_large_does_not_end_it() -> None:
    unit = read("workdeed-node")
    assert only(unit, "KillMode") == "process"
    assert only(unit, "OOMPolicy") == "continue"


def test_the_agent_may_bound_workloads_and_starts_again_beside_those_that_outlived_it() -> None:
    unit = read("workdeed-node")
    delegated = set(only(unit, "Delegate").split())
    assert delegated == set(CONTROLLERS)
    # Controllers that stay would keep systemd from starting the agent: status=219/CGROUP.
    command = only(unit, "ExecStopPost")
    assert "cgroup.subtree_control" in command
    assert all(f"-{name}" in command for name in delegated)
    assert unit["TasksMax"] == ["infinity"]


def test_the_command_after_the_agents_end_empties_the_right_files(tmp_path: Path) -> None:
    """Run it as systemd would, with folders of ours in place of the kernel's."""
    own = tmp_path / "cgroup"
    own.write_text("0::/system.slice/workdeed-node.service/.control\n")
    group = tmp_path / "tree" / "system.slice" / "workdeed-node.service"
    inner = group / "workdeed-0011"
    inner.mkdir(parents=True)
    shell, option, script = shlex.split(only(read("workdeed-node"), "ExecStopPost"))
    # systemd reads two dollars or percents as one.
    script = script.replace("$$", "$").replace("%%", "%")
    script = script.replace("/proc/self/cgroup", str(own))
    script = script.replace("/sys/fs/cgroup", str(tmp_path / "tree"))
    subprocess.run([shell.removeprefix("-"), option, script], check=True)
    for folder in (inner, group):
        assert (folder / "cgroup.subtree_control").read_text() == "-cpu -memory -pids\n"
    # The kernel takes none from a group while a group in it has them to give.
    assert script.index('"$g"/workdeed-*/') < script.index('"$g"/;')


def test_nothing_stands_in_the_way_of_the_sandbox() -> None:
    """Bubblewrap mounts a /proc of its own, which the kernel forbids where ours hides something."""
    unit = read("workdeed-node")
    hiding = {
        "ProcSubset",
        "ProtectProc",
        "ProtectKernelTunables",
        "ProtectKernelLogs",
        "ProtectControlGroups",
        "ProtectHostname",
        "MemoryDenyWriteExecute",
        "PrivateUsers",
        # Of bubblewrap 0.11: "Can't open source /usr: Function not implemented".
        "RestrictSUIDSGID",
    }
    assert not hiding & unit.keys()
    assert {"user", "pid", "ipc", "uts", "mnt", "cgroup"} <= set(
        only(unit, "RestrictNamespaces").split()
    )
    (calls,) = unit["SystemCallFilter"]
    assert calls.startswith("~")
    assert "@mount" not in calls


@pytest.mark.systemd
@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.service")))
def test_systemd_takes_it(name: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing: apt install systemd")
    text = (FOLDER / f"{name}.service").read_text(encoding="utf-8")
    program = only(read(name), "ExecStart").split()[0]
    unit = tmp_path / f"{name}.service"
    # What is looked for is the program; here it lies elsewhere.
    unit.write_text(text.replace(program, sys.executable), encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.systemd
@pytest.mark.parametrize(
    ("name", "most"), [("workdeed-keeper", 20), ("workdeed-check", 20), ("workdeed-node", 45)]
)
def test_systemd_finds_it_fenced_in(name: str, most: int) -> None:
    """Its rating in tenths: 0 is shut off from all, 100 from nothing."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing: apt install systemd")
    command = [analyze, "security", "--offline=yes", f"--threshold={most}", "--no-pager"]
    done = subprocess.run(
        [*command, str(FOLDER / f"{name}.service")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_installs_what_is_here() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for path in sorted(FOLDER.iterdir()):
        assert path.name in page
