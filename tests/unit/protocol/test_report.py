import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from workdeed.protocol import report
from workdeed.protocol.canonical import canonical_hash
from workdeed.protocol.errors import MerkleError, ReportError, SignatureError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import EMPTY_ROOT, leaf_hash, verify
from workdeed.protocol.report import (
    LEAF_BYTES,
    Leaf,
    OpenPair,
    ReportHeader,
    data_hash,
    decode_leaves,
    encode_leaves,
    report_tree,
)
from workdeed.protocol.signing import to_checksum

ADDRESS = st.binary(min_size=20, max_size=20).map(to_checksum)
UINT64 = st.integers(0, 2**64 - 1)
LEAF = st.builds(Leaf, ADDRESS, UINT64, UINT64, st.integers(1, 2**64 - 1))
LEAVES = st.lists(LEAF, unique_by=lambda leaf: leaf.key[:3], max_size=30)


def header(**changes: object) -> ReportHeader:
    fields: dict[str, object] = {
        "window": 7,
        "turn": 1,
        "base_window": 5,
        "base_root": keccak(b"base"),
        "snapshot_hash": keccak(b"snapshot"),
        "observations": (keccak(b"one"), keccak(b"one"), keccak(b"two")),
        "open": (),
        "leaves_hash": keccak(b""),
    }
    return ReportHeader.model_validate(fields | changes)


@given(LEAVES)
def test_leaves_survive_the_round_trip_in_order(leaves: list[Leaf]) -> None:
    data = encode_leaves(leaves)
    assert len(data) == LEAF_BYTES * len(leaves)
    assert decode_leaves(data) == sorted(leaves)
    assert encode_leaves(reversed(leaves)) == data


def test_a_leaf_is_laid_out_as_documented(escrow: str) -> None:
    data = encode_leaves([Leaf(escrow, 1, 2, 3)])
    assert data.hex() == escrow[2:].lower() + f"{1:016x}{2:016x}{3:016x}"


def test_only_a_job_leaf_may_have_no_units(escrow: str) -> None:
    """A job that nobody served is closed with the total 0, and that needs a leaf."""
    unserved = [Leaf(escrow, 1, 0, 0)]
    assert decode_leaves(encode_leaves(unserved)) == unserved
    with pytest.raises(ReportError, match="no units"):
        encode_leaves([Leaf(escrow, 1, 1, 0)])
    with pytest.raises(ReportError, match="no units"):
        decode_leaves(bytes.fromhex(escrow[2:]) + struct.pack(">QQQ", 1, 1, 0))


@given(LEAF, st.integers(1, 2**64 - 1))
def test_a_leaf_stands_once(leaf: Leaf, units: int) -> None:
    with pytest.raises(ReportError, match="ascend strictly"):
        encode_leaves([leaf, leaf._replace(units=units)])


@given(LEAVES.filter(lambda leaves: len(leaves) > 1), st.data())
def test_unsorted_data_is_refused(leaves: list[Leaf], data: st.DataObject) -> None:
    order = data.draw(st.permutations(sorted(leaves)))
    raw = b"".join(encode_leaves([leaf]) for leaf in order)
    if order == sorted(leaves):
        assert decode_leaves(raw) == order
    else:
        with pytest.raises(ReportError, match="ascend strictly"):
            decode_leaves(raw)


@given(LEAVES, st.integers(1, LEAF_BYTES - 1))
def test_a_torn_leaf_is_refused(leaves: list[Leaf], cut: int) -> None:
    with pytest.raises(ReportError, match="no whole number"):
        decode_leaves(encode_leaves(leaves) + bytes(cut))


@settings(max_examples=300)
@given(st.binary(max_size=4 * LEAF_BYTES))
def test_what_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        leaves = decode_leaves(data)
    except ReportError:
        return
    assert encode_leaves(leaves) == data


@pytest.mark.parametrize("numbers", [(2**64, 1, 1), (1, 2**64, 1), (1, 1, 2**64), (-1, 1, 1)])
def test_numbers_must_fit(escrow: str, numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ReportError, match="uint64"):
        encode_leaves([Leaf(escrow, *numbers)])


