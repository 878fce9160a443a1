"""What a person sees of the demo, on narrow terminals and in files."""

from __future__ import annotations

import io
from collections import defaultdict
from typing import cast

import pytest
from rich.console import Console

from scripts._demo.ledger import Account, Ledger
from scripts._demo.screen import LIVE_AMOUNTS, Screen, jobs_table

ADDRESS = "0x" + "aB" * 20
LONG = "job 3 is updated to revision 1, one replica at a time, while a client calls it" + " on" * 20


class Books:
    """Books with figures as wide as they get."""

    def __init__(self) -> None:
        job = Account(
            job_id=3,
            price=100_000,
            policy=1,
            fee_bps=2_000,
            slots=2,
            windows=10,
            deposited=1_234_567,
            funded_units=60_000,
            refunded=123_457,
            paid=786_664,
            state="cancelled",
        )
        job.units, job.payees = {5: 38_333}, {5: ADDRESS}
        job.earned = defaultdict(int, {5: 786_664})
        job.placed = [(5, (), (6, 5)), (9, (5,), (8,))]
        self.jobs = {3: job}
        self.pulled = {"oracles": 147_291, "burn": 294_583, "treasury": 147_292}
        self.token_in = self.token_out = self.handed_on = 0

    def total(self, name: str) -> int:
        return sum(int(getattr(job, name)) for job in self.jobs.values())


@pytest.fixture
def books() -> Ledger:
    return cast("Ledger", Books())


def console(width: int, *, terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), width=width, highlight=False, force_terminal=terminal, color_system=None
    )


def printed(one: Console) -> str:
    assert isinstance(one.file, io.StringIO)
    return one.file.getvalue()


def test_the_live_table_fits_80_columns_uncut(books: Ledger) -> None:
    narrow = console(80, terminal=True)
    narrow.print(jobs_table(books, {3: "image"}, "window 8", LIVE_AMOUNTS))
    text = printed(narrow)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in ("image", "cancelled", "unclaimed", "0.786664"):
        assert part in text


def test_the_closing_tables_shorten_nothing_but_addresses_at_80_columns(books: Ledger) -> None:
    narrow = console(80, terminal=True)
    Screen(narrow).close(books)
    text = printed(narrow)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert f"{ADDRESS[:8]}...{ADDRESS[-6:]}" in text
    assert "deposited" in text
    assert "1.234567" in text


def test_a_file_gets_whole_addresses(books: Ledger) -> None:
    file = console(120, terminal=False)
    Screen(file).close(books)
    assert ADDRESS in printed(file)
    assert "…" not in printed(file)


def test_on_a_terminal_a_long_line_goes_on_below_its_text() -> None:
    narrow = console(80, terminal=True)
    Screen(narrow).say(LONG)
    first, second, *_ = printed(narrow).splitlines()
    assert first.strip().startswith("0.0 s  job 3")
    assert second.startswith(" " * 10)
    assert second.strip()
    words = " ".join(printed(narrow).split()).removeprefix("0.0 s ")
    assert words == LONG


def test_in_a_file_a_line_is_one_line() -> None:
    file = console(80, terminal=False)
    Screen(file).say(LONG)
    assert printed(file) == f"   0.0 s  {LONG}\n"
