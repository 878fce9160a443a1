"""Commands of anyone at the burn auction: `auction show|kick|buy`."""

from typing import TYPE_CHECKING

import click

from workdeed.cli.amounts import format_amount, parse_amount
from workdeed.cli.network import (
    Key,
    Network,
    json_option,
    key_options,
    network_options,
    with_client,
)
from workdeed.cli.output import emit_fields, emit_json

if TYPE_CHECKING:
    from workdeed.sdk.auction import AuctionView
    from workdeed.sdk.client import Client


@click.group()
def auction() -> None:
    """Show, put up and buy lots of the burn auction.

    It sells the burn share of fees for protocol tokens, which are burned. The price of a lot falls
    for a while, then starts over at its highest.
    """


@auction.command()
@json_option
@network_options
def show(as_json: bool, network: Network) -> None:
    """Show the open lot, what it costs now, and what waits for the next one."""

    async def work(client: "Client") -> None:
        view = await client.auction()
        emit_json(view.to_json()) if as_json else await _show(client, view)

    with_client(network, work)


@auction.command()
@network_options
@key_options
def kick(network: Network, key: Key) -> None:
    """Put up all that the auction holds. Anyone may."""

    async def work(client: "Client") -> None:
        lot_id, amount = await client.kick_lot()
        click.echo(f"lot {lot_id} amount {format_amount(amount, await client.decimals())}")

    with_client(network, work, key)


@auction.command()
@click.argument("lot_id", type=click.IntRange(min=1), required=False)
@click.option("--max-price", help="The most that it may cost. Default: what it costs now.")
@click.option("--dry-run", is_flag=True, help="Say what it costs, but buy nothing.")
@network_options
@key_options
def buy(
    lot_id: int | None, max_price: str | None, dry_run: bool, network: Network, key: Key
) -> None:
    """Buy the whole lot LOT_ID, by default the open one; its price is burned of your tokens.

    A purchase that is mined after the price started over is refused where it would cost more than
    --max-price.
    """

    async def work(client: "Client") -> None:
        decimals = await client.protocol_decimals()
        limit = None if max_price is None else parse_amount(max_price, decimals, "--max-price")
        if dry_run:
            await _show(client, await client.auction())
            return
        sold = await client.buy_lot(lot_id, limit)
        amount = format_amount(sold.amount, await client.decimals())
        click.echo(f"lot {sold.lot_id} amount {amount} price {format_amount(sold.price, decimals)}")

    with_client(network, work, None if dry_run else key)


async def _show(client: "Client", view: "AuctionView") -> None:
    from workdeed.sdk.words import utc

    decimals, dear = await client.decimals(), await client.protocol_decimals()
    fields: dict[str, object] = {}
    if view.price is not None and view.restarts_at is not None:
        fields |= {
            "lot": view.lot_id,
            "amount": format_amount(view.lot.amount, decimals),
            "price": format_amount(view.price, dear),
            "starts over at": utc(view.restarts_at),
        }
    fields |= {
        "waiting": format_amount(view.waiting, decimals),
        "least lot": format_amount(view.terms.min_lot, decimals),
        "next lot from": utc(view.kick_at),
    }
    emit_fields("Burn auction", fields)
