"""Boxes of secrets: who can open them, and what of them is refused."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Any

import coincurve
import ecies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.protocol import sealing
from workdeed.protocol.errors import SignatureError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.sealing import (
    BOX_OVERHEAD,
    MAX_BOX_BYTES,
    MAX_SECRETS,
    Owner,
    SealingError,
    open_box,
    seal,
)
from workdeed.protocol.signing import public_key_of, to_checksum

KEY = keccak(b"test node")
PUBLIC = public_key_of(KEY)
OWNER = Owner(31337, to_checksum(b"\xee" * 20), to_checksum(b"\xaa" * 20))
VALUES = {"api-token": "s3cret-value", "db": "pass word\nof two lines"}


@given(
    st.dictionaries(
        st.text("abcdefgh-", min_size=1, max_size=63),
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
            min_size=1,
            max_size=200,
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_was_sealed_is_what_is_opened(values: dict[str, str]) -> None:
    assert open_box(KEY, seal(values, PUBLIC, OWNER), OWNER) == values


def test_two_boxes_of_the_same_values_differ() -> None:
    assert seal(VALUES, PUBLIC, OWNER) != seal(VALUES, PUBLIC, OWNER)


def test_no_value_is_readable_in_a_box() -> None:
    box = seal(VALUES, PUBLIC, OWNER)
    assert not any(value.encode() in box for value in (*VALUES, *VALUES.values()))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealingError, match="another key"):
        open_box(keccak(b"another node"), seal(VALUES, PUBLIC, OWNER), OWNER)


def test_a_box_that_changed_in_any_byte_opens_not_at_all() -> None:
    box = seal(VALUES, PUBLIC, OWNER)
    for place in range(len(box)):
        changed = bytearray(box)
        changed[place] ^= 1
        with pytest.raises(SealingError, match="another key, or changed"):
            open_box(KEY, bytes(changed), OWNER)


@pytest.mark.parametrize("cut", [0, 1, 33, 45, 60, BOX_OVERHEAD, -1])
def test_a_part_of_a_box_is_none(cut: int) -> None:
    with pytest.raises(SealingError):
        open_box(KEY, seal(VALUES, PUBLIC, OWNER)[:cut], OWNER)


def test_a_longer_box_is_none() -> None:
    box = seal(VALUES, PUBLIC, OWNER)
    with pytest.raises(SealingError, match="changed"):
        open_box(KEY, box + b"\0", OWNER)
    with pytest.raises(SealingError, match="are no box"):
        open_box(KEY, bytes(MAX_BOX_BYTES + 1), OWNER)


@pytest.mark.parametrize(
    "change",
    [
        {"payer": to_checksum(b"\xab" * 20)},
        {"escrow": to_checksum(b"\xef" * 20)},
        {"chain_id": 1},
    ],
)
def test_a_box_from_the_public_spec_of_another_is_refused(change: dict[str, Any]) -> None:
    """Anybody can copy it into a spec of his own, and let that print what was in it."""
    other = replace(OWNER, **change)
    with pytest.raises(SealingError, match=f"another {next(iter(change))}"):
        open_box(KEY, seal(VALUES, PUBLIC, OWNER), other)


def _made_by_hand(content: bytes) -> bytes:
    return ecies.encrypt(PUBLIC, content, sealing._config())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"@1", b"@2"),
        lambda text: text + b" ",
        lambda text: text.replace(b'{"api', b'{ "api'),
        lambda text: text.replace(b'"chain_id":31337,', b""),
        lambda text: text.replace(b"31337", b'"31337"'),
        lambda text: text.replace(b'"s3cret-value"', b"7"),
        lambda text: text.replace(b'"s3cret-value"', b'""'),
        lambda text: text.replace(b"{", b'{"more":1,', 1),
        lambda text: b"",
        lambda text: b"\xff",
        lambda text: b"[]",
    ],
)
def test_what_is_malformed_inside_is_refused_without_quoting_it(change: Any) -> None:
    owner = {"chain_id": 31337, "escrow": OWNER.escrow, "payer": OWNER.payer}
    whole = sealing.SealedContent(**owner, values=VALUES).canonical()
    assert open_box(KEY, _made_by_hand(whole), OWNER) == VALUES
    with pytest.raises(SealingError) as caught:
        open_box(KEY, _made_by_hand(change(whole)), OWNER)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "secrets"),
        ({f"n{index}": "x" for index in range(MAX_SECRETS + 1)}, "at most 64"),
        ({"a": ""}, r"secrets\.a: it is empty"),
        ({"a": "b\0c"}, r"secrets\.a: it holds a NUL"),
        ({"a": "x" * MAX_BOX_BYTES}, "fit a box"),
        ({"a": "\ud800"}, "no canonical JSON"),
        ({"a": 7}, r"secrets\.a: .*string"),
    ],
)
def test_what_no_box_can_hold_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(SealingError, match=reason):
        seal(values, PUBLIC, OWNER)


def test_the_longest_values_fit_exactly() -> None:
    rest = len(seal({"a": "x"}, PUBLIC, OWNER)) - 1
    box = seal({"a": "x" * (MAX_BOX_BYTES - rest)}, PUBLIC, OWNER)
    assert len(box) == MAX_BOX_BYTES
    assert open_box(KEY, box, OWNER)["a"].startswith("xxx")
    with pytest.raises(SealingError, match="shorten"):
        seal({"a": "x" * (MAX_BOX_BYTES - rest + 1)}, PUBLIC, OWNER)


@pytest.mark.parametrize("key", [b"", b"\x02" + b"\0" * 32, bytes(33), PUBLIC[:-1]])
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(SealingError, match="no point of secp256k1"):
        seal(VALUES, key, OWNER)


def test_a_private_key_that_is_none_is_refused() -> None:
    with pytest.raises(SignatureError):
        open_box(b"", seal(VALUES, PUBLIC, OWNER), OWNER)


def test_no_error_text_or_cause_holds_a_value() -> None:
    word = keccak(b"value").hex()
    for values in ({"a": word * MAX_BOX_BYTES}, {"a": word + "\0"}, {"a": word + "\ud800"}):
        with pytest.raises(SealingError) as caught:
            seal(values, PUBLIC, OWNER)
        assert word not in "".join(traceback.format_exception(caught.value))
        assert caught.value.__context__ is None


def test_settings_of_the_package_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    box = seal(VALUES, PUBLIC, OWNER)
    monkeypatch.setattr(ecies.ECIES_CONFIG, "symmetric_algorithm", "xchacha20")
    assert open_box(KEY, box, OWNER) == VALUES


def test_a_box_names_neither_its_node_nor_its_maker() -> None:
    box = seal(VALUES, PUBLIC, OWNER)
    assert coincurve.PublicKey(box[:33]).format() != PUBLIC
