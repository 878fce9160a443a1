"""Calls of the governor in words."""

from __future__ import annotations

import pytest
from governance_support import SUITE, TIMELOCK, address

from workdeed.chain.bindings.auction import AuctionTerms
from workdeed.chain.bindings.codec import Call
from workdeed.chain.bindings.registry import account_subject, license_subject
from workdeed.chain.bindings.timelock import TimelockCall
from workdeed.sdk.words import describe, utc

ACCOUNT = address(0x77)
assert SUITE.auction is not None
assert SUITE.sale is not None


def words(call: Call[object]) -> str:
    return describe(SUITE, TimelockCall(call.to, 0, call.data))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            SUITE.registry.suspend(license_subject(5), 1_800_000_000, 3, bytes(32)),
            "TrustRegistry.suspend(subject license 5, until 2027-01-15T08:00:00Z, reason 3, "
            "evidence_hash none)",
        ),
        (
            SUITE.registry.blacklist(account_subject(ACCOUNT), 3, b"\x01" * 32),
            f"TrustRegistry.blacklist(subject {ACCOUNT}, reason 3, evidence_hash 0x{'01' * 32})",
        ),
        (
            SUITE.registry.set_issuer(SUITE.sale.address, False),
            f"TrustRegistry.set_issuer(issuer {SUITE.sale.address} (LicenseSale), active false)",
        ),
        (
            SUITE.auction.set_terms(AuctionTerms(4, 3, 2, 1)),
            "BurnAuction.set_terms(terms (start_rate 4, floor_rate 3, duration 2, min_lot 1))",
        ),
        (
            TIMELOCK.grant_role("canceller", ACCOUNT),
            f"Timelock.grantRole(role canceller, account {ACCOUNT})",
        ),
    ],
)
def test_a_call_in_words(call: Call[object], text: str) -> None:
    assert words(call) == text


def test_what_is_no_call_of_ours_is_shown_as_it_is() -> None:
    assert describe(SUITE, TimelockCall(ACCOUNT, 5, b"\x01\x02")) == f"{ACCOUNT}: 0x0102 with 5 wei"
    registry = SUITE.registry.address
    unknown = describe(SUITE, TimelockCall(registry, 0, b"\x01\x02\x03\x04"))
    assert unknown == "TrustRegistry: 0x01020304"
    # A function of ours with arguments that do not fit: nothing is guessed.
    short = SUITE.registry.set_guardian(ACCOUNT).data[:-1]
    assert describe(SUITE, TimelockCall(registry, 0, short)) == f"TrustRegistry: 0x{short.hex()}"


def test_times() -> None:
    assert utc(0) == "1970-01-01T00:00:00Z"
    assert utc(2**64 - 1) == str(2**64 - 1)
