"""Approving by signature (ERC-4494): it must not bypass what transfers check."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.system import FOREVER, System, private_key
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_bytes, sign_digest

PERMIT = keccak(b"Permit(address spender,uint256 tokenId,uint256 nonce,uint256 deadline)")


def permit(system: System, license_id: int) -> None:
    """Let `operators[0]` approve the stranger by signature."""
    fields = (license_id, system.licenses.nonces(license_id), FOREVER)
    words = [bytes(12) + address_bytes(system.stranger)]
    words += [field.to_bytes(32, "big") for field in fields]
    struct_hash = keccak(PERMIT + b"".join(words))
    digest = keccak(b"\x19\x01" + system.license_domain.separator + struct_hash)
    signature = sign_digest(private_key("operator 0"), digest)
    system.licenses.permit(
        system.stranger, license_id, FOREVER, signature[64], signature[:32], signature[32:64]
    )


def test_permitted_account_transfers_by_the_same_rules(system: System) -> None:
    license_id = system.issue_node()
    permit(system, license_id)
    assert system.licenses.getApproved(license_id) == system.stranger
    system.suspend(license_id)

    with evm.reverts("license: not in good standing"):
        system.licenses.transferFrom(
            system.operators[0], system.stranger, license_id, sender=system.stranger
        )

    system.reinstate(license_id)
    system.licenses.transferFrom(
        system.operators[0], system.stranger, license_id, sender=system.stranger
    )
    assert system.licenses.ownerOf(license_id) == system.stranger
