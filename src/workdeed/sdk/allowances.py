"""What contracts may take of an account's tokens, in base units."""

from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import Session


async def pay_with(session: Session, spender: str, amount: int) -> None:
    """Let a contract take `amount` of the sender's tokens.

    Raises:
        SdkError: if the sender's balance does not cover it, or the token refuses.

    """
    await _check_balance(session, session.sender.address, amount)
    await raise_allowance(session, spender, amount)


async def raise_allowance(session: Session, spender: str, amount: int) -> None:
    """Let a contract take exactly `amount` of the sender, unless it may take that much already.

    Raises:
        SdkError: if the token refuses.

    """
    token, sender = session.suite.token, session.sender
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
    await _check_balance(session, payer, amount)
    allowed = await session.read(session.suite.token.allowance(payer, spender))
    if allowed < amount:
        raise SdkError(
            f"allowance: {spender} may take {allowed} base units of {payer}, {amount} are needed; "
            "it must approve more"
        )


async def _check_balance(session: Session, account: str, amount: int) -> None:
    balance = await session.read(session.suite.token.balance_of(account))
    if balance < amount:
        raise SdkError(
            f"balance: {account} has {balance} base units, {amount} are needed; fund it first"
        )
