"""The Worker App Runner: a commit of a git repository, built and run.

Builds are kept by what went into them, so that restarts, moves of the port and later jobs of the
same commit start at once. Each workload runs in a copy of its own: what one writes no other sees.
"""

import asyncio
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from workdeed.intent import GitSource, Spec
from workdeed.node.drivers.base import Limits, Task, TaskKey
from workdeed.node.errors import RunnerError
from workdeed.node.files import private_directory, remove_tree, tree_bytes, write_atomic
from workdeed.node.runners.base import Plan, RunnerContext
from workdeed.node.runners.git import command, environment, open_remote
from workdeed.node.runners.steps import run_step
from workdeed.protocol.canonical import canonical_hash

_FETCH_MEMORY_MB = 1_024
_MB = 1_000_000
_PARTIAL = ".partial"


class WarRunner:
    """See the module; a `Runner`."""

    def __init__(self, context: RunnerContext) -> None:
        """Work in the context's folder."""
        self._driver = context.driver
        self._options = context.options
        self._directory = private_directory(context.directory).resolve()
        self._builds = private_directory(self._directory / "builds")
        self._trees = private_directory(self._directory / "trees")
        self._trust = self._directory / "gitconfig"
        write_atomic(self._trust, b"[safe]\n\tdirectory = *\n")
        self._locks: dict[str, asyncio.Lock] = {}

    def check(self, spec: Spec) -> None:
        """Raise `RunnerError` if `spec` names no git source; see `Runner`."""
        _source(spec)

    async def prepare(self, spec: Spec, key: TaskKey) -> Plan:
        """Fetch, build and copy; see `Runner`."""
        source = _source(spec)
        tree = self._trees / key.name
        if not tree.exists():
            digest = await self._digest(spec, source)
            async with self._locks.setdefault(digest, asyncio.Lock()):
                build = self._builds / digest
                if not build.exists():
                    await self._make(spec, source, key, build)
                os.utime(build)
                await asyncio.to_thread(_copy, build, tree)
            await asyncio.to_thread(self._drop_old_builds)
        return Plan(tree, source.path or "")

    async def discard(self, key: TaskKey) -> None:
        """Remove the workload's tree; see `Runner`."""
        await asyncio.to_thread(_remove, self._trees / key.name)

    async def sweep(self, keep: Collection[TaskKey]) -> None:
        """Remove leftovers; see `Runner`."""
        names = {key.name for key in keep}
        for folder in self._trees.iterdir():
            if folder.name not in names:
                await asyncio.to_thread(_remove, folder)
        for folder in self._builds.iterdir():
            if folder.name.endswith(_PARTIAL):
                await asyncio.to_thread(_remove, folder)

    async def _digest(self, spec: Spec, source: GitSource) -> str:
        """Return the name of the build: a hash over all that goes into it."""
        fingerprint = await self._driver.fingerprint()
        parts = {
            "source": source.model_dump(mode="json"),
            "build": [list(argv) for argv in spec.build],
            "env": spec.env,
            # Inside a sandbox the tree lies at another path, which builds may write into files.
            "sandboxed": fingerprint.sandboxed,
        }
        return canonical_hash(parts).hex()

    async def _make(self, spec: Spec, source: GitSource, key: TaskKey, build: Path) -> None:
        partial = build.with_name(build.name + _PARTIAL)
        await asyncio.to_thread(_remove, partial)
        private_directory(partial)
        await self._fetch(source, key, partial, spec.resources.storage_mb)
        place = partial / (source.path or "")
        if not place.is_dir() or not place.resolve().is_relative_to(partial.resolve()):
            raise RunnerError(
                f"source.git.path: the commit has no folder {source.path}; correct it"
            )
        await self._build(spec, source, key, partial)
        size = await asyncio.to_thread(_size, partial)
        if size > spec.resources.storage_mb * _MB:
            raise RunnerError(
                f"resources.storage_mb: the built tree has {size // _MB} MB; ask for more storage"
            )
        partial.replace(build)

    async def _fetch(self, source: GitSource, key: TaskKey, tree: Path, storage_mb: int) -> None:
        """Bring the pinned commit into the empty folder `tree`."""
        remote = await open_remote(source.url, self._options, self._trust, self._directory)
        limits = Limits(_FETCH_MEMORY_MB, storage_mb)

        async def git(what: str, *arguments: str, online: bool = False) -> str:
            used = remote if online else None
            task = Task(
                key=_step(key, "git"),
                argv=command(used, *arguments),
                env=environment(used, self._options),
                directory=tree,
                limits=limits,
                mounts=used.mounts if used is not None else (),
            )
            return await run_step(self._driver, task, self._options.fetch_seconds, what)

        await git("git init", "init", "--quiet", "--template=")
        fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
        try:
            only = (*fetch, "--depth=1", "--", remote.url, source.commit)
            await git("git fetch", *only, online=True)
        except RunnerError:
            # Not every server gives a commit by its name; then all branches and tags are fetched.
            everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
            await git("git fetch", *fetch, "--", remote.url, *everything, online=True)
        await git("git checkout", "checkout", "--quiet", "--force", "--detach", source.commit)
        # A detached HEAD holds the commit itself; git has checked its content against the name.
        head = (tree / ".git" / "HEAD").read_text(encoding="ascii").strip()
        if head != source.commit:
            raise RunnerError(
                f"source.git.commit: {head} was fetched instead; check the repository"
            )

    async def _build(self, spec: Spec, source: GitSource, key: TaskKey, tree: Path) -> None:
        total = len(spec.build)
        for number, argv in enumerate(spec.build, start=1):
            task = Task(
                key=_step(key, "build"),
                argv=argv,
                env=spec.env,
                directory=tree,
                limits=Limits(spec.resources.memory_mb, spec.resources.storage_mb),
                subdirectory=source.path or "",
            )
            what = f"build command {number} of {total}"
            await run_step(self._driver, task, self._options.build_seconds, what)

    def _drop_old_builds(self) -> None:
        finished = [one for one in self._builds.iterdir() if not one.name.endswith(_PARTIAL)]
        finished.sort(key=lambda one: one.stat().st_mtime, reverse=True)
        for build in finished[self._options.keep_builds :]:
            lock = self._locks.get(build.name)
            if lock is None or not lock.locked():
                _remove(build)


def _source(spec: Spec) -> GitSource:
    if spec.source.git is None:
        raise RunnerError("source.git: the runner war needs it; add url and commit")
    return spec.source.git


def _step(key: TaskKey, step: str) -> TaskKey:
    return TaskKey(key.escrow, key.job_id, key.license_id, key.revision, step)


def _copy(source: Path, target: Path) -> None:
    """Copy a tree so that `target` is there whole or not at all; links stay links."""
    partial = target.with_name(target.name + _PARTIAL)
    _remove(partial)
    try:
        shutil.copytree(source, partial, symlinks=True)
    except (OSError, shutil.Error) as error:
        raise RunnerError(f"build: its files can't be copied ({error})") from error
    partial.replace(target)


def _remove(path: Path) -> None:
    if path.exists():
        # Renamed first: a half-removed tree must never be taken for a whole one.
        doomed = path if path.name.endswith(_PARTIAL) else path.with_name(path.name + _PARTIAL)
        if doomed != path:
            if doomed.exists():
                remove_tree(doomed)
            path.replace(doomed)
        remove_tree(doomed)


def _size(path: Path) -> int:
    return sum(
        Path(parent, name).lstat().st_size for parent, _, names in os.walk(path) for name in names
    )
