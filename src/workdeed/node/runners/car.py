"""The Container App Runner: an image, pinned by its digest.

A tag is resolved once for each revision; from then on only the digest counts, whatever becomes of
the tag. An image that one job brought with its own login is given to another job only when that
one's registry login brings it too, whichever runner it asks.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from workdeed.intent import ImageSource, Service
from workdeed.node.addresses import AddressRefusedError, resolve
from workdeed.node.drivers.base import TaskKey
from workdeed.node.drivers.container import NAME, ContainerDriver
from workdeed.node.drivers.container_images import (
    Image,
    ImageStore,
    ImageTooLargeError,
    Login,
    PullFailedError,
)
from workdeed.node.drivers.image_records import ImageRecords
from workdeed.node.errors import DriverError, RunnerError
from workdeed.node.files import private_directory, remove_tree
from workdeed.node.runners.base import Order, Plan, RunnerContext
from workdeed.node.runners.image_reference import ImageReference, full_name, hex_of
from workdeed.node.tasks import Unbroken

_MB: Final = 1_000_000
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0


class CarRunner:
    """See the module; a `Runner`."""

    def __init__(self, context: RunnerContext) -> None:
        """Work in the context's folder.

        Raises:
            StateError: if records that an older agent left there are damaged.

        """
        self._driver = context.drivers.get(NAME)
        self._options = context.options
        self._directory = private_directory(context.directory).resolve()
        self._trees = private_directory(self._directory / "trees")
        if isinstance(self._driver, ContainerDriver):
            self._driver.image_records.take_over(self._directory / "images.json")
        self._pulls = Unbroken()
        self._pauses = (_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)

    async def problem(self) -> str:
        """Return why no container can be run here; see `Runner`."""
        if not isinstance(self._driver, ContainerDriver):
            return f"the driver {NAME} is not installed"
        fingerprint = await self._driver.fingerprint()
        return "" if fingerprint.available else fingerprint.reason

    def check(self, service: Service) -> None:
        """Raise `RunnerError` if `service` names no image, or more than one; see `Runner`."""
        _source(service)
        if service.source.git is not None or service.source.plugin is not None:
            raise RunnerError("source: the runner car takes an image alone; remove the other")
        if service.build:
            raise RunnerError("build: the runner car builds nothing; remove it")

    def poll_seconds(self, service: Service) -> float | None:  # noqa: ARG002
        """Return None: a tag is resolved once; see `Runner`."""
        return None

    async def resolve(self, order: Order) -> str:
        """Return the hex of the digest that the image has now; see `Runner`.

        Raises:
            RunnerError: if it can't be known now.
            DriverError: if the engine can't be asked.

        """
        source = _source(order.service)
        reference = ImageReference.parse(source.reference)
        if reference.digest:
            return hex_of(reference.digest)

        async def there() -> str:
            found = await self._images.find(reference.tagged) if source.pull != "always" else None
            if found is None:
                return ""
            version = self._version(reference, found)
            allowed = await self._may_use(order, reference.pinned(version), found)
            return version if allowed else ""

        return await there() or await self._pull(order, source, reference, reference.tag, there)

    async def prepare(self, order: Order, version: str) -> Plan:
        """Make sure that exactly the image of `version` is there; see `Runner`.

        Raises:
            RunnerError: if it isn't there, can't be brought or is too large.
            DriverError: if the engine can't be asked.

        """
        source = _source(order.service)
        reference = ImageReference.parse(source.reference)
        pinned = reference.pinned(version)

        async def there() -> str:
            _, image = await self._present(order, reference, version)
            return version if image is not None else ""

        # Before it is looked for: a clean-up must not take it away in between.
        self._records.use(order.key.name, pinned, time.time())
        name, image = await self._present(order, reference, version)
        if image is None:
            await self._pull(order, source, reference, f"sha256:{version}", there)
            name, image = pinned, await self._images.find(pinned)
        if image is None:
            raise RunnerError(f"source.image: {pinned} is gone again; free some disk and try again")
        _check_size(image, order)
        with contextlib.suppress(DriverError):
            await self._clean(self._options.keep_builds)
        return Plan(
            driver=self._container,
            directory=private_directory(self._trees / order.key.name),
            argv=order.service.run or (),
            image=name,
            entrypoint=order.service.entrypoint,
            user=order.service.user or "",
            mount_tree=False,
        )

    async def disk_bytes(self, key: TaskKey) -> int:  # noqa: ARG002
        """Return 0: images are shared, and what a container writes its driver counts."""
        return 0

    async def discard(self, key: TaskKey) -> None:
        """Remove the workload's folder, and images that nobody needs now; see `Runner`."""
        await self._drop_tree(key.name)
        if not isinstance(self._driver, ContainerDriver):
            return
        self._records.release(key.name)
        with contextlib.suppress(DriverError):
            # The next clean-up will find them as well.
            await self._clean(self._options.keep_builds)

    async def sweep(self, keep: Collection[TaskKey]) -> None:
        """Remove what nobody needs, and what a cut-off pull has brought; see `Runner`."""
        names = {key.name for key in keep}
        for folder in sorted(self._trees.iterdir()):
            if folder.name not in names:
                await self._drop_tree(folder.name)
        if isinstance(self._driver, ContainerDriver):
            self._records.keep(names)
        if await self.problem():
            return
        with contextlib.suppress(DriverError):
            # The engine went away in the middle; the next sweep does it.
            await self._adopt()
            await self._clean(self._options.keep_builds)

    async def shrink(self) -> None:
        """Remove all images of the runners that no workload needs; see `Shrinking`."""
        if not isinstance(self._driver, ContainerDriver):
            return
        with contextlib.suppress(DriverError):
            await self._clean(0)

    async def close(self) -> None:
        """Do nothing: the connection is the driver's."""

    @property
    def _container(self) -> ContainerDriver:
        if not isinstance(self._driver, ContainerDriver):
            raise RunnerError(f"runner: car needs the driver {NAME}; install it")
        return self._driver

    @property
    def _images(self) -> ImageStore:
        return self._container.images

    @property
    def _records(self) -> ImageRecords:
        return self._container.image_records

    def _lock(self, target: str) -> asyncio.Lock:
        return self._container.image_locks.setdefault(target, asyncio.Lock())

    async def _present(
        self, order: Order, reference: ImageReference, version: str
    ) -> tuple[str, Image | None]:
        """Return the image if it is there and the order may have it, by the name to run it by."""
        pinned = reference.pinned(version)
        # Docker knows an image that was built here by its configuration's digest only.
        names = (pinned,) if reference.digest else (pinned, f"sha256:{version}")
        for name in names:
            found = await self._images.find(name)
            if found is not None:
                return name, found if await self._may_use(order, pinned, found) else None
        return pinned, None

    async def _may_use(self, order: Order, pinned: str, image: Image) -> bool:
        # What a pull may have brought keeps all that came since from everybody.
        for target in self._records.pending:
            with contextlib.suppress(DriverError):
                await self._settle(target)
        return self._records.may_use(_job(order.key), pinned, image.id)

    def _version(self, reference: ImageReference, image: Image) -> str:
        """Return a digest's hex by which the image is found again, its id's where it has none.

        One that a registry gave out is better than one that it may never have heard of.
        """
        versions = _versions(reference, image)
        known = [one for one in versions if self._records.get(reference.pinned(one)) is not None]
        return (*known, *versions, hex_of(image.id))[0]

    async def _pull(
        self,
        order: Order,
        source: ImageSource,
        reference: ImageReference,
        tag: str,
        there: Callable[[], Awaitable[str]],
    ) -> str:
        """Bring the image, trying as often as the spec says; return the hex of its digest.

        `there` returns that, or "", of the image that the order may have without a pull.
        """
        if source.pull == "never":
            raise RunnerError(
                f"source.image: {source.reference} is not on this node and pull is never; "
                "let the operator bring it, or set pull to missing"
            )
        login = _login(source, order)
        await self._check_address(reference)
        pause, longest = self._pauses
        for rest in reversed(range(source.tries)):
            try:
                return await self._bring_once(order, reference, tag, login, there)
            except ImageTooLargeError as error:
                raise RunnerError(
                    f"resources.storage_mb: {error}; ask for more storage or make it smaller"
                ) from error
            except DriverError as error:
                if rest == 0 or (isinstance(error, PullFailedError) and error.final):
                    raise RunnerError(f"source.image: {error}; check name and login") from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
        raise RunnerError("source.image.tries: it must be at least 1; correct it")

    async def _check_address(self, reference: ImageReference) -> None:
        host, port = reference.server
        private = self._options.allow_private_endpoints
        try:
            await resolve(host, port, allow_private=private)
        except AddressRefusedError as error:
            raise RunnerError(f"source.image.reference: {error}") from error

    async def _bring_once(
        self,
        order: Order,
        reference: ImageReference,
        tag: str,
        login: Login | None,
        there: Callable[[], Awaitable[str]],
    ) -> str:
        """Bring the image unless another has just done so; nothing else is held up meanwhile."""
        target = _target(reference, tag)
        lock = self._lock(target)
        await lock.acquire()

        async def bring() -> str:
            try:
                return await there() or await self._bring(order, reference, tag, login)
            finally:
                lock.release()

        # The engine goes on when the caller gives up. What it brings must be recorded then too: by
        # a login, it would be anybody's otherwise.
        return await self._pulls.do(bring())

    async def _bring(
        self, order: Order, reference: ImageReference, tag: str, login: Login | None
    ) -> str:
        by_digest = tag.startswith("sha256:")
        target = _target(reference, tag)
        await self._settle(target)
        others = await self._images.ids()
        self._records.begin(target, await self._images.find(target), others)
        try:
            told = await self._images.pull(
                reference.name,
                tag,
                login,
                seconds=self._options.fetch_seconds,
                max_bytes=order.resources.storage_mb * _MB,
            )
            image = await self._images.find(target)
            if image is None:
                raise PullFailedError(f"{target} is not there after the pull", final=False)
            version = hex_of(told or tag) if told or by_digest else ""
            version = version or await self._registry_version(reference, image, login, order)
            pinned = reference.pinned(version)
            known = self._records.get(pinned)
            if image.id not in others or known is not None or self._is_ours(image):
                job = _job(order.key) if login is not None else None
                tag_name = "" if by_digest else reference.tagged
                self._records.add(pinned, image, tag_name, job, time.time())
        except Exception:
            self._records.fail(target)
            # Where the agent is about to end, the next one does it; where the engine does not
            # answer, who asks for an image next.
            with contextlib.suppress(DriverError):
                await self._settle(target)
            raise
        self._records.end(target)
        if image.size > order.resources.storage_mb * _MB:
            # Not this workload's any more, or it would be kept for it.
            self._records.release(order.key.name)
            await self._drop(pinned)
        _check_size(image, order)
        return version

    def _is_ours(self, image: Image) -> bool:
        tags = set(image.tags)
        return bool(tags) and tags <= self._records.tags_of(image.id)

    async def _registry_version(
        self, reference: ImageReference, image: Image, login: Login | None, order: Order
    ) -> str:
        """Return the digest by which the registry has the image that was just pulled by tag.

        Podman lists all digests that it ever saw an image under, in whatever registry: the right
        one is the one that the registry gives out.
        """
        candidates = _versions(reference, image)
        for version in candidates[:-1]:
            with contextlib.suppress(PullFailedError):
                await self._images.pull(
                    reference.name,
                    f"sha256:{version}",
                    login,
                    seconds=self._options.fetch_seconds,
                    max_bytes=order.resources.storage_mb * _MB,
                )
                return version
        return candidates[-1] if candidates else hex_of(image.id)

    async def _adopt(self) -> None:
        """Record what pulls brought that ended before that was recorded."""
        for target in self._records.pending:
            await self._settle(target)

    async def _settle(self, target: str) -> None:
        """Record what a pull of `target` that failed or was cut off has brought all the same.

        Args:
            target: by which it was pulled; without such a pull nothing happens.

        """
        if target not in self._records.pending:
            return
        found = await self._images.find(target)
        before = self._records.pending.get(target)
        if before is None:
            # Another has settled it meanwhile, and may be pulling it again.
            return
        if found is not None and found.id not in (before, *self._records.others(target)):
            reference = ImageReference.parse(target)
            pinned = reference.pinned(hex_of(reference.digest) or self._version(reference, found))
            tag = reference.tagged if reference.tag else ""
            # Nobody's, so that each job has to show its login for it.
            self._records.add(pinned, found, tag, "", 0.0)
        self._records.end(target)

    async def _clean(self, keep: int) -> None:
        """Remove the images of the runners that no workload needs, but for the newest `keep`."""
        async with self._container.cleaning:
            for pinned, _ in list(self._records.idle())[keep:]:
                await self._drop(pinned)

    async def _drop(self, pinned: str) -> None:
        """Remove an image of the runners, unless it has become somebody else's too."""
        known = self._records.get(pinned)
        if known is None:
            return
        if known.id in self._records.needed_ids():
            return
        found = await self._images.find(known.id)
        if found is not None:
            if not set(found.tags) <= self._records.tags_of(known.id):
                # Somebody has given it a name of his own.
                self._records.forget(pinned)
                return
            for reference in (*found.tags, known.id):
                if not await self._images.remove(reference):
                    return
        self._records.forget(pinned)

    async def _drop_tree(self, name: str) -> None:
        tree = self._trees / name
        if tree.exists():
            await asyncio.to_thread(remove_tree, tree)


