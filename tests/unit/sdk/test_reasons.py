"""Reasons in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workdeed.sdk.reasons import REASONS, in_words

CONTRACTS = Path(__file__).resolve().parents[3] / "contracts"
LIBRARY = {"erc20", "erc721", "ownable", "access_control", "timelock_controller"}


def reasons_in_contracts() -> set[str]:
    found: set[str] = set()
    for path in CONTRACTS.rglob("*.vy"):
        found |= set(re.findall(r'"([a-z0-9_]+: [^"]+)"', path.read_text()))
    return found


def test_every_reason_stands_in_a_contract() -> None:
    own = {reason for reason in REASONS if reason.partition(":")[0] not in LIBRARY}
    assert own - reasons_in_contracts() == set()


@pytest.mark.parametrize(
    "area", ["escrow", "desk", "license", "sale", "trust", "auction", "timelock"]
)
def test_what_users_meet_is_explained(area: str) -> None:
    """Left out is what only oracles, the deployer and role holders' other contracts can cause."""
    internal = {
        "escrow: empty placement",
        "escrow: wrong round",
        "escrow: wrong window",
        "escrow: wrong revision",
        "escrow: too few licenses",
        "escrow: too many licenses",
        "escrow: already placed",
        "escrow: release not reported",
        "escrow: license not eligible",
        "escrow: cancelled",
        "escrow: completed",
        "escrow: job over",
        "escrow: committee of others",
        "escrow: not the desk",
        "escrow: fixed money",
        "escrow: fixed terms",
        "desk: zero close grace",
        "desk: already bound",
        "desk: not the deployer",
        "desk: zero escrow",
        "license: relink delay too long",
        "license: unbond delay too long",
        "license: slash cap too high",
        "license: already bound",
        "license: not the deployer",
        "license: zero committee",
        "license: not owner or approved",
        "license: not owner or operator",
        "license: receiver's standing",
        "sale: no tiers",
        "sale: empty tier",
        "sale: zero limit",
        "sale: unknown tier",
        "trust: already bound",
        "trust: not the deployer",
        "trust: zero governor",
        "trust: zero licenses",
        "trust: zero freeze period",
        "auction: zero token",
        "auction: zero protocol token",
        "timelock: zero delay",
        "timelock: no proposers",
        "timelock: no executors",
        "timelock: zero proposer",
    }
    found = {one for one in reasons_in_contracts() if one.startswith(f"{area}: ")}
    assert found - internal - REASONS.keys() == set()


def test_words() -> None:
    assert in_words("desk: job over") == "the job is over (desk: job over)"
    assert in_words("x: new one") == "the contract refuses it (x: new one)"
    assert in_words("") == "the contract refuses it without a reason"
