"""The runner `static`: serves the files that a spec holds, in `source.plugin.config.files`."""

import asyncio
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from workdeed.intent import Service
from workdeed.node.drivers.base import TaskKey
from workdeed.node.errors import RunnerError
from workdeed.node.files import private_directory, remove_tree, tree_bytes
from workdeed.node.runners.base import Order, Plan, RunnerContext
from workdeed.protocol.canonical import canonical_hash

_SERVER = Path(__file__).with_name("serve.py")


class StaticRunner:
    """A `Runner`; its tasks run under the driver `niced` of this package."""

    def __init__(self, context: RunnerContext) -> None:
        """Keep the trees of tasks in the context's folder."""
        self._driver = context.drivers["niced"]
        self._trees = private_directory(context.directory / "trees")

    async def problem(self) -> str:
        """Return why no task can run, "" if one can; see `Runner`."""
        found = await self._driver.fingerprint()
        return "" if found.available else found.reason

    def check(self, service: Service) -> None:
        """Raise `RunnerError` if the spec holds no files; see `Runner`."""
        _files(service)

    def poll_seconds(self, service: Service) -> float | None:
        """Return None: the files of a revision never change; see `Runner`."""
        del service
        return None

    async def resolve(self, order: Order) -> str:
        """Return the hash of the files, so that every probe answer tells them; see `Runner`."""
        return canonical_hash(dict(_files(order.service))).hex()

    async def prepare(self, order: Order, version: str) -> Plan:
        """Write the files, unless they are there; see `Runner`."""
        del version
        tree = self._trees / order.key.name
        if not tree.exists():
            await asyncio.to_thread(_make, tree, _files(order.service))
        return Plan(self._driver, tree, ("/usr/bin/env", "python3", _SERVER.name))

    async def disk_bytes(self, key: TaskKey) -> int:
        """Return the size of the tree; see `Runner`."""
        return await asyncio.to_thread(tree_bytes, self._trees / key.name)

    async def discard(self, key: TaskKey) -> None:
        """Remove the tree; see `Runner`."""
        await asyncio.to_thread(_remove, self._trees / key.name)

    async def sweep(self, keep: Collection[TaskKey]) -> None:
        """Remove the trees of all but `keep`; see `Runner`."""
        names = {key.name for key in keep}
        for tree in self._trees.iterdir():
            if tree.name not in names:
                await asyncio.to_thread(_remove, tree)

    async def close(self) -> None:
        """Do nothing: there are no connections; see `Runner`."""


def _make(tree: Path, files: Mapping[str, str]) -> None:
    """Make a tree, whole or not at all, whenever the agent is killed."""
    partial = tree.with_name(tree.name + ".partial")
    _remove(partial)
    for name, text in files.items():
        place = partial / "files" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    shutil.copyfile(_SERVER, partial / _SERVER.name)
    partial.replace(tree)


def _remove(tree: Path) -> None:
    if tree.exists():
        remove_tree(tree)


def _files(service: Service) -> Mapping[str, str]:
    """Return the files by their path below the folder that is served.

    Raises:
        RunnerError: if there are none, or one would lie elsewhere.

    """
    source = service.source.plugin
    files = source.config.get("files") if source is not None else None
    if not isinstance(files, dict) or not files:
        raise RunnerError("source.plugin.config.files: the runner static needs some; add them")
    for name, text in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
            raise RunnerError(f"source.plugin.config.files: {name[:64]} is no path; correct it")
        if not isinstance(text, str):
            raise RunnerError(f"source.plugin.config.files.{name[:64]}: it is no text; write one")
    return files
