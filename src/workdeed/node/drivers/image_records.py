"""Which images the runners have brought into an engine, for whom, and which workloads need them.

All runners share one record, as they share the images. Only what is recorded here is ever removed:
all other images are somebody else's.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workdeed.node.drivers.container_images import Image
from workdeed.node.errors import StateError
from workdeed.node.files import read_json, write_json


class Brought(BaseModel):
    """An image that a runner has pulled.

    Attributes:
        id: by which the engine has it.
        tags: names that the pulls gave it.
        used: seconds since 1970 of the last use.
        jobs: which jobs have shown a registry's login for it; None where none was needed.

    """

    model_config = ConfigDict(extra="forbid")

    id: str
    tags: set[str] = set()
    used: float
    jobs: set[str] | None = None


class _State(BaseModel):
    model_config = ConfigDict(extra="forbid")

    images: Annotated[dict[str, Brought], Field(default_factory=dict)]
    workloads: Annotated[dict[str, str], Field(default_factory=dict)]
    pending: Annotated[dict[str, str], Field(default_factory=dict)]


class ImageRecords:
    """The records, on disk after every change."""

    def __init__(self, path: Path) -> None:
        """Read them from `path`, if it is there.

        Raises:
            StateError: if the file is damaged.

        """
        self._path = path
        self._state = _read(path)
        self._pulling: set[str] = set()
        self._unrecorded: dict[str, Collection[str]] = {}

    def take_over(self, path: Path) -> None:
        """Add what an agent that kept a record for each runner left in `path`, and remove that.

        Raises:
            StateError: if the file is damaged.

        """
        if not path.exists():
            return
        before, now = _read(path), self._state
        for pinned, image in before.images.items():
            known = now.images.get(pinned)
            now.images[pinned] = image if known is None else _both(known, image)
        now.workloads = before.workloads | now.workloads
        now.pending = before.pending | now.pending
        self._save()
        path.unlink()

    def get(self, pinned: str) -> Brought | None:
        """Return what is known of an image that was brought, by `name@sha256:...`."""
        return self._state.images.get(pinned)

    def begin(
        self, reference: str, before: Image | None, others: Collection[str] | None = None
    ) -> None:
        """Note that a reference is about to be pulled.

        Args:
            reference: `name:tag` or `name@sha256:...`.
            before: what it was before.
            others: ids of all images that were there before. What comes until the pull has ended
                and is not recorded yet may be what it brings, and is nobody's.

        """
        self._state.pending[reference] = before.id if before is not None else ""
        self._save()
        self._pulling.add(reference)
        if others is not None:
            self._unrecorded[reference] = others

    def fail(self, reference: str) -> None:
        """Note that the pull of `reference` has failed; what it may have brought is pending."""
        self._pulling.discard(reference)

    def end(self, reference: str) -> None:
        """Note that the pull of `reference` is over, and what it brought recorded."""
        self._pulling.discard(reference)
        self._unrecorded.pop(reference, None)
        if self._state.pending.pop(reference, None) is not None:
            self._save()

    def may_use(self, job: str, pinned: str, image: str) -> bool:
        """Tell whether a job may have an image: none that another one's login alone has brought.

        Args:
            job: which asks.
            pinned: `name@sha256:...`.
            image: its id, as Podman knows one image by digests of several registries.

        """
        found = [
            one for name, one in self._state.images.items() if name == pinned or one.id == image
        ]
        if not found:
            return all(image in others for others in self._unrecorded.values())
        return any(one.jobs is None or job in one.jobs for one in found)

    @property
    def pending(self) -> dict[str, str]:
        """Pulls that failed or that a crash has cut off, with the id that each had before.

        What they have brought all the same is to be recorded.
        """
        pending = self._state.pending
        return {name: before for name, before in pending.items() if name not in self._pulling}

    def others(self, reference: str) -> Collection[str]:
        """Return the ids of images that were there before a pull, as far as that is known."""
        return self._unrecorded.get(reference, ())

    def add(self, pinned: str, image: Image, tag: str, job: str | None, now: float) -> None:
        """Note that an image was brought.

        Args:
            pinned: `name@sha256:...`.
            image: as the engine has it.
            tag: `name:tag` that it was pulled by, "" for its digest.
            job: which showed a login for it, None for an image that needs none.
            now: seconds since 1970.

        """
        known = self._state.images.get(pinned)
        jobs: set[str] | None = None
        if job is not None and (known is None or known.jobs is not None):
            jobs = {job, *(known.jobs or () if known is not None else ())}
        tags = {tag} - {""} | (known.tags if known is not None else set())
        self._state.images[pinned] = Brought(id=image.id, tags=tags, used=now, jobs=jobs)
        self._save()

    def use(self, workload: str, pinned: str, now: float) -> None:
        """Note that a workload needs an image from now on."""
        self._state.workloads[workload] = pinned
        if (known := self._state.images.get(pinned)) is not None:
            known.used = now
        self._save()

    def release(self, workload: str) -> None:
        """Note that a workload needs none any more."""
        if self._state.workloads.pop(workload, None) is not None:
            self._save()

    def keep(self, workloads: Collection[str]) -> None:
        """Forget all workloads but these."""
        kept = {name: ref for name, ref in self._state.workloads.items() if name in workloads}
        if kept != self._state.workloads:
            self._state.workloads = kept
            self._save()

    def idle(self) -> Iterator[tuple[str, Brought]]:
        """Yield the images that no workload needs, the one used last first."""
        needed = set(self._state.workloads.values())
        found = [one for one in self._state.images.items() if one[0] not in needed]
        yield from sorted(found, key=lambda one: one[1].used, reverse=True)

    def tags_of(self, image: str) -> set[str]:
        """Return all tags that pulls of the runners gave the image of that id."""
        return {tag for one in self._state.images.values() if one.id == image for tag in one.tags}

    def needed_ids(self) -> set[str]:
        """Return the ids of the images that workloads need."""
        needed = self._state.workloads.values()
        return {one.id for pinned, one in self._state.images.items() if pinned in needed}

    def forget(self, pinned: str) -> None:
        """Note that an image is gone."""
        if self._state.images.pop(pinned, None) is not None:
            self._save()

    def _save(self) -> None:
        write_json(self._path, self._state.model_dump(mode="json"))


def _read(path: Path) -> _State:
    try:
        return _State.model_validate(read_json(path) or {})
    except ValidationError as error:
        raise StateError(f"state_dir: {path.name} is damaged; remove it") from error


def _both(one: Brought, other: Brought) -> Brought:
    free = one.jobs is None or other.jobs is None
    return Brought(
        id=one.id,
        tags=one.tags | other.tags,
        used=max(one.used, other.used),
        jobs=None if free else {*(one.jobs or ()), *(other.jobs or ())},
    )
