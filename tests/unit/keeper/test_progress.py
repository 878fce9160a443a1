"""What a person sees while a keeper reads a long chain."""

from __future__ import annotations

import io

from rich.console import Console

from workdeed.chain.follower import FollowerUpdate
from workdeed.chain.rpc import Head
from workdeed.keeper.logs import get_log
from workdeed.keeper.progress import LINE_SECONDS, CatchUp

START, HEAD = 1_000, 1_999


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def page(to_block: int) -> FollowerUpdate:
    head = Head(HEAD, bytes(32), 0)
    caught_up = to_block == HEAD
    return FollowerUpdate(head, to_block - 9, to_block, (), None, 0, caught_up)


def test_lines_where_there_is_no_terminal(log_lines: list[dict[str, object]]) -> None:
    clock = Clock()
    with CatchUp(get_log(), START, console=Console(file=io.StringIO()), now=clock) as on_page:
        on_page(page(1_099))
        assert log_lines == []  # a start within seconds says nothing
        clock.now += LINE_SECONDS
        on_page(page(1_499))
        on_page(page(1_599))
        clock.now += LINE_SECONDS
        on_page(page(HEAD))
    assert [(line["event"], line["block"], line["percent"]) for line in log_lines] == [
        ("catching_up", 1_499, 50)
    ]


def test_a_bar_on_a_terminal(log_lines: list[dict[str, object]]) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with CatchUp(get_log(), START, console=console) as on_page:
        on_page(page(1_499))
        on_page(page(HEAD))
    assert "reading the chain, block 1,999" in out.getvalue()
    assert "100%" in out.getvalue()
    assert log_lines == []


def test_one_page_is_quiet() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with CatchUp(get_log(), START, console=console) as on_page:
        on_page(page(HEAD))
    assert out.getvalue() == ""
