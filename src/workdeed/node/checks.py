"""Looks at the machine of a node before it runs, and says what to mend."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from workdeed.node.capacity import Machine, check_offer
from workdeed.node.disk import shortage
from workdeed.node.drivers.base import Driver
from workdeed.node.errors import SettingsError
from workdeed.node.files import private_directory
from workdeed.node.findings import Finding
from workdeed.node.run import drivers_of
from workdeed.node.settings import NodeSettings
from workdeed.protocol.messages import Resources


async def check_node(settings: NodeSettings) -> AsyncIterator[Finding]:
    """Check what a node with these settings runs workloads with, and what it has to offer.

    What control groups are to be had depends on who asks: it is asked here for this very process.
    """
    state = private_directory(settings.state_dir).resolve()
    drivers = drivers_of(settings, state)
    try:
        for driver in drivers.values():
            yield await _driver(driver)
        usable = [one for one in drivers.values() if (await one.fingerprint()).available]
        none = "drivers: none of them can run anything; install bubblewrap or a container engine"
        names = ", ".join(sorted(one.name for one in usable))
        yield Finding("drivers", "" if usable else none, f"usable: {names}")
    finally:
        for driver in drivers.values():
            await driver.close()
    yield await asyncio.to_thread(_offer, settings, state)
    enough = f"more than {settings.disk.reserve_mb} MB are free"
    yield Finding("disk", shortage(state, settings.disk.reserve_mb), enough)


async def _driver(driver: Driver) -> Finding:
    """Tell what a driver can do; one that can do nothing is no problem while another can."""
    found = await driver.fingerprint()
    if not found.available:
        return Finding(f"driver {driver.name}", note=f"not usable: {found.reason}")
    locked = "sandboxed" if found.sandboxed else f"NOT sandboxed ({found.reason})"
    attributes = "; ".join(f"{name}: {text}" for name, text in sorted(found.attributes.items()))
    return Finding(f"driver {driver.name}", note=f"{locked}; {attributes}")


def _offer(settings: NodeSettings, state: Path) -> Finding:
    offer, machine = Resources(**settings.resources.model_dump()), Machine.of(state)
    try:
        check_offer(offer, machine, settings.disk.reserve_mb)
    except SettingsError as error:
        allowed = settings.overcommit
        return Finding("offer", "" if allowed else str(error), f"overcommit is set ({error})")
    return Finding("offer", note="the machine has what is offered")
