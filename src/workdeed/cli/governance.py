"""Commands of the governor and of those who watch it: `governance ...`."""

from typing import TYPE_CHECKING

import click

from workdeed.cli.decisions import Manner, carry_out, check_wait, decision_options
from workdeed.cli.network import (
    Key,
    Network,
    json_option,
    key_options,
    network_options,
    parse_hash,
    with_client,
)
from workdeed.cli.output import emit_fields, emit_json, emit_table
from workdeed.cli.proposals import propose

if TYPE_CHECKING:
    from workdeed.sdk.client import Client
    from workdeed.sdk.operations import Operation


@click.group()
def governance() -> None:
    """Show, propose, execute and cancel what the governor decides.

    Where a timelock governs, what its proposers decide is an operation: announced, executed by
    anyone once the delay is over, and until then cancelled by its cancellers. Elsewhere the
    governor acts at once.
    """


governance.add_command(propose)


@governance.command()
@json_option
@network_options
def show(as_json: bool, network: Network) -> None:
    """Show who governs, with which delay, and who proposes, cancels and executes."""

    async def work(client: "Client") -> None:
        fields = (await client.governance.roles()).to_json()
        if as_json:
            emit_json(fields)
            return
        lists = {name: ", ".join(one) for name, one in fields.items() if isinstance(one, list)}
        emit_fields("Governance", fields | lists)

    with_client(network, work)


@governance.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that ended as well.")
@json_option
@network_options
def list_(everything: bool, as_json: bool, network: Network) -> None:
    """List the timelock's operations that wait or are ready, with what they do."""

    async def work(client: "Client") -> None:
        found = await client.governance.operations()
        chosen = [one for one in found if everything or one.is_open]
        if as_json:
            emit_json([one.to_json() for one in chosen])
            return
        emit_table("Operations", ("operation", "state", "calls"), [_row(one) for one in chosen])

    with_client(network, work)


@governance.command()
@click.argument("operation")
@click.option("--wait", is_flag=True, help="Wait until its delay is over.")
@network_options
@key_options
def execute(operation: str, wait: bool, network: Network, key: Key) -> None:
    """Do what OPERATION announced, once its delay is over. Mostly anyone may."""
    wanted = parse_hash(operation, "OPERATION")

    async def work(client: "Client") -> None:
        if wait:
            ready_at = (await client.governance.operation(wanted)).ready_at
            check_wait((ready_at or 0) - await client.governance.now())
            await client.governance.wait(wanted)
        found = await client.governance.execute(wanted)
        click.echo(f"done {'; '.join(found.words)}")

    with_client(network, work, key)


@governance.command()
@click.argument("operation")
@network_options
@key_options
def cancel(operation: str, network: Network, key: Key) -> None:
    """Take OPERATION back; for the timelock's cancellers."""
    wanted = parse_hash(operation, "OPERATION")

    async def work(client: "Client") -> None:
        found = await client.governance.cancel(wanted)
        click.echo(f"cancelled {'; '.join(found.words)}")

    with_client(network, work, key)


@governance.command()
@decision_options
@network_options
@key_options
def accept(manner: Manner, network: Network, key: Key) -> None:
    """Take the governor's role over, as the account that it was offered to."""
    carry_out(
        network,
        key,
        manner,
        lambda client: client.governance.accept_role(send=manner.send),
        "the governor's role is taken over",
    )


def _row(operation: "Operation") -> tuple[str, str, str]:
    from workdeed.sdk.operations import WAITING
    from workdeed.sdk.words import utc

    state = operation.state
    if state == WAITING:
        state += f" until {utc(operation.ready_at or 0)}"
    return f"0x{operation.operation_id.hex()}", state, "; ".join(operation.words)
