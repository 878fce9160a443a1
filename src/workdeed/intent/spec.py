"""The deployment intent `workdeed/spec@1`: what a payer wants to run.

Money, slots and windows are not part of it: the escrow holds them.
"""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from workdeed.intent.environment import FromService
from workdeed.intent.fields import Name, Part, ServiceName, Tags
from workdeed.intent.rollout import Recreate, Rollout
from workdeed.intent.secrets import Secrets
from workdeed.intent.service import (
    MAIN,
    FileVolume,
    FixedVolume,
    NamedVolume,
    Resources,
    Service,
    Sibling,
)

_SIZES = ("cpu_milli", "memory_mb", "storage_mb")


class PlacementRules(Part):
    """Which nodes may serve: they meet every expression of `tags` and none of `exclude`.

    `prefer` ranks the rest: nodes that meet more of its expressions come first. An expression is a
    tag, a beginning of one (`dc:*`), the absence of either (`!ct:fr`), or several of these with
    `||` between them, of which one is enough. Upper and lower case are the same.
    """

    tags: Tags = ()
    exclude: Tags = ()
    prefer: Tags = ()


class Spec(Service):
    """The whole intent. Its hash over the canonical JSON stands in the escrow for each revision.

    It is the job's main service itself, and says what concerns the whole job.

    Attributes:
        name: label for people, unique to nobody.
        class_id: price class of the escrow that the resources must fit.
        siblings: further services of the job, on the same node.
        secrets: sealed values that services name.
        resources: of all services together.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Annotated[Literal["workdeed/spec@1"], Field(alias="schema")] = "workdeed/spec@1"
    name: Name
    class_id: Annotated[int, Field(ge=0, lt=2**32)]
    siblings: Annotated[tuple[Sibling, ...], Field(max_length=8)] = ()
    secrets: Secrets | None = None
    rollout: Rollout = Recreate()
    resources: Resources
    placement: PlacementRules = PlacementRules()

    @property
    def services(self) -> Mapping[ServiceName, Service]:
        """All services by name; the spec itself is `main`."""
        return {MAIN: self, **{one.name: one for one in self.siblings}}

    @property
    def start_order(self) -> tuple[ServiceName, ...]:
        """The services' names, each after those that it waits for."""
        waits = {name: sorted(one.waits_for) for name, one in self.services.items()}
        return tuple(TopologicalSorter(waits).static_order())

    @property
    def runners(self) -> frozenset[str]:
        """The runners that a node must have."""
        return frozenset(one.runner for one in self.services.values())

    @property
    def kept_volumes(self) -> tuple[NamedVolume | FixedVolume, ...]:
        """The folders that outlive a revision; services share one by using its name alike."""
        return tuple(
            volume
            for service in self.services.values()
            for volume in service.volumes
            if not isinstance(volume, FileVolume)
        )

    @property
    def sealing_problem(self) -> str:
        """What keeps it from being deployed: secrets that are used and not sealed, or "" if none.

        A spec as its author writes it names secrets and has no boxes yet.
        """
        used = frozenset[str]().union(*(one.used_secrets for one in self.services.values()))
        have = frozenset(self.secrets.names) if self.secrets is not None else frozenset[str]()
        for name in sorted(used - have):
            return f"{name} is used and not sealed; give its value when deploying"
        for name in sorted(have - used):
            return f"{name} is sealed and not used; remove it"
        return ""

    def resources_of(self, name: ServiceName) -> Resources:
        """Return what the service `name` may use; the main one has what its siblings leave."""
        if name != MAIN:
            return next(one.resources for one in self.siblings if one.name == name)
        left = {
            size: getattr(self.resources, size)
            - sum(getattr(one.resources, size) for one in self.siblings)
            for size in _SIZES
        }
        return Resources(**left)

    @model_validator(mode="after")
    def _check_siblings(self) -> Self:
        names = [MAIN, *(one.name for one in self.siblings)]
        if len(set(names)) != len(names):
            raise ValueError("siblings: two have one name; rename one")
        for name, service in self.services.items():
            for other in sorted(service.waits_for):
                if other not in names or other == name:
                    raise ValueError(f"{name}: it waits for {other}, which is no other service")
        try:
            _ = self.start_order
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            raise ValueError(f"siblings: they wait for each other ({circle})") from error
        for size in _SIZES:
            if sum(getattr(one.resources, size) for one in self.siblings) >= getattr(
                self.resources, size
            ):
                raise ValueError(
                    f"resources.{size}: the siblings take all of it; the main service needs some"
                )
        return self

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        """Refuse values of other services that nobody will ever hand on."""
        for service in self.services.values():
            for variable, value in service.env.items():
                if not isinstance(value, FromService):
                    continue
                ports = {one.name for one in self.services[value.service].all_ports}
                wanted = MAIN if value.value == "port" else value.value.removeprefix("port.")
                asks = value.value == "port" or value.value.startswith("port.")
                if asks and wanted not in ports:
                    raise ValueError(f"env.{variable}: {value.service} has no port {wanted}")
        return self

    @model_validator(mode="after")
    def _check_kept(self) -> Self:
        """Refuse a volume that is larger than the slot, or means two things under one name."""
        kinds: dict[str, tuple[str, int]] = {}
        for volume in self.kept_volumes:
            size = volume.size_mb if isinstance(volume, FixedVolume) else 0
            if size > self.resources.storage_mb:
                raise ValueError(
                    f"volumes: {volume.name} is larger than resources.storage_mb; ask for more"
                )
            if kinds.setdefault(volume.name, (volume.kind, size)) != (volume.kind, size):
                raise ValueError(f"volumes: {volume.name} has two kinds or sizes; use two names")
        return self
