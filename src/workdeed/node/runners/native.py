"""The native runner: a Python plugin that is installed on the node, run as a long-lived service.

For each task there is a folder with `code`, which holds the order and a copy of the plugin's
package, and `tree`, which the plugin may write. The copy is what the version names: an upgrade of
the package takes effect with the next revision of a job, and a rollback finds the old code.
"""

import asyncio
import shlex
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from workdeed.intent import PluginSource, Service
from workdeed.node.drivers.base import TaskKey
from workdeed.node.errors import NodeError, RequestRefusedError, RunnerError
from workdeed.node.files import private_directory, read_json, remove_tree, tree_bytes, write_json
from workdeed.node.native.order import (
    CHANNEL,
    MAIN,
    Order,
    OrderError,
    check_name,
    instances_of,
    packages_of,
)
from workdeed.node.runners.base import Order as Wanted
from workdeed.node.runners.base import Plan, RunnerContext
from workdeed.node.runners.interpreter import Interpreter, find_interpreter
from workdeed.node.runners.native_control import NativeControl
from workdeed.node.runners.native_packages import (
    copy_files,
    files_of,
    find_plugin,
    plugin_names,
    version_of,
)
from workdeed.protocol.canonical import canonical_hash, parse_canonical
from workdeed.protocol.errors import CanonicalError

_HOST: Final = "workdeed.node.native.host"
_CHECK: Final = "workdeed.node.native.check"
_PARTIAL: Final = ".partial"
_MB: Final = 1_000_000
_MAX_COMMAND: Final = 128


class NativeRunner:
    """See the module; a `Runner` that is `Controllable`."""

    def __init__(self, context: RunnerContext) -> None:
        """Work in the context's folder."""
        self._driver = context.drivers["process"]
        self._private = (*context.options.private, context.directory)
        self._tasks = private_directory(private_directory(context.directory).resolve() / "tasks")
        self._found: Interpreter | None = None
        # Held in the threads: one whose caller has given up may still be at work on a folder.
        self._files = threading.Lock()

    async def problem(self) -> str:
        """Return why no plugin can run, "" if one can; see `Runner`."""
        found = await self._driver.fingerprint()
        if not found.available:
            return found.reason
        try:
            if not plugin_names():
                return "no native plugin is installed"
            await self._interpreter()
        except NodeError as error:
            return str(error)
        return ""

    def check(self, service: Service) -> None:
        """Raise `RunnerError` if the plugin is not here or the spec is not for one."""
        source = _source(service)
        for field in ("build", "entrypoint", "run", "user"):
            if getattr(service, field):
                raise RunnerError(f"{field}: a native plugin brings its own; remove it")
        find_plugin(source.name)
        try:
            instances_of(source.config)
        except OrderError as error:
            raise RunnerError(f"source.plugin.config.{error}") from error

    def poll_seconds(self, service: Service) -> float | None:
        """Return None: another version comes with another revision; see `Runner`."""
        del service
        return None

    async def resolve(self, order: Wanted) -> str:
        """Return the hash of the installed package's content; see `Runner`."""
        return await asyncio.to_thread(_installed_version, _source(order.service).name)

    async def prepare(self, order: Wanted, version: str) -> Plan:
        """Copy the plugin's package and write the order; see `Runner`."""
        interpreter = await self._interpreter()
        folder = self._tasks / order.key.name
        await asyncio.to_thread(self._make, folder, order, version, interpreter.program)
        code = _code(folder)
        return Plan(
            driver=self._driver,
            directory=_tree(folder),
            argv=(interpreter.program, "-I", "-B", "-u", "-m", _HOST, str(code)),
            mounts=(*interpreter.mounts, code),
        )

    async def control(
        self, key: TaskKey, action: Literal["command", "configure"], argument: str
    ) -> bytes:
        """Pass a command or a configuration on to an instance; see `Controllable`."""
        asked = _parse(argument)
        channel = NativeControl(_tree(self._tasks / key.name))
        if action == "command":
            name, arguments, instance = _members(asked, "command", "arguments")
            return await channel.command(instance, name, arguments)
        _, config, instance = _members(asked, None, "config")
        return await channel.configure(instance, config)

    async def disk_bytes(self, key: TaskKey) -> int:
        """Return the size of the task's folder; see `Runner`."""
        return await asyncio.to_thread(tree_bytes, self._tasks / key.name)

    async def discard(self, key: TaskKey) -> None:
        """Remove the task's folder; see `Runner`."""
        await asyncio.to_thread(self._discard, self._tasks / key.name)

    async def sweep(self, keep: Collection[TaskKey]) -> None:
        """Remove leftovers; see `Runner`."""
        names = {key.name for key in keep}
        for folder in self._tasks.iterdir():
            if folder.name not in names:
                await asyncio.to_thread(self._discard, folder)

    async def close(self) -> None:
        """Do nothing: there are no connections; see `Runner`."""

    def _make(self, folder: Path, order: Wanted, version: str, program: str) -> None:
        with self._files:
            _make(folder, order, version, program)

    def _discard(self, folder: Path) -> None:
        with self._files:
            _remove(folder)

    async def _interpreter(self) -> Interpreter:
        if self._found is None:
            self._found = await find_interpreter(self._private)
        return self._found


