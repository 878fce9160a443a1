"""A permit (ERC-2612) instead of an allowance."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_desk.desk import Opening, Permit, grant
from tests.contracts.system import (
    FOREVER,
    PRICE,
    System,
    account,
    deploy_system,
    deployer,
    private_key,
)
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_bytes, sign_digest

PERMIT = keccak(
    b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
DELEGATE = account("delegate")
OPENINGS = [Opening(windows=2), Opening(windows=3)]
DEPOSIT = 5 * PRICE


@pytest.fixture
def system() -> System:
    """A system that pays in a token with permits; its payer has tokens and gave no allowance."""
    system = deploy_system(oracles=1, token=deployer("TestUSD").deploy())
    system.token.faucet(10**12, sender=system.payer)
    return system


def permit(
    system: System,
    value: int = DEPOSIT,
    *,
    deadline: int = FOREVER,
    spender: str | None = None,
    signer: str = "payer",
) -> Permit:
    """Return a permit that the payer signs for the escrow, unless said otherwise."""
    domain = Domain("TestUSD", system.chain_id, system.token.address)
    accounts = (system.payer, spender or system.escrow.address)
    words = [bytes(12) + address_bytes(who) for who in accounts]
    fields = (value, system.token.nonces(system.payer), deadline)
    words += [field.to_bytes(32, "big") for field in fields]
    digest = keccak(b"\x19\x01" + domain.separator + keccak(PERMIT + b"".join(words)))
    signature = sign_digest(private_key(signer), digest)
    return Permit(value, deadline, signature[64], signature[:32], signature[32:64])


def open_jobs(system: System, signed: Permit, sender: str | None = None) -> list[int]:
    """Open two jobs for the payer with a permit."""
    sender = sender or system.payer
    return list(system.desk.open_jobs_with_permit(system.payer, OPENINGS, signed, sender=sender))


def send(system: System, signed: Permit) -> None:
    """Let a stranger use a permit first."""
    system.token.permit(
        system.payer, system.escrow, *signed[:2], *signed[2:], sender=system.stranger
    )


def test_permit_takes_the_place_of_an_allowance(system: System) -> None:
    assert system.token.allowance(system.payer, system.escrow) == 0

    ids = open_jobs(system, permit(system, DEPOSIT + 9))

    assert ids == [1, 2]
    assert system.escrow.liabilities() == DEPOSIT
    assert system.token.allowance(system.payer, system.escrow) == 9
    assert system.token.nonces(system.payer) == 1


def test_permit_that_somebody_sent_before_does_no_harm(system: System) -> None:
    """Whoever sees it may use it first; what it allows stands all the same."""
    signed = permit(system)
    send(system, signed)
    assert system.token.allowance(system.payer, system.escrow) == DEPOSIT

    assert open_jobs(system, signed) == [1, 2]


@pytest.mark.parametrize("fault", ["signer", "spender", "deadline", "value"])
def test_failing_permit_is_ignored_where_the_allowance_suffices(system: System, fault: str) -> None:
    system.token.approve(system.escrow, DEPOSIT, sender=system.payer)
    signed = faulty(system, fault)

    assert open_jobs(system, signed) == [1, 2]
    assert system.token.nonces(system.payer) == 0


@pytest.mark.parametrize("fault", ["signer", "spender", "deadline", "value"])
def test_failing_permit_without_allowance_opens_nothing(system: System, fault: str) -> None:
    with evm.reverts("erc20: insufficient allowance"):
        open_jobs(system, faulty(system, fault))

    assert system.escrow.job_count() == 0


def faulty(system: System, fault: str) -> Permit:
    """Return a permit with one thing wrong."""
    if fault == "signer":
        return permit(system, signer="stranger")
    if fault == "spender":
        return permit(system, spender=system.desk.address)
    if fault == "deadline":
        return permit(system, deadline=evm.env.timestamp - 1)
    return permit(system)._replace(value=2**255)


def test_permit_for_too_little_opens_nothing(system: System) -> None:
    """All or none: the first job alone would have been covered."""
    with evm.reverts("erc20: insufficient allowance"):
        open_jobs(system, permit(system, DEPOSIT - 1))

    assert system.escrow.job_count() == 0
    assert system.token.nonces(system.payer) == 0


def test_delegate_uses_the_payers_permit_within_its_grant(system: System) -> None:
    grant(system, DELEGATE, budget=DEPOSIT)

    assert open_jobs(system, permit(system), sender=DELEGATE) == [1, 2]
    assert system.desk.grant_of(system.payer, DELEGATE)[1] == 0


def test_permit_alone_lets_nobody_spend(system: System) -> None:
    """M8: a stranger that got hold of it opens nothing; a delegate not beyond its budget."""
    signed = permit(system, 10**12)
    with evm.reverts("desk: not granted"):
        open_jobs(system, signed, sender=system.stranger)
    grant(system, DELEGATE, budget=DEPOSIT - 1)
    with evm.reverts("desk: above the budget"):
        open_jobs(system, signed, sender=DELEGATE)

    assert system.token.allowance(system.payer, system.escrow) == 0


def test_no_openings_are_refused(system: System) -> None:
    with evm.reverts("desk: no openings"):
        system.desk.open_jobs_with_permit(system.payer, [], permit(system), sender=system.payer)


def test_token_without_permits_goes_by_the_allowance() -> None:
    plain = deploy_system(oracles=1)
    signed = Permit(1, FOREVER, 27, bytes(32), bytes(32))
    assert open_jobs(plain, signed) == [1, 2]
    plain.token.approve(plain.escrow, 0, sender=plain.payer)

    with evm.reverts("token: allowance too low"):
        open_jobs(plain, signed)
