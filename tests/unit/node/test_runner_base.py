"""How runners are found."""

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import cast

import pytest

from workdeed.node.drivers.base import Driver
from workdeed.node.errors import RunnerError
from workdeed.node.runners import base
from workdeed.node.runners.base import (
    GROUP,
    RunnerContext,
    RunnerOptions,
    installed_runners,
    load_runners,
)
from workdeed.node.runners.war import WarRunner

WAR = EntryPoint("war", "workdeed.node.runners.war:WarRunner", GROUP)


def register(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(base, "entry_points", lambda group: points if group == GROUP else ())


def context(tmp_path: Path) -> RunnerContext:
    return RunnerContext(cast(Driver, None), tmp_path, RunnerOptions())


def test_the_installed_package_registers_war():
    assert installed_runners()["war"].value == WAR.value


def test_each_runner_gets_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = EntryPoint("native", WAR.value, GROUP)
    register(monkeypatch, WAR, other)
    runners = load_runners(context(tmp_path))
    assert sorted(runners) == ["native", "war"]
    assert isinstance(runners["war"], WarRunner)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["native", "war"]


def test_without_any_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch):
    register(monkeypatch)
    with pytest.raises(RunnerError, match="install workdeed as a package"):
        installed_runners()


def test_two_packages_under_one_name_are_refused(monkeypatch: pytest.MonkeyPatch):
    register(monkeypatch, WAR, WAR, EntryPoint("war", "other:Runner", GROUP))
    with pytest.raises(RunnerError, match="both registered as war"):
        installed_runners()


@pytest.mark.parametrize("value", ["no_such_module:Runner", "workdeed.node.runners.war:Missing"])
def test_a_broken_runner_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str):
    register(monkeypatch, EntryPoint("war", value, GROUP))
    with pytest.raises(RunnerError, match="war can't be loaded"):
        load_runners(context(tmp_path))