def _source(service: Service) -> PluginSource:
    if service.source.plugin is None:
        raise RunnerError("source.plugin: the runner native needs it; add name and config")
    return service.source.plugin


def _code(folder: Path) -> Path:
    return folder / "code"


def _tree(folder: Path) -> Path:
    return folder / "tree"


def _installed_version(name: str) -> str:
    plugin = find_plugin(name)
    return version_of(plugin, files_of(plugin))


def _make(folder: Path, order: Wanted, version: str, program: str) -> None:
    """Make the folder of a task, whole or not at all; nothing in it is written later.

    Raises:
        RunnerError: if the wanted version is not the installed one, or too large.

    """
    source = _source(order.service)
    content = {"version": version, "source": source.model_dump(mode="json")}
    made_of = canonical_hash(content).hex()
    if read_json(folder / "made_of.json") == made_of:
        return
    plugin = find_plugin(source.name)
    files = files_of(plugin)
    size = sum(path.stat().st_size for path in files.values())
    if size > order.resources.storage_mb * _MB:
        raise RunnerError(
            f"resources.storage_mb: {plugin.title} has {size // _MB} MB; ask for more storage"
        )
    partial = folder.with_name(folder.name + _PARTIAL)
    _remove(partial)
    code = private_directory(_code(partial))
    copy_files(files, packages_of(code))
    # Of the copy, as somebody may be installing at this moment.
    copied = {place: packages_of(code) / place for place in files}
    if version_of(plugin, copied) != version:
        raise RunnerError(
            f"source.plugin: {plugin.title} is not the version {version[:12]} that this revision "
            "is pinned to; install that one again or revise the job"
        )
    Order(plugin.target, packages_of(code), instances_of(source.config)).write(code)
    channel = private_directory(_tree(partial) / CHANNEL)
    check = f"#!/bin/sh\nexec {shlex.quote(program)} -I -B -m {_CHECK}\n"
    (channel / "check").write_text(check, encoding="utf-8")
    (channel / "check").chmod(0o700)
    write_json(partial / "made_of.json", made_of)
    _remove(folder)
    partial.replace(folder)


def _parse(argument: str) -> dict[str, Any]:
    try:
        asked = parse_canonical(argument.encode())
    except (CanonicalError, UnicodeEncodeError) as error:
        raise RequestRefusedError(f"argument: {error}", 409) from error
    if not isinstance(asked, dict):
        raise RequestRefusedError("argument: it is no JSON object; write one", 409)
    return asked


def _members(
    asked: dict[str, Any], named: str | None, given: str
) -> tuple[str, Mapping[str, Any], str]:
    """Return the members of a request: the text `named`, the object `given`, and the instance.

    Raises:
        RequestRefusedError: if one is missing or wrong, or there is another one.

    """
    allowed = {"instance", given, *([named] if named else [])}
    strange = sorted(asked.keys() - allowed)
    if strange:
        raise RequestRefusedError(f"argument.{strange[0][:40]}: nobody knows it; remove it", 409)
    name = asked.get(named) if named else ""
    if not isinstance(name, str) or len(name) > _MAX_COMMAND or (named and not name):
        raise RequestRefusedError(f"argument.{named}: it is no name; write one", 409)
    value = asked.get(given, {} if named else None)
    if not isinstance(value, dict):
        raise RequestRefusedError(f"argument.{given}: it is no JSON object; write one", 409)
    instance = asked.get("instance", MAIN)
    try:
        check_name(instance if isinstance(instance, str) else "")
    except OrderError as error:
        raise RequestRefusedError(f"argument.{error}", 409) from error
    return name, value, instance


def _remove(path: Path) -> None:
    if path.exists():
        remove_tree(path)
