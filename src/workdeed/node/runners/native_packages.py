"""Finds installed native plugins, and what their code is. The agent never imports that code."""

import hashlib
import importlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath
from typing import Final

from workdeed.node.errors import RunnerError
from workdeed.node.plugins import installed

GROUP: Final = "workdeed.plugins"

_MAX_FILES: Final = 20_000
_CACHE: Final = "__pycache__"


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin.

    Attributes:
        name: of its entry point.
        target: its class, as `module:name`.
        distribution: the package that brings it.

    """

    name: str
    target: str
    distribution: Distribution

    @property
    def title(self) -> str:
        """The package's name and version."""
        return f"{self.distribution.name} {self.distribution.version}"


def plugin_names() -> list[str]:
    """Return the names of all installed plugins, sorted; raises `PluginError`."""
    return sorted(installed(GROUP))


def find_plugin(name: str) -> Plugin:
    """Return the installed plugin `name`.

    Raises:
        RunnerError: if it is not installed.
        PluginError: if two packages register one name.

    """
    point = installed(GROUP).get(name)
    if point is None or point.dist is None:
        there = ", ".join(plugin_names()) or "none"
        raise RunnerError(
            f"source.plugin.name: {name} is not installed on this node, which has {there}; place "
            "the job elsewhere"
        )
    return Plugin(name, point.value.partition("[")[0].strip(), point.dist)


def files_of(plugin: Plugin) -> dict[str, Path]:
    """Return the files of a plugin's package by their place in it, without its metadata.

    Of a package that was installed with `-e` these are the files of the plugin's top module.

    Raises:
        RunnerError: if they can't be told.

    """
    found = dict(_editable(plugin) if _is_editable(plugin.distribution) else _recorded(plugin))
    if not found:
        raise RunnerError(f"source.plugin: {plugin.title} lists no code; install it again")
    if len(found) > _MAX_FILES:
        raise RunnerError(
            f"source.plugin: {plugin.title} has {len(found)} files and may have {_MAX_FILES}; "
            "move data out of the package"
        )
    return dict(sorted(found.items()))


def version_of(plugin: Plugin, files: Mapping[str, Path]) -> str:
    """Return a hash (64 hex digits) over the package's name, version, entry point and `files`.

    It is the same wherever the same package is installed.

    Raises:
        RunnerError: if a file can't be read.

    """
    distribution = plugin.distribution
    total = hashlib.sha256()
    lines = [distribution.name, distribution.version, plugin.target]
    try:
        for place, path in files.items():
            lines += [place, _hash_of(path)]
    except OSError as error:
        raise RunnerError(
            f"source.plugin: {plugin.title} can't be read ({error}); install it again"
        ) from error
    total.update(json.dumps(lines).encode())
    return total.hexdigest()


def copy_files(files: Mapping[str, Path], folder: Path) -> None:
    """Put `files` into the new `folder`; raises `RunnerError` if that can't be done."""
    try:
        folder.mkdir()
        for place, path in files.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    except OSError as error:
        raise RunnerError(f"source.plugin: its files can't be copied ({error})") from error


def _recorded(plugin: Plugin) -> Iterator[tuple[str, Path]]:
    """Yield what pip noted: modules and data, but no scripts, which lie elsewhere."""
    for file in plugin.distribution.files or ():
        place = PurePosixPath(file)
        top = place.parts[0]
        if top in ("..", "/") or top.endswith((".dist-info", ".egg-info", ".pth")):
            continue
        path = Path(str(file.locate()))
        if _CACHE not in place.parts and path.is_file():
            yield str(place), path


def _is_editable(distribution: Distribution) -> bool:
    text = distribution.read_text("direct_url.json")
    try:
        return bool(text and json.loads(text).get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False


def _editable(plugin: Plugin) -> Iterator[tuple[str, Path]]:
    top = plugin.target.partition(":")[0].partition(".")[0]
    importlib.invalidate_caches()
    # Of a top module this reads no code.
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise RunnerError(
            f"source.plugin: the module {top} of {plugin.title} can't be found; install it without "
            "-e, or start the agent again"
        )
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        yield origin.name, origin
        return
    for parent, folders, names in os.walk(origin.parent):
        folders[:] = [one for one in folders if one != _CACHE and not one.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if path.is_file():
                yield str(PurePosixPath(top) / path.relative_to(origin.parent).as_posix()), path


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
