"""What the agent hands to the host of a plugin, in a folder that the plugin can't write."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from workdeed.node.native.wire import WireError, decode, encode

MAIN: Final = "main"
"""The instance of a plugin whose configuration names none."""

MAX_INSTANCES: Final = 32

HEALTH_VARIABLE: Final = "HEALTH_PORT"
"""Where the host answers health checks over HTTP, if the spec has a port with this variable."""

CHANNEL: Final = ".workdeed"
"""Folder in the service's tree, for what the host and the agent share."""

SOCKET: Final = "control"
"""The host's socket in that folder."""

_FILE: Final = "order.json"
_PACKAGES: Final = "packages"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


class OrderError(Exception):
    """The order can't be read, or a configuration is not made up as it must be."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which plugin to run, and how.

    Attributes:
        plugin: its class, as `module:name`.
        packages: the folder that holds its code.
        instances: configurations by the name of the instance.

    """

    plugin: str
    packages: Path
    instances: Mapping[str, Mapping[str, Any]]

    def write(self, folder: Path) -> None:
        """Put it into `folder`, whose `packages` must be the order's own."""
        content = {"plugin": self.plugin, "instances": self.instances}
        (folder / _FILE).write_bytes(encode(content))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what `write` put there; raises `OrderError`."""
        try:
            content = decode((folder / _FILE).read_bytes())
            return cls(str(content["plugin"]), packages_of(folder), content["instances"])
        except (OSError, WireError, KeyError) as error:
            raise OrderError(f"order: it can't be read ({error}); revise the job") from error


def packages_of(folder: Path) -> Path:
    """Return where the plugin's code lies in the folder of an order."""
    return folder / _PACKAGES


def instances_of(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the configuration of each instance, from that of a spec.

    It is `{"instances": {name: config}}`, or the configuration of one instance `main`.

    Raises:
        OrderError: if it is neither.

    """
    if "instances" not in config:
        return {MAIN: config}
    instances = config["instances"]
    if len(config) > 1:
        raise OrderError("instances: it stands alone; move the other members into an instance")
    if not isinstance(instances, dict) or not 1 <= len(instances) <= MAX_INSTANCES:
        raise OrderError(f"instances: name 1 to {MAX_INSTANCES}, each with its configuration")
    for name, own in instances.items():
        check_name(name)
        if not isinstance(own, dict):
            raise OrderError(f"instances.{name}: it is no object; write one")
    return instances


def check_name(name: str) -> None:
    """Raise `OrderError` if `name` is none for an instance."""
    if not _NAME.fullmatch(name):
        raise OrderError(
            f"instances: {name[:40]!r} must be 1 to 32 lower-case letters, digits or inner '-'"
        )
