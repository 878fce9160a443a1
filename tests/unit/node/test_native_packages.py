"""What the code of an installed plugin is, without running any of it."""

from pathlib import Path

import pytest

from workdeed.node.errors import PluginError, RunnerError
from workdeed.node.runners.native_packages import (
    copy_files,
    files_of,
    find_plugin,
    plugin_names,
    version_of,
)

from .native_support import install

FILES = {"greeter/__init__.py": "raise SystemExit('imported')\n", "greeter/data/words": "hello\n"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "site"
    made.mkdir()
    monkeypatch.syspath_prepend(str(made))
    return made


def version(name: str = "greeter") -> str:
    plugin = find_plugin(name)
    return version_of(plugin, files_of(plugin))


def test_an_installed_plugin_is_found_by_its_name(site: Path):
    assert "greeter" not in plugin_names()
    install(site, target="greeter.inner:Greeter [extra]")
    plugin = find_plugin("greeter")
    assert (plugin.target, plugin.title) == ("greeter.inner:Greeter", "greeter 1.0")
    assert "greeter" in plugin_names()


def test_one_that_is_missing_is_told_with_those_that_are_there(site: Path):
    install(site)
    with pytest.raises(RunnerError, match="other is not installed on this node, which has greeter"):
        find_plugin("other")


def test_two_packages_under_one_name_are_refused(site: Path):
    install(site)
    install(site, name="greeter2", target="greeter2:Greeter")
    (site / "greeter2-1.0.dist-info" / "entry_points.txt").write_text(
        "[workdeed.plugins]\ngreeter = greeter2:Greeter\n"
    )
    with pytest.raises(PluginError, match="both registered as greeter"):
        find_plugin("greeter")


def test_its_files_are_code_and_data_and_no_metadata_scripts_or_caches(site: Path):
    info = install(site, FILES)
    cache = site / "greeter" / "__pycache__" / "x.pyc"
    cache.parent.mkdir()
    cache.write_bytes(b"x")
    with (info / "RECORD").open("a") as file:
        file.write("greeter/__pycache__/x.pyc,,\ngreeter/missing.py,,\n")
    assert list(files_of(find_plugin("greeter"))) == ["greeter/__init__.py", "greeter/data/words"]


def test_the_version_is_the_content_and_not_the_place(site: Path, tmp_path: Path):
    install(site, FILES)
    first = version()
    assert len(bytes.fromhex(first)) == 32
    (site / "greeter-1.0.dist-info" / "INSTALLER").write_text("pip\n")
    assert version() == first
    copy = tmp_path / "copy"
    plugin = find_plugin("greeter")
    copy_files(files_of(plugin), copy)
    assert version_of(plugin, {place: copy / place for place in files_of(plugin)}) == first


@pytest.mark.parametrize(
    "files",
    [
        FILES | {"greeter/data/words": "good bye\n"},
        FILES | {"greeter/more.py": ""},
        {"greeter/__init__.py": FILES["greeter/__init__.py"]},
        {"greeter/__init__.py": FILES["greeter/__init__.py"], "greeter/data/word": "hello\n"},
    ],
)
def test_any_other_content_is_another_version(site: Path, files: dict[str, str]):
    install(site, FILES)
    before = version()
    install(site, files)
    assert version() != before


def test_another_entry_point_is_another_version(site: Path):
    install(site, FILES)
    before = version()
    install(site, FILES, target="greeter:Other")
    assert version() != before


@pytest.mark.parametrize("top", ["editable_package/__init__.py", "editable_module.py"])
def test_of_an_editable_package_it_is_the_top_module(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: str
):
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.syspath_prepend(str(source))
    name = top.partition("/")[0].removesuffix(".py")
    install(site, {top: "x = 1\n"}, target=f"{name}:X", editable=source)
    (source / "secret").write_text("not part of it")
    assert list(files_of(find_plugin("greeter"))) == [top]
    before = version()
    (source / top).write_text("x = 2\n")
    assert version() != before


def test_an_editable_package_that_can_not_be_found_is_told(site: Path, tmp_path: Path):
    install(site, {"absent.py": ""}, target="absent:X", editable=tmp_path / "elsewhere")
    with pytest.raises(RunnerError, match=r"absent of greeter 1\.0 can't be found"):
        version()


def test_a_package_without_code_is_refused(site: Path):
    install(site)
    (site / "greeter.py").unlink()
    with pytest.raises(RunnerError, match="lists no code"):
        version()
