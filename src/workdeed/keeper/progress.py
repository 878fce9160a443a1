"""Shows how far a keeper is while it reads a long chain: a bar on a terminal, else lines."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from workdeed.chain.follower import FollowerUpdate
from workdeed.keeper.logs import Log

LINE_SECONDS = 5.0
"""Time between two lines."""


class CatchUp:
    """Told of each page that is read; quiet where one page is all.

    Args:
        log: told `catching_up` with block, head and percent, where there is no terminal.
        start_block: the first block of the deployment.
        console: where a bar is drawn if it is a terminal; by default the standard error.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        log: Log,
        start_block: int,
        *,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._start = start_block
        self._console = console or Console(file=sys.stderr)
        self._now = now
        self._told_at = now()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            with suppress(OSError):  # the terminal may be gone
                self._bar.stop()

    def __call__(self, update: FollowerUpdate) -> None:
        """Take note of a page."""
        done = update.to_block - self._start + 1
        total = max(done, update.head.number - self._start + 1)
        if self._console.is_terminal:
            self._draw(done, total, update)
        elif not update.caught_up and self._now() - self._told_at >= LINE_SECONDS:
            self._told_at = self._now()
            percent = 100 * done // total
            self._log.info(
                "catching_up", block=update.to_block, head=update.head.number, percent=percent
            )

    def _draw(self, done: int, total: int, update: FollowerUpdate) -> None:
        if self._bar is None:
            if update.caught_up:
                return
            self._bar = Progress(
                TextColumn("reading the chain, block {task.fields[block]:,}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.add_task("", total=total, block=self._start)
            self._bar.start()
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=done, total=total, block=update.to_block)
