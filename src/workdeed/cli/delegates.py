"""Commands of payers with delegates: `delegate grant|revoke|show`."""

import time
from typing import TYPE_CHECKING

import click

from workdeed.cli.amounts import format_amount, parse_amount
from workdeed.cli.network import (
    Key,
    Network,
    json_option,
    key_options,
    network_options,
    parse_address,
    with_client,
)
from workdeed.cli.output import emit_fields, emit_json

if TYPE_CHECKING:
    from workdeed.sdk.client import Client

DAY = 86_400
SCOPES = ("open", "extend", "scale", "revise", "cancel")


@click.group()
def delegate() -> None:
    """Let other accounts open and change jobs of yours, within a budget and a time.

    They spend your tokens on jobs of yours and nothing else: every refund is yours, and restores no
    budget. A delegate names you with --for.
    """


@delegate.command()
@click.argument("account")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=SCOPES,
    help="What it may do; repeat it for more. Default: all.",
)
@click.option("--budget", required=True, help="What it may spend in all.")
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True, max=36_500),
    default=30.0,
    show_default=True,
    help="Days that it holds.",
)
@network_options
@key_options
def grant(
    account: str, scopes: tuple[str, ...], budget: str, days: float, network: Network, key: Key
) -> None:
    """Let ACCOUNT act for you; what it was granted before is replaced.

    The escrow may then take the budget of your tokens. Jobs that you open yourself are paid from
    the same allowance: grant anew if it has become too small.
    """
    address = parse_address(account, "ACCOUNT")

    async def work(client: "Client") -> None:
        amount = parse_amount(budget, await client.decimals(), "--budget")
        await client.grant(address, scopes, amount, int(time.time() + days * DAY))
        click.echo(f"{address} may {', '.join(scopes)} with a budget of {budget}")

    with_client(network, work, key)


@delegate.command()
@click.argument("account")
@network_options
@key_options
def revoke(account: str, network: Network, key: Key) -> None:
    """Take back all that you granted to ACCOUNT."""
    address = parse_address(account, "ACCOUNT")

    async def work(client: "Client") -> None:
        await client.revoke_grant(address)
        click.echo(f"{address} may do nothing")

    with_client(network, work, key)


@delegate.command()
@click.argument("payer")
@click.argument("account")
@json_option
@network_options
def show(payer: str, account: str, as_json: bool, network: Network) -> None:
    """Show what ACCOUNT may do for PAYER."""
    whose, address = parse_address(payer, "PAYER"), parse_address(account, "ACCOUNT")

    async def work(client: "Client") -> None:
        view = await client.delegate(whose, address)
        if as_json:
            emit_json(view.to_json())
            return
        decimals = await client.decimals()
        fields = {
            "scopes": ", ".join(view.scopes) or "none",
            "budget": format_amount(view.budget, decimals),
            "expires_at": view.expires_at,
            "allowance": format_amount(view.allowance, decimals),
        }
        emit_fields(f"{address} for {whose}", fields)

    with_client(network, work)
