"""The ledger word."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import Fields, Values

WORD = Fields(
    (
        ("oracle_bps", 14, int),
        ("burn_bps", 14, int),
        ("treasury_bps", 14, int),
        ("payer_level", 6, int),
        ("payer_standing", 1, bool),
        ("payer_oracle", 1, bool),
        ("fees", 102, int),
        ("liabilities", 103, int),
    ),
)

SHARES = ("oracle_bps", "burn_bps", "treasury_bps")
HIGHEST = WORD.highest() | {"oracle_bps": 10_000, "burn_bps": 0, "treasury_bps": 0}
LEDGERS = WORD.values(oracle_bps=3_000, burn_bps=3_000, treasury_bps=4_000)


@settings(deadline=None)
@given(values=LEDGERS)
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.ledger_pack(tuple(values.values()))

    assert words.ledger_unpack(packed)._asdict() == values


@pytest.mark.parametrize("share", SHARES)
def test_highest_values_fit(words: Contract, share: str) -> None:
    values = HIGHEST | dict.fromkeys(SHARES, 0) | {share: 10_000}

    packed = words.ledger_pack(tuple(values.values()))

    assert words.ledger_unpack(packed)._asdict() == values
    assert words.ledger_fee_bps(packed) == 10_000


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("oracle_bps", 10_001, "ledger: shares above 100%"),
        ("burn_bps", 1, "ledger: shares above 100%"),
        ("treasury_bps", 1, "ledger: shares above 100%"),
        ("payer_level", 2**6, "ledger: level too high"),
        ("fees", 2**102, "ledger: fees too large"),
        ("liabilities", 2**103, "ledger: deposits too large"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, field: str, value: int, reason: str
) -> None:
    values = HIGHEST | {field: value}

    with evm.reverts(reason):
        words.ledger_pack(tuple(values.values()))


@settings(deadline=None)
@given(values=LEDGERS)
def test_fee_share_is_the_sum_of_the_three_shares(words: Contract, values: Values) -> None:
    shares = values["oracle_bps"] + values["burn_bps"] + values["treasury_bps"]

    assert words.ledger_fee_bps(words.ledger_pack(tuple(values.values()))) == shares


@settings(deadline=None)
@given(values=LEDGERS)
@example(values=HIGHEST)
def test_single_fields_read_as_the_whole_word_does(words: Contract, values: Values) -> None:
    packed = words.ledger_pack(tuple(values.values()))

    gate = (values["payer_level"], values["payer_standing"], values["payer_oracle"])
    assert tuple(words.ledger_gate(packed)) == gate
    assert words.ledger_fees(packed) == values["fees"]
    assert words.ledger_liabilities(packed) == values["liabilities"]


@settings(deadline=None)
@given(values=LEDGERS)
def test_fresh_is_a_ledger_with_empty_books(words: Contract, values: Values) -> None:
    packed = words.ledger_pack(tuple(values.values()))
    empty = words.ledger_pack(tuple((values | {"fees": 0, "liabilities": 0}).values()))

    assert words.ledger_is_fresh(packed) == (values["fees"] == values["liabilities"] == 0)
    assert words.ledger_is_fresh(empty)
    assert not words.ledger_is_fresh(empty - 1), "a ledger in use has its lowest bit set"


@pytest.mark.parametrize("field", ["fees", "liabilities"])
def test_ledger_of_a_single_base_unit_is_not_fresh(words: Contract, field: str) -> None:
    values = HIGHEST | {"fees": 0, "liabilities": 0, field: 1}

    assert not words.ledger_is_fresh(words.ledger_pack(tuple(values.values())))


def test_no_ledger_is_not_fresh(words: Contract) -> None:
    assert not words.ledger_is_fresh(0)


@settings(deadline=None)
@given(values=LEDGERS, data=st.data())
def test_claim_moves_the_fee_into_the_fees_and_the_amount_out_of_the_liabilities(
    words: Contract, values: Values, data: st.DataObject
) -> None:
    amount = data.draw(st.integers(0, values["liabilities"]), "amount")
    fee = data.draw(st.integers(0, 2**102 - 1 - values["fees"]), "fee")

    booked = words.ledger_unpack(
        words.ledger_with_claim(words.ledger_pack(tuple(values.values())), amount, fee)
    )._asdict()

    changes = {"fees": values["fees"] + fee, "liabilities": values["liabilities"] - amount}
    assert booked == values | changes


def test_claim_of_more_than_is_owed_is_refused(words: Contract) -> None:
    packed = words.ledger_pack(tuple((HIGHEST | {"liabilities": 9}).values()))

    with evm.reverts("ledger: more than is owed"):
        words.ledger_with_claim(packed, 10, 0)


@pytest.mark.parametrize("room", [0, 1, 4])
def test_count_of_fees_stops_at_its_bound_instead_of_refusing_a_claim(
    words: Contract, room: int
) -> None:
    packed = words.ledger_pack(tuple((HIGHEST | {"fees": HIGHEST["fees"] - room}).values()))

    booked = words.ledger_unpack(words.ledger_with_claim(packed, 7, 5))._asdict()

    assert booked == HIGHEST | {"liabilities": HIGHEST["liabilities"] - 7}


def test_fees_that_do_not_fit_are_not_packed(words: Contract) -> None:
    with evm.reverts("ledger: fees too large"):
        words.ledger_pack(tuple((HIGHEST | {"fees": 2**102}).values()))


@settings(deadline=None)
@given(values=LEDGERS, data=st.data())
def test_deposit_and_refund_change_the_liabilities_alone(
    words: Contract, values: Values, data: st.DataObject
) -> None:
    owed = values["liabilities"]
    added = data.draw(st.integers(0, 2**103 - 1 - owed), "added")
    removed = data.draw(st.integers(0, owed + added), "removed")

    packed = words.ledger_with_liabilities(
        words.ledger_pack(tuple(values.values())), added, removed
    )

    expected = values | {"liabilities": owed + added - removed}
    assert packed == words.ledger_pack(tuple(expected.values()))


def test_refund_leaves_the_highest_fees_and_shares_as_they_are(words: Contract) -> None:
    packed = words.ledger_with_liabilities(words.ledger_pack(tuple(HIGHEST.values())), 0, 7)

    expected = HIGHEST | {"liabilities": HIGHEST["liabilities"] - 7}
    assert packed == words.ledger_pack(tuple(expected.values()))


def test_deposit_that_does_not_fit_is_refused(words: Contract) -> None:
    with evm.reverts("ledger: deposits too large"):
        words.ledger_with_liabilities(words.ledger_pack(tuple(HIGHEST.values())), 1, 0)


def test_refund_of_more_than_is_owed_is_refused(words: Contract) -> None:
    with evm.reverts():
        words.ledger_with_liabilities(
            words.ledger_pack(tuple((HIGHEST | {"liabilities": 9}).values())), 0, 10
        )
