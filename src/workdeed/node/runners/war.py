"""The Worker App Runner: a commit of a git repository, built and run.

Builds are kept by what went into them, so that restarts, moves of the port and later jobs of the
same commit start at once. Each workload runs in a copy of its own: what one writes no other sees.

Where the spec names an image too, and an engine works here, the commit is built and run in a
container of it; else in a sandbox of the process driver. Git itself runs in that sandbox always.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from workdeed.intent import GitSource, Service
from workdeed.node.drivers.base import Driver, Limits, Task, TaskKey
from workdeed.node.drivers.sandbox import TEMPORARY
from workdeed.node.errors import RunnerError
from workdeed.node.files import (
    UNCOUNTABLE,
    private_directory,
    told_in_mb,
    tree_bytes,
    write_atomic,
)
from workdeed.node.runners import steps, trees
from workdeed.node.runners.base import Order, Plan, RunnerContext
from workdeed.node.runners.car import CarRunner
from workdeed.node.runners.git import command, environment, login, open_remote
from workdeed.node.runners.image_reference import ImageReference, hex_of
from workdeed.node.runners.trees import PARTIAL
from workdeed.protocol.canonical import canonical_hash

_FETCH_MEMORY_MB = 1_024
_MB = 1_000_000
_AT = "@"
_KEPT_TREES = 2
_COMMIT = re.compile(r"[0-9a-f]{40}")

DEFAULT_POLL_MS: Final = 60_000
"""Time between two looks at a branch whose spec names none."""


class WarRunner:
    """See the module; a `Runner`."""

    def __init__(self, context: RunnerContext, *, look_seconds: float = steps.LOOK_SECONDS) -> None:
        """Work in the context's folder; look that often at what a fetch or a build takes."""
        self._look_seconds = look_seconds
        self._driver = context.drivers["process"]
        self._images = CarRunner(replace(context, directory=context.directory / "images"))
        self._options = context.options
        self._directory = private_directory(context.directory).resolve()
        self._builds = private_directory(self._directory / "builds")
        self._trees = private_directory(self._directory / "trees")
        self._uses = private_directory(self._directory / "uses")
        self._trust = self._directory / "gitconfig"
        write_atomic(self._trust, b"[safe]\n\tdirectory = *\n")
        # One a build, each for as long as somebody holds it or waits.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def problem(self) -> str:
        """Return why no task can run, "" if one can; see `Runner`."""
        found = await self._driver.fingerprint()
        return "" if found.available else found.reason

    def check(self, service: Service) -> None:
        """Raise `RunnerError` if `service` has no git source or command; see `Runner`."""
        _source(service)
        if service.run is None:
            raise RunnerError("run: the runner war needs a command; add one")
        image = service.source.image
        if image is not None and not ImageReference.parse(image.reference).digest:
            # The commit is the version that answers name: beside it, nothing may move.
            raise RunnerError(
                "source.image.reference: the runner war needs its digest; write name@sha256:..."
            )

    def poll_seconds(self, service: Service) -> float | None:
        """Return how often the branch is looked at, None for a pinned commit; see `Runner`."""
        source = _source(service)
        return (source.poll_ms or DEFAULT_POLL_MS) / 1000 if source.follow else None

    async def resolve(self, order: Order) -> str:
        """Return the pinned commit, or the newest one of the branch; see `Runner`."""
        source = _source(order.service)
        if source.commit is not None:
            return source.commit
        place = private_directory(self._directory / "looks" / order.key.name)
        try:
            output = await self._git(
                "git ls-remote",
                ("ls-remote", "--heads", "--", None, f"refs/heads/{source.branch}"),
                order,
                place,
            )
        finally:
            await trees.finish(trees.remove, place)
        for line in output.splitlines():
            commit, _, name = line.partition("\t")
            if name == f"refs/heads/{source.branch}" and _COMMIT.fullmatch(commit):
                return commit
        raise RunnerError(
            f"source.git.branch: the repository has no branch {source.branch}; correct it"
        )

    async def prepare(self, order: Order, version: str) -> Plan:
        """Fetch, build and copy; see `Runner`."""
        source = _source(order.service)
        place = await self._place(order)
        tree = self._tree(order.key, version)
        if not tree.exists():
            digest = await self._digest(order, version, place)
            async with self._lock(digest):
                build = self._builds / digest
                if not build.exists():
                    await self._make(order, version, build, place)
                os.utime(build)
                if not tree.exists():
                    await trees.copy(build, tree)
            await self._drop_old_builds(self._options.keep_builds)
        self._note_use(tree)
        await trees.finish(self._drop_old_trees, order.key)
        return replace(
            place,
            directory=tree,
            argv=order.service.run or (),
            subdirectory=source.path or "",
        )

    async def disk_bytes(self, key: TaskKey) -> int:
        """Return the size of the workload's trees; see `Runner`."""
        sizes = [await asyncio.to_thread(tree_bytes, tree) for tree in self._trees_of(key)]
        return sum(sizes)

    async def discard(self, key: TaskKey) -> None:
        """Remove the workload's trees; see `Runner`."""
        for tree in self._trees_of(key):
            await trees.finish(trees.remove, tree)
        for note in self._uses.glob(f"{key.name}{_AT}*"):
            note.unlink(missing_ok=True)
        await self._images.discard(key)

    async def sweep(self, keep: Collection[TaskKey]) -> None:
        """Remove leftovers; see `Runner`."""
        names = {key.name for key in keep}
        for folder in self._trees.iterdir():
            if folder.name.partition(_AT)[0] not in names or folder.name.endswith(PARTIAL):
                await trees.finish(trees.try_to_remove, folder)
        for folder in self._builds.iterdir():
            if folder.name.endswith(PARTIAL):
                await trees.finish(trees.try_to_remove, folder)
        for note in self._uses.iterdir():
            if not (self._trees / note.name).exists():
                note.unlink(missing_ok=True)
        await self._images.sweep(keep)

    async def shrink(self) -> None:
        """Remove all builds: workloads run in copies; see `Shrinking`."""
        await self._drop_old_builds(0)
        await self._images.shrink()

    async def close(self) -> None:
        """Do nothing: there are no connections; see `Runner`."""

    async def _place(self, order: Order) -> Plan:
        """Return where the service is built and run: a plan that lacks what the commit adds."""
        image = order.service.source.image
        if image is None or await self._images.problem():
            return Plan(self._driver, self._directory)
        digest = hex_of(ImageReference.parse(image.reference).digest)
        plan = await self._images.prepare(order, digest)
        # What is written must be the agent's, which has to copy and remove it.
        user = order.service.user or f"{os.getuid()}:{os.getgid()}"
        return replace(plan, user=user, mount_tree=True, env={"HOME": TEMPORARY})

    def _tree(self, key: TaskKey, version: str) -> Path:
        return self._trees / f"{key.name}{_AT}{version}"

    def _trees_of(self, key: TaskKey) -> list[Path]:
        return sorted(self._trees.glob(f"{key.name}{_AT}*"))

    def _drop_old_trees(self, key: TaskKey) -> None:
        """Keep the newest version of a workload and the one before it, which is gone back to."""
        whole = [one for one in self._trees_of(key) if not one.name.endswith(PARTIAL)]
        whole.sort(key=self._used, reverse=True)
        for tree in whole[_KEPT_TREES:]:
            trees.try_to_remove(tree)
            (self._uses / tree.name).unlink(missing_ok=True)

    def _note_use(self, tree: Path) -> None:
        """Take down that `tree` is used now, where its workload can't write."""
        # A full disk is no reason not to start what is there.
        with contextlib.suppress(OSError):
            (self._uses / tree.name).touch()

    def _used(self, tree: Path) -> float:
        """Return when `tree` was used last.

        Where nobody took that down, as agents of before did not, it is when the tree itself changed
        last: unlike its other times, no workload sets that back.
        """
        try:
            return (self._uses / tree.name).stat().st_mtime
        except FileNotFoundError:
            return tree.stat().st_ctime

    async def _digest(self, order: Order, version: str, place: Plan) -> str:
        """Return the name of the build: a hash over all that goes into it."""
        fingerprint = await self._driver.fingerprint()
        source = _source(order.service)
        parts = {
            "source": [source.url, version, source.path or ""],
            # Who brings no credentials must not get what those of another job fetched.
            "private_to": f"{order.key.escrow}-{order.key.job_id}" if source.credentials else "",
            "build": [list(argv) for argv in order.service.build],
            "env": dict(order.build_env),
            # Inside a sandbox the tree lies at another path, which builds may write into files.
            "sandboxed": fingerprint.sandboxed,
            "image": place.image,
            "user": place.user,
        }
        return canonical_hash(parts).hex()

    async def _git(
        self, what: str, arguments: Sequence[str | None], order: Order, tree: Path
    ) -> str:
        """Run git in `tree` and return what it prints; None among the arguments is the address."""
        source = _source(order.service)
        online = None in arguments
        remote = None
        if online:
            remote = await open_remote(source.url, self._options, self._trust, self._directory)
        words = [one if one is not None else (remote.url if remote else "") for one in arguments]
        env = environment(remote, self._options)
        if online and source.credentials is not None:
            env |= login(source.credentials, order.secrets)
        task = Task(
            key=order.key.at("git"),
            argv=command(remote, *words),
            env=env,
            directory=tree,
            limits=Limits(_FETCH_MEMORY_MB, order.resources.storage_mb),
            mounts=remote.mounts if remote is not None else (),
        )
        return await self._step(self._driver, task, self._options.fetch_seconds, what)

    async def _step(self, driver: Driver, task: Task, seconds: float, what: str) -> str:
        return await steps.run_step(driver, task, seconds, what, look_seconds=self._look_seconds)

    async def _make(self, order: Order, version: str, build: Path, place: Plan) -> None:
        partial = build.with_name(build.name + PARTIAL)
        await trees.finish(trees.remove, partial)
        private_directory(partial)
        await self._fetch(order, version, partial)
        path = _source(order.service).path or ""
        folder = partial / path
        if not folder.is_dir() or not folder.resolve().is_relative_to(partial.resolve()):
            raise RunnerError(f"source.git.path: the commit has no folder {path}; correct it")
        await self._build(order, partial, place)
        size = await asyncio.to_thread(tree_bytes, partial)
        if size >= UNCOUNTABLE:
            raise RunnerError(f"build: its tree takes {told_in_mb(size)}; make it flatter")
        if size // _MB > order.resources.storage_mb:
            raise RunnerError(
                f"resources.storage_mb: the built tree takes {told_in_mb(size)}; "
                "ask for more storage"
            )
        partial.replace(build)

    async def _fetch(self, order: Order, commit: str, tree: Path) -> None:
        """Bring the commit into the empty folder `tree`."""

        async def git(what: str, *arguments: str | None) -> str:
            return await self._git(what, arguments, order, tree)

        await git("git init", "init", "--quiet", "--template=")
        fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
        try:
            await git("git fetch", *fetch, "--depth=1", "--", None, commit)
        except RunnerError:
            # Not every server gives a commit by its name; then all branches and tags are fetched.
            everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
            await git("git fetch", *fetch, "--", None, *everything)
        await git("git checkout", "checkout", "--quiet", "--force", "--detach", commit)
        # A detached HEAD holds the commit itself; git has checked its content against the name.
        head = (tree / ".git" / "HEAD").read_text(encoding="ascii").strip()
        if head != commit:
            raise RunnerError(
                f"source.git.commit: {head} was fetched instead; check the repository"
            )

    async def _build(self, order: Order, tree: Path, place: Plan) -> None:
        commands = order.service.build
        for number, argv in enumerate(commands, start=1):
            task = Task(
                key=order.key.at("build"),
                argv=argv,
                env={**place.env, **order.build_env},
                directory=tree,
                limits=Limits(
                    order.resources.memory_mb,
                    order.resources.storage_mb,
                    order.resources.cpu_milli,
                ),
                subdirectory=_source(order.service).path or "",
                image=place.image,
                entrypoint=() if place.image else None,
                user=place.user,
            )
            what = f"build command {number} of {len(commands)}"
            await self._step(place.driver, task, self._options.build_seconds, what)

    async def _drop_old_builds(self, keep: int) -> None:
        """Keep the newest ones, and those that are being made or copied."""
        for build in (await asyncio.to_thread(_finished, self._builds))[keep:]:
            lock = self._lock(build.name)
            if not lock.locked():
                async with lock:
                    await trees.finish(trees.try_to_remove, build)

    def _lock(self, digest: str) -> asyncio.Lock:
        return self._locks.setdefault(digest, asyncio.Lock())


def _source(service: Service) -> GitSource:
    if service.source.git is None:
        raise RunnerError("source.git: the runner war needs it; add url and commit")
    return service.source.git


def _finished(builds: Path) -> list[Path]:
    """Return the builds that are whole, the one used last first."""
    used = {}
    for build in builds.iterdir():
        # Another workload's start may be removing it.
        with contextlib.suppress(FileNotFoundError):
            used[build] = build.stat().st_mtime
    finished = [build for build in used if not build.name.endswith(PARTIAL)]
    return sorted(finished, key=lambda build: used[build], reverse=True)
