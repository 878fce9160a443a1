"""The Python installation that the agent runs on, as far as a native plugin needs to see it."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import workdeed
from workdeed.node.drivers.sandbox import SYSTEM
from workdeed.node.errors import RunnerError

_SECONDS: Final = 30.0
# Isolated, like the host of a plugin: what only the agent's variables or folder add is not there.
_QUESTION: Final = (
    "import json, sys; import workdeed.node.native.host; "
    "print(json.dumps([sys.prefix, sys.base_prefix, *sys.path]))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The `program`, and the folders beside those of the system that it needs to run plugins."""

    program: str
    mounts: tuple[Path, ...]


async def find_interpreter(private: Iterable[Path]) -> Interpreter:
    """Return the interpreter of this agent.

    Args:
        private: files and folders that no workload may see.

    Raises:
        RunnerError: if it does not find workdeed by itself, or can't be shown without showing
            something private.

    """
    program = sys.executable
    paths = await _ask(program)
    return await asyncio.to_thread(_interpreter, program, paths, tuple(private))


def _interpreter(program: str, paths: Iterable[str], private: Iterable[Path]) -> Interpreter:
    """Return `program` with what it needs to see of `paths`, its prefixes and import path."""
    wanted = [Path(one) for one in (*paths, *workdeed.__path__)]
    mounts = tuple(_outermost(_existing([*wanted, Path(program).resolve().parent])))
    hidden = [*private, *_home()]
    for mount in mounts:
        for path in hidden:
            if path.resolve().is_relative_to(mount.resolve()):
                raise RunnerError(
                    f"python: plugins need to see {mount}, which holds {path}; install workdeed "
                    "and the plugins in a virtual environment of their own, without -e"
                )
    return Interpreter(program, mounts)


def _home() -> Iterator[Path]:
    # A user of a container may have none.
    with contextlib.suppress(RuntimeError):
        yield Path.home()


async def _ask(program: str) -> list[str]:
    """Return prefixes and import path of a bare `program`; see `find_interpreter`."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *("-I", "-B", "-c", _QUESTION),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            env={"PATH": os.defpath},
        )
    except OSError as error:
        raise RunnerError(
            f"python: {program!r} does not start ({error.strerror}); reinstall it"
        ) from error
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _SECONDS)
    except TimeoutError:
        raise RunnerError(f"python: {program} does not answer; look at the machine") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise RunnerError(
            f"python: {program} does not find workdeed by itself ({lines[-1][:200]}); install it "
            "in a virtual environment"
        )
    answer: Any = json.loads(output)
    return [str(one) for one in answer]


def _existing(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield what is there and no system folder; a link with what it leads to."""
    for path in paths:
        if path.is_absolute() and path.exists():
            yield from (one for one in (path, path.resolve()) if not _below(one, SYSTEM))


def _outermost(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the paths that lie in no other one."""
    found = sorted(set(paths))
    for path in found:
        if not _below(path, [one for one in found if one != path]):
            yield path


def _below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
