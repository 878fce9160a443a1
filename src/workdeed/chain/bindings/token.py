"""ERC-20 tokens with ERC-2612 permits: the settlement token, and the protocol token."""

from dataclasses import dataclass

from workdeed.chain.bindings.codec import (
    Call,
    Contract,
    Event,
    flag,
    integer,
    nothing,
    text,
    word,
)
from workdeed.chain.bindings.ownership import OwnershipTransferred, RoleMinterChanged


@dataclass(frozen=True, slots=True)
class Transfer(Event):
    """`value` base units moved."""

    sender: str
    receiver: str
    value: int


@dataclass(frozen=True, slots=True)
class Approval(Event):
    """`spender` may move `value` base units of the owner's."""

    owner: str
    spender: str
    value: int


class Erc20(Contract):
    """What both tokens can do; amounts are base units."""

    EVENTS = (OwnershipTransferred, RoleMinterChanged, Transfer, Approval)

    def symbol(self) -> Call[str]:
        """Read the symbol."""
        return self._call(text, "symbol")

    def decimals(self) -> Call[int]:
        """Read how many decimal places a whole token has."""
        return self._call(integer, "decimals")

    def total_supply(self) -> Call[int]:
        """Read the supply."""
        return self._call(integer, "totalSupply")

    def balance_of(self, account: str) -> Call[int]:
        """Read the balance of an account."""
        return self._call(integer, "balanceOf", account)

    def allowance(self, owner: str, spender: str) -> Call[int]:
        """Read what a spender may still move of an owner's."""
        return self._call(integer, "allowance", owner, spender)

    def nonces(self, owner: str) -> Call[int]:
        """Read the nonce of the owner's next permit."""
        return self._call(integer, "nonces", owner)

    def domain_separator(self) -> Call[bytes]:
        """Read the EIP-712 domain separator that permits are signed under."""
        return self._call(word, "DOMAIN_SEPARATOR")

    def transfer(self, to: str, amount: int) -> Call[bool]:
        """Move tokens of the sender's."""
        return self._call(flag, "transfer", to, amount)

    def transfer_from(self, owner: str, to: str, amount: int) -> Call[bool]:
        """Move tokens of an owner's, within its allowance to the sender."""
        return self._call(flag, "transferFrom", owner, to, amount)

    def approve(self, spender: str, amount: int) -> Call[bool]:
        """Allow a spender to move tokens of the sender's."""
        return self._call(flag, "approve", spender, amount)

    def permit(
        self, owner: str, spender: str, amount: int, deadline: int, v: int, r: bytes, s: bytes
    ) -> Call[None]:
        """Set an allowance by the owner's ERC-2612 signature."""
        return self._call(nothing, "permit", owner, spender, amount, deadline, v, r, s)


class Token(Erc20):
    """The settlement token, with the faucet of the test token."""

    NAME = "TestUSD"

    def faucet(self, amount: int) -> Call[None]:
        """Give the sender test tokens; only the test token has this."""
        return self._call(nothing, "faucet", amount)

    def faucet_limit(self) -> Call[int]:
        """Read how much one call of the faucet gives at most."""
        return self._call(integer, "FAUCET_LIMIT")


class ProtocolToken(Erc20):
    """The protocol token, which the burn auction takes."""

    NAME = "ProtocolToken"

    def cap(self) -> Call[int]:
        """Read the most that is ever minted."""
        return self._call(integer, "CAP")

    def minted(self) -> Call[int]:
        """Read what was ever minted, burned or not."""
        return self._call(integer, "minted")

    def mint(self, receiver: str, amount: int) -> Call[None]:
        """Make tokens, up to the cap; for the governor."""
        return self._call(nothing, "mint", receiver, amount)

    def burn(self, amount: int) -> Call[None]:
        """Destroy tokens of the sender's."""
        return self._call(nothing, "burn", amount)
