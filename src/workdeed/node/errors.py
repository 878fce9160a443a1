"""The exceptions of the agent: each text is one sentence that names the field and the remedy."""


class NodeError(Exception):
    """Something went wrong on this node; the root of all errors of this package."""


class SettingsError(NodeError):
    """The configuration is incomplete or contradicts itself; the agent does not start."""


class StateError(NodeError):
    """The state directory cannot be used: in use by another agent, or damaged."""


class DriverError(NodeError):
    """A driver could not start, find or end a task."""


class DriverDownError(DriverError):
    """A driver can't be asked now: that says nothing of its tasks."""


class SandboxMissingError(DriverError):
    """No sandbox is available and running without one is not allowed."""


class PluginError(NodeError):
    """A package that adds a runner, a driver or a plugin can't be used as it is installed."""


class SecretsError(NodeError):
    """Sealed values can't be opened here, or were sealed for another job."""


class RunnerError(NodeError):
    """A runner could not turn a spec into something to run (fetch, build, unknown runner)."""


class ChainUnsureError(NodeError):
    """The chain cannot be read reliably now: RPCs are down, stale or disagree."""


class DispatchRefusedError(NodeError):
    """A dispatch contradicts the chain or this node's abilities.

    Attributes:
        field: the field of the dispatch at fault.

    """

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class RequestRefusedError(NodeError):
    """A signed request is stale, was seen before, or its signer may not ask for this.

    Attributes:
        status: HTTP status that says so: 401, 403 or 409.

    """

    def __init__(self, text: str, status: int = 403) -> None:
        super().__init__(text)
        self.status = status


class DiskFullError(NodeError):
    """New work can't be taken for want of disk space."""


class BusyError(NodeError):
    """More is asked of this node at once than it does."""


class LifecycleError(NodeError):
    """A state transition that the table does not hold: a mistake in the agent itself."""
