"""History: the books at any block are those of a fresh replay up to it."""

import pytest
from chain_support import SUITE, logged
from event_support import histories
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings.codec import LoggedEvent
from workdeed.chain.bindings.tariff import ClassSet
from workdeed.chain.books import Books, BooksError
from workdeed.chain.history import CACHED_BOOKS, History

ESCROW = SUITE.escrow.address


def replay(events: list[LoggedEvent], block: int) -> Books:
    books = Books(ESCROW)
    for event in events:
        if event.block <= block:
            books.apply(event)
    return books


def price(block: int, value: int, log_index: int = 0) -> LoggedEvent:
    return logged(ClassSet(1, value, 1, 1, 1, False), block, log_index)


@given(events=histories(), data=st.data())
def test_books_at_a_block_are_those_of_a_replay(
    events: list[LoggedEvent], data: st.DataObject
) -> None:
    """However the events arrive, are cut back and arrive again, and whatever was asked before."""
    history = History(ESCROW)
    last = events[-1].block + 2 if events else 2
    while history.block < last:
        act = data.draw(st.sampled_from(("extend", "extend", "ask", "rewind")))
        if act == "extend":
            to_block = data.draw(st.integers(history.block + 1, last))
            new = [event for event in events if history.block < event.block <= to_block]
            history.extend(new, to_block)
        elif act == "rewind":
            history.rewind(data.draw(st.integers(-1, history.block)))
        else:
            block = data.draw(st.integers(-1, history.block))
            assert history.at(block) == replay(events, block)
    for block in data.draw(st.lists(st.integers(-1, last), max_size=12)):
        assert history.at(block) == replay(events, block)
    assert history.tip == replay(events, last)


@given(events=histories(), data=st.data())
def test_dropped_events_leave_the_later_books_as_they_are(
    events: list[LoggedEvent], data: st.DataObject
) -> None:
    history = History(ESCROW)
    last = events[-1].block if events else 0
    history.extend(events, last)
    cut = data.draw(st.integers(0, last))
    history.drop_before(cut)
    assert history.floor == cut
    for block in range(cut, last + 1):
        assert history.at(block) == replay(events, block)
    if cut > 0:
        with pytest.raises(BooksError, match="dropped"):
            history.at(cut - 1)
        with pytest.raises(BooksError, match="dropped"):
            history.rewind(cut - 1)


def test_a_block_that_was_not_read_has_no_books() -> None:
    history = History(ESCROW, start_block=10)
    assert history.block == 9
    with pytest.raises(BooksError, match="not read yet"):
        history.at(10)
    history.extend([], 12)
    assert history.at(12) == Books(ESCROW)
    with pytest.raises(BooksError, match="dropped"):
        history.at(8)


@pytest.mark.parametrize(
    "events",
    [
        [price(3, 1)],
        [price(6, 1)],
        [price(5, 1, 1), price(5, 2, 0)],
        [price(5, 1, 1), price(5, 2, 1)],
        [price(5, 1), price(4, 2)],
    ],
)
def test_events_out_of_place_are_refused_as_a_whole(events: list[LoggedEvent]) -> None:
    history = History(ESCROW)
    history.extend([price(2, 7)], 3)
    with pytest.raises(BooksError, match="out of place"):
        history.extend(events, 5)
    assert history.block == 3
    assert history.tip.classes[1].price == 7


def test_reading_backwards_needs_a_rewind() -> None:
    history = History(ESCROW)
    history.extend([], 5)
    with pytest.raises(BooksError, match="rewind"):
        history.extend([], 4)


def test_after_a_rewind_another_fork_counts() -> None:
    history = History(ESCROW)
    history.extend([price(2, 7), price(4, 8)], 5)
    assert history.tip.classes[1].price == 8
    history.rewind(3)
    history.extend([price(4, 9)], 5)
    assert history.tip.classes[1].price == 9
    assert [event.block for event in history.events(3, 5)] == [4]


def test_events_cost_one_application_while_the_chain_is_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    applied: list[int] = []
    original = Books.apply

    def count(self: Books, event: LoggedEvent) -> None:
        applied.append(event.block)
        original(self, event)

    monkeypatch.setattr(Books, "apply", count)
    history = History(ESCROW)
    blocks = 5 * CACHED_BOOKS
    for block in range(blocks):
        history.extend([price(block, block + 1)], block)
        assert history.tip.classes[1].price == block + 1
        assert history.tip.classes[1].price == block + 1
    assert applied == list(range(blocks))
