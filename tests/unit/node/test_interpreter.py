"""What a native plugin is shown of the Python installation."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import workdeed
from workdeed.node.drivers.sandbox import SYSTEM
from workdeed.node.errors import RunnerError
from workdeed.node.runners.interpreter import find_interpreter


def test_all_is_shown_that_the_agents_own_python_imports_from():
    found = asyncio.run(find_interpreter(()))
    assert found.program == sys.executable
    command = [sys.executable, "-I", "-c", "import sys; print(*sys.path, sep='\\n')"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    shown = (*found.mounts, *SYSTEM)
    for path in [*printed.split(), workdeed.__file__, str(Path(sys.executable).resolve())]:
        assert not Path(path).exists() or any(Path(path).is_relative_to(one) for one in shown)
    assert all(one.exists() for one in found.mounts)
    assert len(set(found.mounts)) == len(found.mounts)


def test_neither_home_nor_the_working_folder_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = asyncio.run(find_interpreter((tmp_path / "node.key",)))
    for mount in found.mounts:
        assert not tmp_path.is_relative_to(mount)
        assert not Path("~").expanduser().is_relative_to(mount)


def test_nothing_is_shown_that_holds_something_private():
    package = Path(workdeed.__file__).parent
    with pytest.raises(RunnerError, match=r"which holds .*node\.key; install workdeed"):
        asyncio.run(find_interpreter((package / "node.key",)))


def test_a_python_that_does_not_find_workdeed_by_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(RunnerError, match=r"does not find workdeed by itself .*ModuleNotFound"):
        asyncio.run(find_interpreter(()))


def test_a_python_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(RunnerError, match="does not start"):
        asyncio.run(find_interpreter(()))


def test_an_agent_without_a_home_runs_plugins_too(monkeypatch: pytest.MonkeyPatch):
    def homeless(_: type[Path]) -> Path:
        raise RuntimeError("there is no home")

    monkeypatch.setattr(Path, "home", classmethod(homeless))
    assert asyncio.run(find_interpreter(())).program == sys.executable
