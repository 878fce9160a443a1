"""From an exception to one sentence on stderr and an exit code."""

import os

import click

from workdeed.cli.logtext import visible

UNEXPECTED = 70
"""Exit code of a failure that nobody thought of (EX_SOFTWARE of sysexits.h)."""

TRACE = "WORKDEED_TRACE"
"""Environment variable that shows the traceback of such a failure."""


class Failure(click.ClickException):
    """A command cannot do what it was asked to do; `message` is one sentence with the remedy."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        # Often the word of a node or keeper: it must do nothing to a terminal.
        super().__init__(visible(_one_line(message)))
        self.exit_code = exit_code


def as_failure(error: Exception) -> click.ClickException:
    """Return the failure that tells of `error`.

    Errors of this project speak for themselves. Anything else is a fault in it, named by its type;
    it is raised again as it is if `WORKDEED_TRACE` is set.
    """
    if isinstance(error, _own_errors()):
        return Failure(str(error))
    if os.environ.get(TRACE):
        raise error
    text = f"unexpected {type(error).__name__}: {error}"
    return Failure(f"{text}; set {TRACE}=1 to see where", UNEXPECTED)


def _own_errors() -> tuple[type[Exception], ...]:
    # Imported late: a command that goes well pays nothing for it.
    from workdeed.chain.errors import ChainError
    from workdeed.intent.errors import SpecError
    from workdeed.keeper.errors import KeeperError
    from workdeed.node.errors import NodeError
    from workdeed.oracle.errors import OracleError
    from workdeed.placement.errors import PlacementError
    from workdeed.protocol.errors import ProtocolError
    from workdeed.sdk.errors import SdkError

    return (
        ChainError,
        SpecError,
        KeeperError,
        NodeError,
        OracleError,
        PlacementError,
        ProtocolError,
        SdkError,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
