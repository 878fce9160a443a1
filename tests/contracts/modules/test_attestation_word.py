"""The attestation word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("issuer", 160, str),
        ("level", 8, int),
        ("expires_at", 64, int),
    ),
)


@settings(deadline=None)
@given(values=WORD.values())
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.attestation_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.attestation_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.attestation_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


def test_highest_values_fit(words: Contract) -> None:
    values = WORD.highest()

    assert (
        words.attestation_unpack(words.attestation_pack(tuple(values.values())))._asdict() == values
    )


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("level", 2**8, "attestation: level too high"),
        ("expires_at", 2**64, "attestation: expiry too late"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, field: str, value: int, reason: str
) -> None:
    values = WORD.highest() | {field: value}

    with evm.reverts(reason):
        words.attestation_pack(tuple(values.values()))
