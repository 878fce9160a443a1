"""How runners, and what else other packages add, are found."""

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from workdeed.node import plugins
from workdeed.node.errors import PluginError
from workdeed.node.plugins import installed
from workdeed.node.runners.base import GROUP, RunnerContext, RunnerOptions, load_runners
from workdeed.node.runners.war import WarRunner

WAR = EntryPoint("war", "workdeed.node.runners.war:WarRunner", GROUP)


def register(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == GROUP else ())


def context(tmp_path: Path) -> RunnerContext:
    drivers: Any = {"process": None}
    return RunnerContext(drivers, tmp_path, RunnerOptions())


def test_the_installed_package_registers_its_runners():
    assert installed(GROUP)["war"].value == WAR.value
    assert installed("workdeed.drivers").keys() >= {"container", "process"}


def test_each_runner_gets_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = EntryPoint("other", WAR.value, GROUP)
    register(monkeypatch, WAR, other)
    runners = load_runners(context(tmp_path))
    assert sorted(runners) == ["other", "war"]
    assert isinstance(runners["war"], WarRunner)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other", "war"]


def test_without_any_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    register(monkeypatch)
    with pytest.raises(PluginError, match="install workdeed as a package"):
        load_runners(context(tmp_path))


def test_two_packages_under_one_name_are_refused(monkeypatch: pytest.MonkeyPatch):
    register(monkeypatch, WAR, WAR, EntryPoint("war", "other:Runner", GROUP))
    with pytest.raises(PluginError, match="both registered as war"):
        installed(GROUP)


@pytest.mark.parametrize("value", ["no_such_module:Runner", "workdeed.node.runners.war:Missing"])
def test_a_broken_runner_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str):
    register(monkeypatch, EntryPoint("war", value, GROUP))
    with pytest.raises(PluginError, match="war can't be loaded"):
        load_runners(context(tmp_path))
