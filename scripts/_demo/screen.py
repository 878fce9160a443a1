"""What a person sees: lines as things happen, a live table on a terminal, tables at the end.

All of it fits a terminal of 80 columns; where there is none, lines are not broken.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from scripts._demo.ledger import POTS, Account, Ledger

DECIMALS = 6
AMOUNTS = ("deposited", "paid", "fees", "refunded", "unclaimed")
LIVE_AMOUNTS = ("paid", "unclaimed")
WHOLE_ADDRESS_COLUMNS = 90
"""From this width on, addresses are shown whole."""


def _width() -> int | None:
    """Return None on a terminal, which knows its own width; elsewhere no table is cut."""
    return None if sys.stdout.isatty() else 120


def money(amount: int) -> str:
    """Return base units as dollars."""
    return f"{amount / 10**DECIMALS:,.6f}".rstrip("0").rstrip(".")


class Screen:
    """Prints lines with the time since the start; on a terminal a table stays below them.

    Attributes:
        runs: what each job runs, in a word.

    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, width=_width())
        self.runs: dict[int, str] = {}
        self._start = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line; on a terminal what does not fit goes on below the text."""
        elapsed = f"{time.monotonic() - self._start:6.1f} s"
        if not self.console.is_terminal:
            self.console.print(f"{elapsed}  {text}", soft_wrap=True)
            return
        line = Table.grid(padding=(0, 2))
        line.add_column(no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(elapsed, text)
        self.console.print(line)

    def show(self, ledger: Ledger, window: int) -> None:
        """Renew the live table."""
        if self._live is not None:
            self._live.update(jobs_table(ledger, self.runs, f"window {window}", LIVE_AMOUNTS))

    def close(self, ledger: Ledger) -> None:
        """Print the closing tables."""
        self.console.print(jobs_table(ledger, self.runs, "the jobs"))
        self.console.print(money_table(ledger))
        whole = self.console.width >= WHOLE_ADDRESS_COLUMNS
        self.console.print(earnings_table(ledger, whole=whole))
        self.console.print(balance_table(ledger))


def jobs_table(
    ledger: Ledger, runs: dict[int, str], title: str, amounts: Sequence[str] = ()
) -> Table:
    """Return a row for each job, with some of its amounts."""
    table = Table(title=title)
    for name in ("job", "runs", "state", "slots", "windows", "licenses"):
        table.add_column(name)
    for name in amounts:
        table.add_column(name, justify="right")
    for job in ledger.jobs.values():
        table.add_row(
            str(job.job_id),
            runs.get(job.job_id, ""),
            job.state,
            str(job.slots),
            str(job.windows),
            licenses_of(job),
            *(money(getattr(job, name)) for name in amounts),
        )
    return table


def money_table(ledger: Ledger) -> Table:
    """Return all amounts of each job."""
    table = Table(title="where the money of each job is, in test dollars")
    table.add_column("job")
    for name in AMOUNTS:
        table.add_column(name, justify="right")
    for job in ledger.jobs.values():
        table.add_row(str(job.job_id), *(money(getattr(job, name)) for name in AMOUNTS))
    return table


def licenses_of(job: Account) -> str:
    """Return the licenses in the order of their placements: `5, 6 -> 7`."""
    return " -> ".join(
        ", ".join(map(str, assign)) if assign else f"without {', '.join(map(str, release))}"
        for _, release, assign in job.placed
    )


def earnings_table(ledger: Ledger, *, whole: bool) -> Table:
    """Return a row for each license of each job that earned, with the whole address or its ends."""
    table = Table(title="who earned what")
    for name in ("job", "license", "payout address"):
        table.add_column(name)
    for name in ("windows served", "earned"):
        table.add_column(name, justify="right")
    for job in ledger.jobs.values():
        for license_id, units in sorted(job.units.items()):
            table.add_row(
                str(job.job_id),
                str(license_id),
                job.payees[license_id] if whole else _short(job.payees[license_id]),
                f"{units / 10_000:.4f}",
                money(job.earned[license_id]),
            )
    return table


def _short(address: str) -> str:
    return f"{address[:8]}...{address[-6:]}"


def balance_table(ledger: Ledger) -> Table:
    """Return the balance of the books."""
    table = Table(title="the books", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name in AMOUNTS:
        table.add_row(name, money(ledger.total(name)))
    for name in POTS:
        table.add_row(f"of the fees: {name}", money(ledger.pulled[name]))
    held = ledger.total("fees") + ledger.total("unclaimed") - ledger.handed_on
    table.add_row("in the escrow", money(ledger.token_in - ledger.token_out))
    table.add_row("fees not handed on + unclaimed", money(held))
    return table
