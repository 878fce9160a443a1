"""The command `faucet`."""

from typing import TYPE_CHECKING

import click

from workdeed.cli.amounts import format_amount, parse_amount
from workdeed.cli.network import Key, Network, key_options, network_options, with_client

if TYPE_CHECKING:
    from workdeed.sdk.client import Client


@click.command()
@click.argument("amount")
@network_options
@key_options
def faucet(amount: str, network: Network, key: Key) -> None:
    """Take AMOUNT test dollars; only test tokens give any."""

    async def work(client: "Client") -> None:
        decimals = await client.decimals()
        balance = await client.faucet(parse_amount(amount, decimals, "AMOUNT"))
        click.echo(f"balance {format_amount(balance, decimals)}")

    with_client(network, work, key)
