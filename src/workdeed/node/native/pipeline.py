"""The base class of native plugins.

Each configured instance is one object of the class in a process of its own, on one asyncio loop:
methods never run in parallel, so nothing needs a lock. What blocks the loop makes the instance look
hung, and it is ended; hand such work to `asyncio.to_thread`.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Config = Mapping[str, Any]
"""The configuration of one instance, as JSON gives it."""

Json = None | bool | int | float | str | list[Any] | dict[str, Any]
"""A value that JSON can hold; NaN and infinities are none."""


class Refusal(Exception):  # noqa: N818 - for authors it is an answer more than an error
    """A configuration or a command is not taken; the instance goes on as before.

    Its text goes to whoever asked: one sentence that names the field and the remedy.
    """


@dataclass(frozen=True, slots=True)
class Context:
    """What an instance is given.

    Attributes:
        name: of the instance.
        directory: a folder of its own, which stays until the revision of the job is gone. What is
            to outlive that belongs into a named volume.
        log: writes to the log of the service, with the instance's name.

    """

    name: str
    directory: Path
    log: logging.Logger


class Pipeline:
    """One instance of a plugin. Override what is needed; each method does something sensible.

    The order is `start`, then `run` beside any number of `configure`, `command` and `health`, then
    `stop`. `configure` and `command` are called one at a time, `health` at any time.
    """

    def __init__(self, context: Context) -> None:
        """Keep `context`; do the work in `start`, whose errors are told better."""
        self.context = context

    async def start(self, config: Config) -> None:
        """Take the configuration and get going; return when commands can be taken.

        Raises:
            Refusal: if `config` is wrong. The instance counts as ill and is tried again later.

        """

    async def run(self) -> None:
        """Do the work; it is cancelled before `stop`.

        To return or raise ends the instance, which is then started anew. Without a body of its own
        the instance waits for commands.
        """
        await asyncio.Event().wait()

    async def configure(self, config: Config) -> None:
        """Take another configuration while running.

        Raises:
            Refusal: if it is wrong; the one before must still be in force then.

        """
        del config
        raise Refusal("config: it can't be changed while it runs; revise the job")

    async def command(self, name: str, arguments: Config) -> Json:
        """Do the command `name` and return what the asker is to get.

        A command that takes long should only begin the work: it is cancelled after some seconds.

        Raises:
            Refusal: if there is no such command, or its arguments are wrong.

        """
        del arguments
        raise Refusal(f"command: there is no {name[:64]}; see the plugin's documentation")

    async def health(self) -> str:
        """Return "" when well, else one sentence that says what is the matter."""
        return ""

    async def stop(self) -> None:
        """Give back what `start` took; a few seconds are left for it."""
