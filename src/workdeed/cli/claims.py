"""The command `claim`."""

from typing import TYPE_CHECKING

import click

from workdeed.cli.amounts import format_amount
from workdeed.cli.network import (
    Key,
    Network,
    json_option,
    key_options,
    network_options,
    with_client,
)
from workdeed.cli.output import emit_json, emit_table

if TYPE_CHECKING:
    from workdeed.sdk.client import Client


@click.command()
@click.argument("license_id", type=click.IntRange(min=1))
@click.option("--job", "job_id", type=click.IntRange(min=1), help="Only this job.")
@json_option
@network_options
@key_options
def claim(license_id: int, job_id: int | None, as_json: bool, network: Network, key: Key) -> None:
    """Collect what LICENSE_ID has earned; the money goes to its payout address."""

    async def work(client: "Client") -> None:
        if job_id is None:
            collected = await client.claim_license(license_id)
        else:
            one = await client.claim(job_id, license_id)
            collected = [one] if one else []
        decimals = await client.decimals()
        if as_json:
            emit_json(
                [
                    {"job_id": one.job_id, "payee": one.payee, "amount": str(one.amount)}
                    for one in collected
                ]
            )
            return
        if not collected:
            click.echo(f"license {license_id}: nothing to collect; the final report is claimed")
            return
        rows = [(one.job_id, format_amount(one.amount, decimals), one.payee) for one in collected]
        emit_table(f"Collected for license {license_id}", ("job", "amount", "payee"), rows)

    with_client(network, work, key)
