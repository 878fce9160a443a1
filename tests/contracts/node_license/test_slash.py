"""Slashing: who may, how much is taken, who gets it, and that one offence slashes once."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.node_license.bonds import (
    DELAY,
    MIN_NODE,
    TERMS,
    Bond,
    balance,
    bond_of,
    bonded_node,
    deploy_with,
)
from tests.contracts.system import (
    EVIDENCE,
    ZERO_ADDRESS,
    System,
    deploy_system,
    event,
)
from workdeed.protocol.hashing import keccak

ALL = 2**256 - 1
CAP = MIN_NODE * TERMS.slash_cap_bps // 10_000
"""What one offence takes at most of the minimum."""


def slash(system: System, license_id: int, amount: int = ALL, payer: str = ZERO_ADDRESS) -> int:
    """Let the governor slash; return what was taken."""
    return int(system.licenses.slash(license_id, amount, EVIDENCE, payer, sender=system.governor))


def test_governor_slashes_for_a_harmed_payer(bonded: System) -> None:
    """L25: what is taken equals what payer, burn and treasury get."""
    license_id = bonded_node(bonded)
    before = balance(bonded, bonded.payer)

    assert slash(bonded, license_id, 1_001, bonded.payer) == 1_001

    assert event(bonded.licenses, "Slashed") == {
        "license_id": license_id,
        "evidence_hash": EVIDENCE,
        "payer": bonded.payer,
        "actor": bonded.governor,
        "unbonding": 0,
        "to_payer": 400,
        "to_burn": 300,
        "to_treasury": 301,
    }
    assert event(bonded.licenses, "Booked") == {
        "source": bonded.licenses.address,
        "oracles": 0,
        "burn": 300,
        "treasury": 301,
    }
    assert balance(bonded, bonded.payer) - before == 400
    assert tuple(bonded.vault.pots()) == (0, 300, 301)
    assert balance(bonded, bonded.vault) == 601
    assert bond_of(bonded, license_id) == Bond(MIN_NODE - 1_001, 0, 0)
    assert bonded.licenses.bonds_held() == MIN_NODE - 1_001 == balance(bonded, bonded.licenses)


def test_share_of_no_payer_is_burned(bonded: System) -> None:
    license_id = bonded_node(bonded)

    slash(bonded, license_id, 1_001)

    told = event(bonded.licenses, "Slashed")
    assert (told["to_payer"], told["to_burn"], told["to_treasury"]) == (0, 700, 301)
    assert tuple(bonded.vault.pots()) == (0, 700, 301)


@pytest.mark.parametrize("amount", [CAP, CAP + 1, MIN_NODE, ALL])
def test_cap_bounds_one_offence(bonded: System, amount: int) -> None:
    license_id = bonded_node(bonded)

    assert slash(bonded, license_id, amount) == CAP
    assert bond_of(bonded, license_id).bond == MIN_NODE - CAP


def test_less_than_the_cap_is_taken_as_asked(bonded: System) -> None:
    assert slash(bonded, bonded_node(bonded), CAP - 1) == CAP - 1


def test_whole_bond_is_the_most_that_a_full_cap_takes() -> None:
    system = deploy_system(oracles=1, bond_terms=TERMS._replace(slash_cap_bps=10_000))
    license_id = bonded_node(system)

    assert slash(system, license_id) == MIN_NODE
    assert bond_of(system, license_id) == Bond(0, 0, 0)
    assert system.licenses.bonds_held() == balance(system, system.licenses) == 0


def test_what_was_requested_back_goes_first(bonded: System) -> None:
    license_id = bonded_node(bonded, extra=100)
    bonded.licenses.request_unbond(license_id, 100, sender=bonded.operators[0])
    asked_at = bond_of(bonded, license_id).requested_at

    slash(bonded, license_id, 60)
    assert event(bonded.licenses, "Slashed")["unbonding"] == 60
    assert bond_of(bonded, license_id) == Bond(MIN_NODE, 40, asked_at)

    bonded.licenses.slash(license_id, 50, keccak(b"2"), ZERO_ADDRESS, sender=bonded.governor)
    assert event(bonded.licenses, "Slashed")["unbonding"] == 40
    assert bond_of(bonded, license_id) == Bond(MIN_NODE - 10, 0, 0)
    assert not bonded.licenses.is_bonded(license_id)


def test_slashed_license_is_no_longer_bonded(bonded: System) -> None:
    license_id = bonded_node(bonded)

    slash(bonded, license_id, 1)

    assert event(bonded.licenses, "BondedSet") == {"license_id": license_id, "bonded": False}
    assert not bonded.licenses.eligible(license_id)
    bonded.post_bond(license_id, 1)
    assert bonded.licenses.eligible(license_id)


def test_committee_slashes(bonded: System) -> None:
    license_id = bonded_node(bonded)
    committee = bonded.committee.address

    with evm.env.sender(committee):
        slashed = bonded.licenses.slash(license_id, ALL, EVIDENCE, ZERO_ADDRESS)

    assert slashed == CAP
    assert event(bonded.licenses, "Slashed")["actor"] == committee


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "payer", "stranger"])
def test_others_cannot(bonded: System, role: str) -> None:
    license_id = bonded_node(bonded)

    with evm.reverts("license: not a slasher"):
        bonded.licenses.slash(license_id, 1, EVIDENCE, bonded.payer, sender=getattr(bonded, role))


def test_one_evidence_slashes_once(bonded: System) -> None:
    """L25: not a second time, not another license, not by another slasher."""
    first, second = bonded_node(bonded), bonded_node(bonded)
    slash(bonded, first, 1)
    assert bonded.licenses.is_slashed(EVIDENCE)

    for license_id in (first, second):
        with evm.reverts("license: evidence used"):
            slash(bonded, license_id)
    with evm.reverts("license: evidence used"):
        bonded.licenses.slash(first, 1, EVIDENCE, ZERO_ADDRESS, sender=bonded.committee.address)


def test_slash_of_no_bond_takes_nothing_and_uses_the_evidence(bonded: System) -> None:
    """The committee ends the seat of an offender in the same call: it must not fail."""
    license_id = bonded.issue_node()

    assert slash(bonded, license_id, payer=bonded.payer) == 0

    assert event(bonded.licenses, "Slashed")["to_treasury"] == 0
    assert bonded.licenses.is_slashed(EVIDENCE)


@pytest.mark.parametrize("license_id", [0, 1_000, 2**256 - 1])
def test_unknown_license_is_refused(bonded: System, license_id: int) -> None:
    with evm.reverts("license: unknown license"):
        slash(bonded, license_id)


def test_bad_standing_is_no_shelter(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.blacklist(license_id)

    assert slash(bonded, license_id) == CAP


@settings(deadline=None)
@given(
    bond=st.integers(0, 10**24),
    unbonding=st.integers(0, 10**24),
    amount=st.one_of(st.integers(0, 10**24), st.just(ALL)),
    payer_bps=st.integers(0, 10_000),
    rest_bps=st.integers(0, 10_000),
    harmed=st.booleans(),
)
@example(bond=1, unbonding=0, amount=1, payer_bps=0, rest_bps=0, harmed=True)
@example(bond=3, unbonding=4, amount=ALL, payer_bps=3_333, rest_bps=5_000, harmed=True)
def test_slash_is_split_to_the_last_base_unit(
    deployed_with_bonds: System,
    bond: int,
    unbonding: int,
    amount: int,
    payer_bps: int,
    rest_bps: int,
    harmed: bool,
) -> None:
    """L25: slashed = to payer + burned + to treasury, at most the cap, at most the bond."""
    bonded = deployed_with_bonds
    burn_bps = rest_bps * (10_000 - payer_bps) // 10_000
    with evm.env.anchor():
        license_id = bonded.issue_node()
        owner = bonded.operators[0]
        if bond + unbonding:
            bonded.post_bond(license_id, bond + unbonding)
        if unbonding:
            bonded.licenses.request_unbond(license_id, unbonding, sender=owner)
        bonded.licenses.set_slash_split(payer_bps, burn_bps, sender=bonded.governor)
        held = bonded.licenses.bonds_held()
        payer = bonded.stranger if harmed else ZERO_ADDRESS

        slashed = slash(bonded, license_id, amount, payer)

        cap = (bond + unbonding) * TERMS.slash_cap_bps // 10_000
        assert slashed == min(amount, cap)
        to_payer = slashed * payer_bps // 10_000 if harmed else 0
        oracles, burn, treasury = bonded.vault.pots()
        assert balance(bonded, bonded.stranger) == to_payer
        assert to_payer + burn + treasury == slashed
        assert oracles == 0
        expected_burn = slashed * burn_bps // 10_000
        expected_burn += 0 if harmed else slashed * payer_bps // 10_000
        assert burn == expected_burn
        assert balance(bonded, bonded.vault) == bonded.vault.owed() == burn + treasury
        first = min(slashed, unbonding)
        left = bond_of(bonded, license_id)
        assert (left.bond, left.unbonding) == (bond - (slashed - first), unbonding - first)
        assert (left.requested_at == 0) == (left.unbonding == 0)
        assert bonded.licenses.bonds_held() == held - slashed
        assert bonded.licenses.bonds_held() <= balance(bonded, bonded.licenses)
        assert bonded.licenses.is_bonded(license_id) == (left.bond >= MIN_NODE)


def test_donation_to_the_vault_does_not_pay_for_a_slash(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.token.mint(bonded.vault, 500)

    slash(bonded, license_id, 100)

    assert bonded.vault.owed() == 100
    assert balance(bonded, bonded.vault) == 600


def test_payer_that_cannot_be_paid_holds_up_its_own_slash_only() -> None:
    system = deploy_with("BlocklistToken")
    license_id = bonded_node(system)
    system.token.set_blocked(system.payer, True)

    with evm.reverts("token: receiver blocked"):
        slash(system, license_id, payer=system.payer)

    assert not system.licenses.is_slashed(EVIDENCE)
    assert slash(system, license_id) == CAP


def test_token_that_returns_nothing_is_split() -> None:
    system = deploy_with("NoReturnToken")
    license_id = bonded_node(system)
    before = balance(system, system.payer)

    slashed = slash(system, license_id, payer=system.payer)

    assert balance(system, system.payer) - before + system.vault.owed() == slashed == CAP


def test_token_that_begins_to_take_a_fee_stops_a_slash() -> None:
    """The vault books what arrived only: no pot is ever short."""
    system = deploy_with("FeeToken")
    system.token.set_fee_bps(0)
    license_id = bonded_node(system)
    system.token.set_fee_bps(100)

    with evm.reverts("pots: not sent"):
        slash(system, license_id)
    assert system.vault.owed() == 0


class TestABondCannotLeaveBetweenAnOffenceAndItsSlash:
    """L25, the ways out one by one."""

    def test_freeze_and_slash_reach_a_request_made_before_the_offence_was_known(
        self, bonded: System
    ) -> None:
        license_id = bonded_node(bonded)
        owner = bonded.operators[0]
        bonded.licenses.request_unbond(license_id, MIN_NODE, sender=owner)
        bonded.wait(DELAY - 1)
        bonded.freeze(license_id)
        bonded.wait(bonded.freeze_period - 1)
        with evm.reverts("license: not in good standing"):
            bonded.licenses.withdraw_bond(license_id, sender=owner)

        assert slash(bonded, license_id) == CAP

    def test_frozen_license_is_not_moved_away(self, bonded: System) -> None:
        license_id = bonded_node(bonded)
        owner, accomplice = bonded.operators[:2]
        bonded.freeze(owner)

        with evm.reverts("license: not in good standing"):
            bonded.licenses.transferFrom(owner, accomplice, license_id, sender=owner)
        assert slash(bonded, license_id) == CAP

    def test_node_in_bad_standing_is_not_unlinked_to_free_the_bond(self, bonded: System) -> None:
        license_id = bonded_node(bonded)
        owner = bonded.operators[0]
        bonded.licenses.request_unbond(license_id, MIN_NODE, sender=owner)
        bonded.wait(DELAY)
        bonded.freeze(bonded.node_of(license_id))

        with evm.reverts("license: not in good standing"):
            bonded.licenses.unlink_node(license_id, sender=owner)
        with evm.reverts("license: not in good standing"):
            bonded.licenses.withdraw_bond(license_id, sender=owner)

    def test_bond_follows_the_license_to_a_buyer(self, bonded: System) -> None:
        license_id = bonded_node(bonded)
        owner, buyer = bonded.operators[:2]
        bonded.licenses.request_unbond(license_id, MIN_NODE, sender=owner)
        bonded.wait(DELAY)
        bonded.licenses.transferFrom(owner, buyer, license_id, sender=owner)

        assert slash(bonded, license_id) == CAP
        assert bond_of(bonded, license_id) == Bond(MIN_NODE - CAP, 0, 0)

    def test_member_of_the_committee_leaves_its_bond_for_the_whole_delay(
        self, bonded: System
    ) -> None:
        owner = bonded.oracle_owners[0]
        bonded.post_bond(1, MIN_NODE)
        bonded.licenses.request_unbond(1, MIN_NODE, sender=owner)
        bonded.wait(DELAY)
        bonded.committee.remove_seat(0, sender=bonded.governor)
        bonded.wait(DELAY - 1)
        with evm.reverts("license: unbond delay"):
            bonded.licenses.withdraw_bond(1, sender=owner)

        with evm.env.sender(bonded.committee.address):
            assert bonded.licenses.slash(1, ALL, EVIDENCE, ZERO_ADDRESS) == CAP
