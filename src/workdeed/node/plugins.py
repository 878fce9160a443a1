"""Finds what other packages add to a node: runners, drivers and native plugins.

Each is an entry point; its group says what it is and its name how specs and settings call it.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from workdeed.node.errors import PluginError


def installed(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of `group` by name.

    Raises:
        PluginError: if two packages register the same name.

    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise PluginError(
                f"{group}: {other.value} and {point.value} are both registered as {point.name}; "
                "uninstall one of the packages"
            )
    return found


def load(point: EntryPoint) -> Any:
    """Return what `point` names.

    Raises:
        PluginError: if it can't be imported.

    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"{point.group}: {point.name} can't be loaded from {point.value} ({error}); "
            "reinstall its package"
        ) from error