def test_a_leaf_names_an_escrow() -> None:
    with pytest.raises(SignatureError):
        encode_leaves([Leaf("0x12", 1, 1, 1)])


def test_leaves_are_bounded(escrow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_LEAVES", 2)
    leaves = [Leaf(escrow, job, 1, 1) for job in range(3)]
    data = b"".join(encode_leaves([leaf]) for leaf in leaves)
    assert len(decode_leaves(data[: 2 * LEAF_BYTES])) == 2
    for call in (lambda: decode_leaves(data), lambda: encode_leaves(leaves)):
        with pytest.raises(ReportError, match="more than 2"):
            call()


@given(LEAVES)
def test_the_tree_proves_every_leaf(leaves: list[Leaf]) -> None:
    tree = report_tree(leaves)
    assert (tree.root == EMPTY_ROOT) == (not leaves)
    for leaf in leaves:
        node = leaf_hash(*leaf)
        assert verify(tree.root, node, tree.proof(node))


def test_the_tree_refuses_a_repeated_leaf(escrow: str) -> None:
    with pytest.raises(MerkleError, match="twice"):
        report_tree([Leaf(escrow, 1, 1, 1)] * 2)


def test_the_data_hash_is_that_of_the_canonical_header(escrow: str) -> None:
    pair = OpenPair(6, escrow, 3, 4)
    expected = {
        "schema": "workdeed/report-header@1",
        "window": 7,
        "turn": 1,
        "base_window": 5,
        "base_root": "0x" + keccak(b"base").hex(),
        "snapshot_hash": "0x" + keccak(b"snapshot").hex(),
        "observations": ["0x" + keccak(text).hex() for text in (b"one", b"one", b"two")],
        "open": [[6, escrow, 3, 4]],
        "leaves_hash": "0x" + keccak(b"").hex(),
    }
    assert data_hash(header(open=(pair,))) == canonical_hash(expected)


def test_a_header_survives_the_wire(escrow: str) -> None:
    sent = header(open=(OpenPair(6, escrow, 3, 4), OpenPair(7, escrow, 1, 1)))
    received = ReportHeader.parse(sent.to_json())
    assert received == sent
    assert isinstance(received.open[0], OpenPair)
    assert data_hash(received) == data_hash(sent)


def test_open_pairs_are_ordered_by_window_first(escrow: str) -> None:
    other = to_checksum(b"\xff" * 20)
    pairs = [OpenPair(5, other, 9, 9), OpenPair(6, escrow, 1, 1), OpenPair(6, escrow, 1, 2)]
    assert sorted([pairs[2], pairs[1], pairs[0]]) == pairs
    assert header(open=pairs).open == tuple(pairs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_window": 7}, "base_window must lie before window"),
        ({"base_window": 0}, "base_root must be zero"),
        ({"window": 0}, "greater than or equal to 1"),
        ({"turn": -1}, "greater than or equal to 0"),
        ({"turn": True}, "valid integer"),
        ({"turn": 1.0}, "valid integer"),
        ({"snapshot_hash": b"short"}, "32 bytes"),
        ({"snapshot_hash": "0x" + "AB" * 32}, "lower-case hex"),
        ({"extra": 1}, "not permitted"),
        ({"schema": "workdeed/report-header@2"}, "workdeed/report-header@1"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        header(**changes)


def test_open_pairs_must_ascend_and_not_lie_ahead(escrow: str) -> None:
    first, second = OpenPair(6, escrow, 1, 1), OpenPair(6, escrow, 1, 2)
    for pairs in ((second, first), (first, first)):
        with pytest.raises(ValidationError, match="open must ascend strictly"):
            header(open=pairs)
    with pytest.raises(ValidationError, match="after the report's own"):
        header(open=(first, OpenPair(8, escrow, 1, 1)))
    with pytest.raises(ValidationError):
        header(open=((6, escrow.lower(), 1, 1),))
    with pytest.raises(ValidationError):
        header(open=((6, escrow, 1, 0),))


def test_a_header_without_a_base_is_the_first() -> None:
    assert header(base_window=0, base_root=EMPTY_ROOT).base_window == 0
    assert header(base_window=5, base_root=EMPTY_ROOT).base_root == EMPTY_ROOT
