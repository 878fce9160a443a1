"""The driver `niced`: the processes of the agent's own driver, but they give way to all others."""

from dataclasses import replace

from workdeed.node.drivers.base import DriverContext, Fingerprint, Handle, Task
from workdeed.node.drivers.process import ProcessDriver

_NICE = ("/usr/bin/nice", "-n", "19")


class NicedDriver(ProcessDriver):
    """Puts `nice` before each command."""

    @property
    def name(self) -> str:
        """The driver's name; see `Driver`."""
        return "niced"

    async def fingerprint(self) -> Fingerprint:
        """Tell the same as the process driver, under this one's name; see `Driver`."""
        return replace(await super().fingerprint(), driver=self.name)

    async def start(self, task: Task) -> Handle:
        """Start `task` with the least claim to the processor; see `Driver`."""
        return await super().start(replace(task, argv=(*_NICE, *task.argv)))


def niced_driver(context: DriverContext) -> NicedDriver:
    """Return the driver for an agent; what its entry point names."""
    return NicedDriver(
        context.directory,
        # The process driver ends what bears its mark and stands in none of its records, so the
        # mark of this one must be another.
        f"{context.owner}-niced",
        allow_unsandboxed=context.allow_unsandboxed,
        log_bytes=context.log_bytes,
    )
