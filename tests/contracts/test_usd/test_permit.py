"""ERC-2612."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.system import FOREVER, System, account, deployer, private_key
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_bytes, sign_digest

PERMIT = keccak(
    b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)


def test_holder_approves_by_signature(system: System) -> None:
    token = deployer("TestUSD").deploy()
    holder, spender = account("holder"), system.escrow.address
    separator = Domain("TestUSD", system.chain_id, token.address).separator
    words = [bytes(12) + address_bytes(who) for who in (holder, spender)]
    words += [field.to_bytes(32, "big") for field in (500, 0, FOREVER)]
    digest = keccak(b"\x19\x01" + separator + keccak(PERMIT + b"".join(words)))
    signature = sign_digest(private_key("holder"), digest)
    arguments = (signature[64], signature[:32], signature[32:64])

    token.permit(holder, spender, 500, FOREVER, *arguments)

    assert token.allowance(holder, spender) == 500
    with evm.reverts("erc20: invalid signature"):
        token.permit(holder, spender, 500, FOREVER, *arguments)
