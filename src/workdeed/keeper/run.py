"""Runs a keeper until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from workdeed.chain.errors import ChainError
from workdeed.keeper.assembly import Base, Parts, assemble, open_base
from workdeed.keeper.dryrun import dry
from workdeed.keeper.errors import KeeperError
from workdeed.keeper.logs import get_log, setup_logs
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.settings import KeeperSettings
from workdeed.keeper.view import View
from workdeed.sdk.errors import SdkError

CANNOT_START = 2
"""Exit code of a keeper that could not start."""


class Keeper:
    """A whole keeper, opened and joined; `run` works until it is told to stop."""

    def __init__(self, base: Base, parts: Parts, stack: AsyncExitStack) -> None:
        self._base = base
        self._parts = parts
        self._stack = stack

    @classmethod
    async def open(cls, settings: KeeperSettings) -> "Keeper":
        """Open everything and read the chain up to its head.

        Raises:
            KeeperError, ChainError, SdkError: if it cannot start; one sentence each.

        """
        log = get_log()
        settings = dry(settings) if settings.dry_run else settings
        stack = AsyncExitStack()
        try:
            base = await open_base(settings, stack, log, Metrics())
            parts = await assemble(base, stack)
        except BaseException:
            await stack.aclose()
            raise
        return cls(base, parts, stack)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._parts.server.port

    @property
    def view(self) -> View | None:
        """The chain as it was last seen."""
        return self._parts.loop.view

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve and work until `stopping` is set, then finish what was signed and close."""
        oracle, heads, base = self._parts.oracle, self._parts.heads, self._base
        self._parts.server.begin(self._parts.app)
        # Not before: whoever waits for this line may send a signal from now on.
        base.log.info("keeper_opened", settings=base.settings.public(), port=self.port)
        if oracle is not None:
            oracle.service.start()
        listening = asyncio.create_task(heads.run()) if heads is not None else None
        try:
            await self._parts.loop.run(stopping)
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            await self.close()
        base.log.info("keeper_stopped")

    async def close(self) -> None:
        """Close everything."""
        await self._stack.aclose()


async def run(settings: KeeperSettings, on_ready: Callable[[Keeper], None] | None = None) -> None:
    """Run a keeper until SIGTERM or SIGINT.

    Args:
        settings: as `load_settings` gives them.
        on_ready: called once everything is open; the keeper listens.

    Raises:
        KeeperError, ChainError, SdkError: if it cannot start.

    """
    keeper = await Keeper.open(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        if on_ready is not None:
            on_ready(keeper)
        await keeper.run(stopping)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def main(settings: KeeperSettings) -> int:
    """Run a keeper; return the exit code: 0 after a stop, 2 if it could not start."""
    log = setup_logs(settings.log)
    try:
        asyncio.run(run(settings))
    except (KeeperError, ChainError, SdkError) as error:
        log.error("keeper_cannot_start", reason=str(error))
        return CANNOT_START
    return 0
