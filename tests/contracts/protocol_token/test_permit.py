"""ERC-2612: a buyer of the auction approves and burns with one transaction."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.protocol_token.tokens import HOLDER
from tests.contracts.system import FOREVER, System, private_key
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_bytes, sign_digest

PERMIT = keccak(
    b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)


def test_holder_approves_by_signature(token: Contract, system: System) -> None:
    separator = Domain("ProtocolToken", system.chain_id, token.address).separator
    words = [bytes(12) + address_bytes(who) for who in (HOLDER, system.stranger)]
    words += [field.to_bytes(32, "big") for field in (500, 0, FOREVER)]
    digest = keccak(b"\x19\x01" + separator + keccak(PERMIT + b"".join(words)))
    signature = sign_digest(private_key("holder"), digest)
    arguments = (signature[64], signature[:32], signature[32:64])

    token.permit(HOLDER, system.stranger, 500, FOREVER, *arguments)

    assert token.nonces(HOLDER) == 1
    token.burn_from(HOLDER, 500, sender=system.stranger)
    with evm.reverts("erc20: invalid signature"):
        token.permit(HOLDER, system.stranger, 500, FOREVER, *arguments)


def test_domain_is_the_tokens(token: Contract, system: System) -> None:
    domain = Domain("ProtocolToken", system.chain_id, token.address)

    assert token.DOMAIN_SEPARATOR() == domain.separator
    assert tuple(token.eip712Domain())[1:5] == (
        "ProtocolToken",
        "1",
        system.chain_id,
        token.address,
    )
