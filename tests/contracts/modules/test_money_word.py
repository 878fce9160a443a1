"""The money word."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("price", 96, int),
        ("funded", 56, int),
        ("claimed", 56, int),
        ("end", 32, int),
        ("policy", 8, int),
        ("kind", 2, int),
        ("cancelled", 1, bool),
        ("closed", 1, bool),
        ("completed", 1, bool),
    ),
)

HIGHEST = WORD.highest() | {"end": 2**32 - 2}
MONIES = WORD.values(end=2**32 - 2).filter(lambda values: values["claimed"] <= values["funded"])


@settings(deadline=None)
@given(values=MONIES)
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.money_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.money_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.money_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


def test_highest_values_fit(words: Contract) -> None:
    packed = words.money_pack(tuple(HIGHEST.values()))

    assert words.money_unpack(packed)._asdict() == HIGHEST


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("price", 2**96, "money: price too large"),
        ("funded", 2**56, "money: too many units"),
        ("funded", 2**56 - 2, "money: claimed above funded"),
        ("claimed", 2**56, "money: claimed above funded"),
        ("end", 2**32 - 1, "money: end too late"),
        ("policy", 2**8, "money: unknown policy"),
        ("kind", 2**2, "money: unknown kind"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, field: str, value: int, reason: str
) -> None:
    values = HIGHEST | {field: value}

    with evm.reverts(reason):
        words.money_pack(tuple(values.values()))


@settings(deadline=None)
@given(values=MONIES)
@example(values=HIGHEST)
def test_single_fields_read_as_the_whole_word_does(words: Contract, values: Values) -> None:
    packed = words.money_pack(tuple(values.values()))

    assert words.money_left(packed) == values["funded"] - values["claimed"]
    for name in ("end", "price", "funded", "claimed", "policy"):
        assert getattr(words, f"money_{name}")(packed) == values[name], name


@settings(deadline=None)
@given(values=MONIES, end=st.integers(0, 2**32 - 2))
def test_end_is_set_and_nothing_else(words: Contract, values: Values, end: int) -> None:
    packed = words.money_pack(tuple((values | {"end": 0}).values()))

    ended = words.money_unpack(words.money_with_end(packed, end))._asdict()

    assert ended == values | {"end": end}


def test_last_end_fits(words: Contract) -> None:
    assert words.money_end(words.money_with_end(0, 2**32 - 2)) == 2**32 - 2


@pytest.mark.parametrize("end", [2**32 - 1, 2**32, 2**256 - 1])
def test_end_that_does_not_fit_is_refused(words: Contract, end: int) -> None:
    with evm.reverts("money: end too late"):
        words.money_with_end(0, end)


@settings(deadline=None)
@given(values=MONIES, data=st.data())
def test_close_lowers_the_funded_units_and_nothing_else(
    words: Contract, values: Values, data: st.DataObject
) -> None:
    kept = data.draw(st.integers(values["claimed"], values["funded"]), "kept")

    packed = words.money_with_close(words.money_pack(tuple(values.values())), kept)

    changes = {"funded": kept, "closed": True}
    assert words.money_unpack(packed)._asdict() == values | changes
