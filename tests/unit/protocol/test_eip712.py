"""Digests against eth_account's encoder, which shares no code with ours."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from workdeed.protocol.eip712 import (
    COMMITTEE_DOMAIN,
    DESK_DOMAIN,
    ENVELOPE_TYPE,
    ESCROW_DOMAIN,
    LICENSE_DOMAIN,
    LINK_NODE_TYPE,
    OBSERVATION_TYPE,
    PLACEMENT_TYPE,
    REPORT_TYPE,
    RESULT_TYPE,
    Domain,
    envelope_digest,
    link_node_digest,
    observation_digest,
    placement_digest,
    report_digest,
    result_digest,
)
from workdeed.protocol.errors import EncodingError, SignatureError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum

UINT = st.integers(0, 2**256 - 1)
UINTS = st.lists(UINT, max_size=8)
WORD = st.binary(min_size=32, max_size=32)
ADDRESS = st.binary(min_size=20, max_size=20).map(to_checksum)
CONTRACT = to_checksum(keccak(b"contract")[12:])


def fields_of(type_text: str) -> list[dict[str, str]]:
    """Read `Name(type name,...)` into the list that eth_account takes."""
    inside = type_text[type_text.index("(") + 1 : -1]
    return [dict(zip(("type", "name"), part.split(" "), strict=True)) for part in inside.split(",")]


def independent_digest(domain: Domain, type_text: str, values: list[Any]) -> bytes:
    fields = fields_of(type_text)
    signable = encode_typed_data(
        domain_data={
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        message_types={type_text[: type_text.index("(")]: fields},
        message_data={field["name"]: value for field, value in zip(fields, values, strict=True)},
    )
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


CASES: list[tuple[str, str, Callable[..., bytes], list[st.SearchStrategy[Any]]]] = [
    (LICENSE_DOMAIN, LINK_NODE_TYPE, link_node_digest, [UINT, ADDRESS, ADDRESS, UINT, UINT]),
    (ESCROW_DOMAIN, PLACEMENT_TYPE, placement_digest, [UINT] * 4 + [UINTS, UINTS, UINT]),
    (COMMITTEE_DOMAIN, REPORT_TYPE, report_digest, [UINT, UINT, WORD, WORD, UINT]),
    (DESK_DOMAIN, RESULT_TYPE, result_digest, [UINT, WORD, UINT]),
    (COMMITTEE_DOMAIN, OBSERVATION_TYPE, observation_digest, [UINT, UINT] + [WORD] * 4),
    (COMMITTEE_DOMAIN, ENVELOPE_TYPE, envelope_digest, [st.text(max_size=40), WORD]),
]
NAMES = [case[2].__name__ for case in CASES]


@pytest.mark.parametrize(("name", "type_text", "digest", "strategies"), CASES, ids=NAMES)
@settings(deadline=None)
@given(data=st.data())
def test_a_digest_agrees_with_eth_account(
    name: str,
    type_text: str,
    digest: Callable[..., bytes],
    strategies: list[st.SearchStrategy[Any]],
    data: st.DataObject,
) -> None:
    domain = Domain(name, data.draw(UINT), data.draw(ADDRESS))
    values = [data.draw(strategy) for strategy in strategies]
    assert digest(domain, *values) == independent_digest(domain, type_text, values)


@given(UINT, UINT, ADDRESS, ADDRESS)
def test_a_digest_is_bound_to_chain_and_contract(
    chain: int, other_chain: int, contract: str, other: str
) -> None:
    here = Domain(COMMITTEE_DOMAIN, chain, contract)
    there = Domain(COMMITTEE_DOMAIN, other_chain, other)
    same = (chain, contract) == (other_chain, other)
    digests = [report_digest(one, 1, 0, bytes(32), bytes(32), 1) for one in (here, there)]
    assert (digests[0] == digests[1]) == same


def test_arrays_are_not_interchangeable() -> None:
    domain = Domain(ESCROW_DOMAIN, 1, CONTRACT)
    moved = [([1, 2], []), ([], [1, 2]), ([1], [2]), ([2], [1])]
    digests = {placement_digest(domain, 1, 0, 1, 0, *lists, 1) for lists in moved}
    assert len(digests) == len(moved)


def test_a_message_is_signed_in_the_domain_of_its_contract() -> None:
    with pytest.raises(EncodingError, match="signed in JobDesk, not in OracleCommittee"):
        result_digest(Domain(COMMITTEE_DOMAIN, 1, CONTRACT), 1, bytes(32), 1)
    with pytest.raises(EncodingError, match="signed in OracleCommittee, not in JobEscrow"):
        envelope_digest(Domain(ESCROW_DOMAIN, 1, CONTRACT), "schema", bytes(32))


@pytest.mark.parametrize("value", [-1, 2**256])
def test_numbers_must_fit_a_word(value: int) -> None:
    domain = Domain(ESCROW_DOMAIN, 1, CONTRACT)
    with pytest.raises(EncodingError, match="job_id"):
        result_digest(Domain(DESK_DOMAIN, 1, CONTRACT), value, bytes(32), 1)
    with pytest.raises(EncodingError, match="assign"):
        placement_digest(domain, 1, 0, 1, 0, [], [value], 1)
    with pytest.raises(EncodingError, match="chain_id"):
        result_digest(Domain(DESK_DOMAIN, value, CONTRACT), 1, bytes(32), 1)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_hashes_must_have_32_bytes(size: int) -> None:
    with pytest.raises(EncodingError, match="result_hash"):
        result_digest(Domain(DESK_DOMAIN, 1, CONTRACT), 1, bytes(size), 1)


def test_addresses_must_be_addresses() -> None:
    with pytest.raises(SignatureError, match="address"):
        result_digest(Domain(DESK_DOMAIN, 1, "0x12"), 1, bytes(32), 1)
