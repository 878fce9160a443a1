"""What contracts may take of an account's tokens, in base units."""

from workdeed.chain.bindings.token import Erc20
from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import Session


async def pay_with(session: Session, spender: str, amount: int) -> None:
    """Let a contract take `amount` of the sender's tokens.

    Raises:
        SdkError: if the sender's balance does not cover it, or the token refuses.

    """
    await check_balance(session, session.sender.address, amount)
    await raise_allowance(session, spender, amount)


async def raise_allowance(
    session: Session, spender: str, amount: int, token: Erc20 | None = None
) -> None:
    """Let a contract take exactly `amount` of the sender, unless it may take that much already.

    Args:
        session: the sender's.
        spender: the contract.
        amount: base units.
        token: of what; by default of the settlement token.

    Raises:
        SdkError: if the token refuses.

    """
    token, sender = token or session.suite.token, session.sender
    allowed = await session.read(token.allowance(sender.address, spender))
    if allowed >= amount:
        return
    if allowed:  # some tokens refuse to change an allowance that is not zero
        await sender.send(token.approve(spender, 0))
    await sender.send(token.approve(spender, amount))


async def check_funds(session: Session, payer: str, spender: str, amount: int) -> None:
    """Check that a contract can take `amount` of an account that somebody else acts for.

    Raises:
        SdkError: if balance or allowance do not cover it.

    """
    await check_balance(session, payer, amount)
    allowed = await session.read(session.suite.token.allowance(payer, spender))
    if allowed < amount:
        raise SdkError(
            f"allowance: {spender} may take {allowed} base units of {payer}, {amount} are needed; "
            "it must approve more"
        )


async def check_balance(
    session: Session, account: str, amount: int, token: Erc20 | None = None
) -> None:
    """Raise `SdkError` unless an account has `amount` of a token, by default the settlement's."""
    balance = await session.read((token or session.suite.token).balance_of(account))
    if balance < amount:
        raise SdkError(
            f"balance: {account} has {balance} base units, {amount} are needed; fund it first, "
            "on a test chain with `workdeed faucet`"
        )
