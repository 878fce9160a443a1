"""Commands of anyone with fees: `fees show|flush`."""

from typing import TYPE_CHECKING

import click

from workdeed.cli.amounts import format_amount
from workdeed.cli.errors import Failure
from workdeed.cli.network import (
    Key,
    Network,
    json_option,
    key_options,
    network_options,
    with_client,
)
from workdeed.cli.output import emit_fields, emit_json, emit_table

if TYPE_CHECKING:
    from workdeed.chain.bindings.vault import Pots
    from workdeed.sdk.client import Client

POTS = ("oracles", "burn", "treasury")


@click.group()
def fees() -> None:
    """Show fees, and hand them to the oracles, the burn auction and the treasury."""


@fees.command()
@json_option
@network_options
def show(as_json: bool, network: Network) -> None:
    """Show the fees of each policy version, and what the vault's pots hold."""

    async def work(client: "Client") -> None:
        view = await client.fees()
        if as_json:
            emit_json(view.to_json())
            return
        decimals = await client.decimals()
        rows = [
            (
                one.policy_version,
                format_amount(one.fees, decimals),
                format_amount(one.waiting, decimals),
            )
            for one in view.policies
        ]
        emit_table("Fees", ("policy", "taken", "not flushed"), rows)
        emit_fields(
            "Pots of the vault", dict(zip(POTS, _amounts(view.pots, decimals), strict=True))
        )

    with_client(network, work)


@fees.command()
@click.option("--policy", type=click.IntRange(min=1), help="Only this version. Default: all.")
@click.option("--no-pull", is_flag=True, help="Leave them in the vault.")
@network_options
@key_options
def flush(policy: int | None, no_pull: bool, network: Network, key: Key) -> None:
    """Hand the fees to the vault, and send on what its pots hold. Anyone may."""

    async def work(client: "Client") -> None:
        decimals = await client.decimals()
        known = (await client.fees()).policies
        if policy is not None and policy > len(known):
            raise Failure(f"--policy: {policy} is unknown; the latest is {len(known)}")
        chosen = [one for one in known if policy in (None, one.policy_version)]
        rows = [
            (f"policy {one.policy_version}", await client.flush_fees(one.policy_version))
            for one in chosen
            if one.waiting
        ]
        if not no_pull:
            rows.append(("sent on", await client.pull_pots()))
        emit_table(
            "Fees handed on",
            ("", *POTS),
            [(name, *_amounts(pots, decimals)) for name, pots in rows],
        )

    with_client(network, work, key)


def _amounts(pots: "Pots", decimals: int) -> list[str]:
    """Return what each pot holds, in the order of `POTS`."""
    return [format_amount(amount, decimals) for amount in pots]
