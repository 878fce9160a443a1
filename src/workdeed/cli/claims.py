"""The commands `claim` and `forfeit`."""

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
    from workdeed.sdk.earnings import Collected

Row = tuple[int | None, str, int]
"""Job, payee and amount of what was collected; an oracle's has no job."""


@click.command()
@click.argument("license_id", type=click.IntRange(min=1))
@click.option("--job", "job_id", type=click.IntRange(min=1), help="Only this job.")
@json_option
@network_options
@key_options
def claim(license_id: int, job_id: int | None, as_json: bool, network: Network, key: Key) -> None:
    """Collect what LICENSE_ID has earned; the money goes to its payout address.

    For an oracle that is its share of the fees, for the reports that it signed.
    """

    async def work(client: "Client") -> None:
        from workdeed.sdk.earnings import BrokenOffError

        decimals = await client.decimals()
        try:
            collected = await _collect(client, license_id, job_id)
        except BrokenOffError as error:
            paid = [_row(one) for one in error.collected]
            _show(license_id, paid, decimals, as_json)
            raise
        _show(license_id, collected, decimals, as_json)

    with_client(network, work, key)


def _show(license_id: int, collected: list[Row], decimals: int, as_json: bool) -> None:
    if as_json:
        emit_json(
            [
                {"job_id": job, "payee": payee, "amount": str(amount)}
                for job, payee, amount in collected
            ]
        )
        return
    if not collected:
        click.echo(
            f"license {license_id}: nothing new in the final report; "
            f"`workdeed license earnings {license_id}` shows what was paid"
        )
        return
    rows = [
        (job or "-", format_amount(amount, decimals), payee) for job, payee, amount in collected
    ]
    emit_table(f"Collected for license {license_id}", ("job", "amount", "payee"), rows)


async def _collect(client: "Client", license_id: int, job_id: int | None) -> list[Row]:
    """Return all that could be collected."""
    if job_id is not None:
        one = await client.claim(job_id, license_id)
        return [_row(one)] if one else []
    reward = await client.claim_reward(license_id)
    if reward is not None:
        return [(None, reward.payee, reward.amount)]
    found = await client.claim_license(license_id)
    return [_row(one) for one in found]


def _row(one: "Collected") -> Row:
    return one.job_id, one.payee, one.amount


@click.command()
@click.argument("job_id", type=click.IntRange(min=1))
@click.argument("license_id", type=click.IntRange(min=1))
@network_options
@key_options
def forfeit(job_id: int, license_id: int, network: Network, key: Key) -> None:
    """Take what LICENSE_ID, which is blacklisted, has earned in JOB_ID. Anyone may.

    By the job's policy it goes back to the payer, is burned, or is the treasury's.
    """

    async def work(client: "Client") -> None:
        lost = await client.forfeit(job_id, license_id)
        if lost is None:
            click.echo(f"license {license_id}: nothing to take; the final report is settled")
            return
        decimals = await client.decimals()
        rows = [
            ("payer", format_amount(lost.refund, decimals)),
            ("burn", format_amount(lost.burned, decimals)),
            ("treasury", format_amount(lost.treasury, decimals)),
        ]
        emit_table(f"Forfeited by license {license_id}", ("to", "amount"), rows)

    with_client(network, work, key)
