"""The report word."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("window", 32, int),
        ("previous", 32, int),
        ("floor", 32, int),
        ("accepted_at", 40, int),
        ("slot", 1, int),
        ("vetoes", 8, int),
        ("seats", 8, int),
        ("epoch", 32, int),
        ("signers", 32, int),
    ),
)


LATEST, PREVIOUS = 2**32 - 1, 2**31 + 1
"""Windows that hold the highest and the lowest bit of their fields."""


@settings(deadline=None)
@given(values=WORD.values())
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.report_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.report_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.report_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


def test_highest_values_fit(words: Contract) -> None:
    values = WORD.highest()

    assert words.report_unpack(words.report_pack(tuple(values.values())))._asdict() == values


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("window", 2**32, "report: window too late"),
        ("previous", 2**32, "report: window too late"),
        ("floor", 2**32, "report: window too late"),
        ("accepted_at", 2**40, "report: time too late"),
        ("slot", 2, "report: slot"),
        ("vetoes", 2**8, "report: vetoes"),
        ("seats", 2**8, "report: seats"),
        ("epoch", 2**32, "report: epoch"),
        ("signers", 2**32, "report: signers"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, field: str, value: int, reason: str
) -> None:
    values = WORD.highest() | {field: value}

    with evm.reverts(reason):
        words.report_pack(tuple(values.values()))


@settings(deadline=None)
@given(values=WORD.values())
@example(values=WORD.highest())
def test_single_fields_read_as_the_whole_word_does(words: Contract, values: Values) -> None:
    packed = words.report_pack(tuple(values.values()))

    assert words.report_seats(packed) == values["seats"]
    assert words.report_epoch(packed) == values["epoch"]
    assert words.report_window(packed) == values["window"]


@pytest.mark.parametrize("now", [2 * 10**9, 2**40 - 1])
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize(
    ("age", "is_final"), [(0, False), (99, False), (100, True), (101, True), (10**9, True)]
)
def test_final_report_is_the_previous_one_while_the_challenge_runs(
    words: Contract, now: int, slot: int, age: int, is_final: bool
) -> None:
    evm.env.timestamp = now
    values = WORD.highest() | {
        "window": LATEST,
        "previous": PREVIOUS,
        "accepted_at": now - age,
        "slot": slot,
    }

    final = tuple(words.report_final(words.report_pack(tuple(values.values())), 100))

    assert final == ((LATEST, slot) if is_final else (PREVIOUS, 1 - slot))


def test_restored_report_is_final(words: Contract) -> None:
    values = WORD.highest() | {"window": 6, "previous": 6, "accepted_at": 0, "slot": 0}

    assert tuple(words.report_final(words.report_pack(tuple(values.values())), 100)) == (6, 0)