def _source(service: Service) -> ImageSource:
    if service.source.image is None:
        raise RunnerError("source.image: the runner car needs it; add reference")
    return service.source.image


def _job(key: TaskKey) -> str:
    return f"{key.escrow.lower()}-{key.job_id}"


def _target(reference: ImageReference, tag: str) -> str:
    """Return the name by which the engine has what is pulled at a tag or a digest."""
    return f"{reference.name}@{tag}" if tag.startswith("sha256:") else reference.tagged


def _login(source: ImageSource, order: Order) -> Login | None:
    if source.credentials is None:
        return None
    password = order.secrets.get(source.credentials.secret)
    if password is None:
        raise RunnerError(
            f"source.image.credentials: the secret {source.credentials.secret} is not sealed for "
            "this node; seal it again"
        )
    return Login(source.credentials.username, password)


def _versions(reference: ImageReference, image: Image) -> list[str]:
    """Return the hex of each digest that the engine has for the image under this name."""
    found = (one.partition("@") for one in image.digests)
    return sorted(hex_of(digest) for name, _, digest in found if full_name(name) == reference.name)


def _check_size(image: Image, order: Order) -> None:
    if image.size > order.resources.storage_mb * _MB:
        raise RunnerError(
            f"resources.storage_mb: the image has {-(-image.size // _MB)} MB; ask for more storage "
            "or make it smaller"
        )
