"""States of a workload, and the table of everything that may happen to one.

`pending -> starting -> running <-> unhealthy -> stopping -> stopped | failed | lost`; what ended
without being asked to goes back to pending and is tried again as long as the chain wants it
served.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from workdeed.node.errors import LifecycleError
from workdeed.protocol.limits import MAX_TEXT


class State(StrEnum):
    """Where a workload stands; the words are those of the answers to probes."""

    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    UNHEALTHY = "unhealthy"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


class Event(StrEnum):
    """What happens to a workload."""

    LAUNCHED = "launched"
    """Its process was started, or found running after a restart of the agent."""
    REFUSED = "refused"
    """It could not be fetched, built or started."""
    WELL = "well"
    """A health check passed."""
    UNWELL = "unwell"
    """A health check failed."""
    EXITED = "exited"
    """Its process ended by itself, or was ended for breaking a limit."""
    FINISHED = "finished"
    """Its process ended by itself and has nothing left to do."""
    VANISHED = "vanished"
    """Its process is gone and nobody knows how it ended, as after a reboot."""
    WITHDRAWN = "withdrawn"
    """It shall not run: the chain ended it, a new revision replaces it, or it hangs."""
    ENDED = "ended"
    """The process that was asked to end has ended."""
    STUCK = "stuck"
    """The process that was asked to end cannot be ended."""
    RETRIED = "retried"
    """It is tried again after a pause."""


class Cause(StrEnum):
    """Why a workload ended or was ended: the first ones by plan, the others not.

    Restart policies speak of the others alone.
    """

    CHAIN = "chain"
    """The chain no longer wants it."""
    REPLACED = "replaced"
    """Another revision takes its place."""
    COMMAND = "command"
    """Its payer said so."""
    VERSION = "version"
    """The branch that it follows has a new commit."""
    GONE = "gone"
    """It exited by itself with code 0."""
    CRASHED = "crashed"
    """It exited by itself with another code."""
    MEMORY = "memory"
    """It took more memory than it may."""
    STORAGE = "storage"
    """It took more storage than it may."""
    ILL = "ill"
    """It was not well for too long."""
    UNSTARTED = "unstarted"
    """It could not be fetched, built or started."""
    VANISHED = "vanished"
    """Nobody knows how it ended, as after a reboot."""

    @property
    def planned(self) -> bool:
        """Whether it was meant to end."""
        return self in (Cause.CHAIN, Cause.REPLACED, Cause.COMMAND, Cause.VERSION)


TRANSITIONS: Final = MappingProxyType(
    {
        (State.PENDING, Event.LAUNCHED): State.STARTING,
        (State.PENDING, Event.REFUSED): State.FAILED,
        (State.PENDING, Event.WITHDRAWN): State.STOPPED,
        (State.STARTING, Event.WELL): State.RUNNING,
        (State.STARTING, Event.EXITED): State.FAILED,
        (State.STARTING, Event.FINISHED): State.STOPPED,
        (State.STARTING, Event.VANISHED): State.LOST,
        (State.STARTING, Event.WITHDRAWN): State.STOPPING,
        (State.RUNNING, Event.WELL): State.RUNNING,
        (State.RUNNING, Event.UNWELL): State.UNHEALTHY,
        (State.RUNNING, Event.EXITED): State.FAILED,
        (State.RUNNING, Event.FINISHED): State.STOPPED,
        (State.RUNNING, Event.VANISHED): State.LOST,
        (State.RUNNING, Event.WITHDRAWN): State.STOPPING,
        (State.UNHEALTHY, Event.WELL): State.RUNNING,
        (State.UNHEALTHY, Event.UNWELL): State.UNHEALTHY,
        (State.UNHEALTHY, Event.EXITED): State.FAILED,
        (State.UNHEALTHY, Event.FINISHED): State.STOPPED,
        (State.UNHEALTHY, Event.VANISHED): State.LOST,
        (State.UNHEALTHY, Event.WITHDRAWN): State.STOPPING,
        (State.STOPPING, Event.ENDED): State.STOPPED,
        (State.STOPPING, Event.STUCK): State.FAILED,
        (State.STOPPING, Event.VANISHED): State.LOST,
        (State.STOPPED, Event.RETRIED): State.PENDING,
        (State.FAILED, Event.RETRIED): State.PENDING,
        (State.FAILED, Event.WITHDRAWN): State.STOPPING,
        (State.LOST, Event.RETRIED): State.PENDING,
        (State.LOST, Event.WITHDRAWN): State.STOPPED,
    }
)


class Lifecycle:
    """The state of one workload, and why it is in it."""

    def __init__(self) -> None:
        self.state = State.PENDING
        self.reason = ""

    def on(self, event: Event, reason: str = "") -> State:
        """Move by `event`, keep `reason` (empty when all goes by plan), and return the new state.

        Raises:
            LifecycleError: if the table has no such move.

        """
        target = TRANSITIONS.get((self.state, event))
        if target is None:
            raise LifecycleError(f"state: {event} cannot happen to a workload that is {self.state}")
        self.state = target
        self.note(reason)
        return target

    def note(self, reason: str) -> None:
        """Tell what the workload waits for, without a move."""
        self.reason = reason[:MAX_TEXT]
