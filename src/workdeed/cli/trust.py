"""Commands of issuers, the guardian and the governor: `trust ...`."""

import time
from typing import TYPE_CHECKING

import click

from workdeed.cli.decisions import Manner, carry_out, decision_options
from workdeed.cli.errors import Failure
from workdeed.cli.network import (
    Key,
    Network,
    json_option,
    key_options,
    network_options,
    parse_address,
    parse_hash,
    with_client,
)
from workdeed.cli.output import emit_fields, emit_json

if TYPE_CHECKING:
    from workdeed.sdk.client import Client
    from workdeed.sdk.governance import Decision

DAY = 86_400
DAYS = click.FloatRange(min=0, min_open=True, max=36_500)


@click.group()
def trust() -> None:
    """Attest accounts, change and show standings.

    A SUBJECT is an account (0x...) or a license id. What the governor does waits where a timelock
    governs: `governance` shows, executes and cancels it.
    """


@trust.command()
@click.argument("subject")
@json_option
@network_options
def show(subject: str, as_json: bool, network: Network) -> None:
    """Show the standing of SUBJECT, and of an account what is attested."""
    target = parse_subject(subject)

    async def work(client: "Client") -> None:
        fields = (await client.standing(target)).to_json()
        emit_json(fields) if as_json else emit_fields(f"Trust of {subject}", fields)

    with_client(network, work)


@trust.command()
@click.argument("account")
@click.option("--level", type=click.IntRange(1, 255), default=1, show_default=True, help="Level.")
@click.option("--days", type=DAYS, default=365.0, show_default=True, help="Days that it holds.")
@click.option("--evidence", help="Hash of the evidence.")
@network_options
@key_options
def attest(
    account: str, level: int, days: float, evidence: str | None, network: Network, key: Key
) -> None:
    """Attest that ACCOUNT was verified; for issuers."""
    address, proof = parse_address(account, "ACCOUNT"), parse_hash(evidence, "--evidence")

    async def work(client: "Client") -> None:
        await client.attest(address, level, int(time.time() + days * DAY), proof)
        click.echo(f"{address} level {level}")

    with_client(network, work, key)


@trust.command()
@click.argument("account")
@decision_options
@network_options
@key_options
def revoke(account: str, manner: Manner, network: Network, key: Key) -> None:
    """Take the attestation of ACCOUNT back; for its issuer and the governor."""
    address = parse_address(account, "ACCOUNT")

    async def decide(client: "Client") -> "Decision":
        return await client.revoke(address, send=manner.send)

    carry_out(network, key, manner, decide, f"{address} is not attested")


@trust.command()
@click.argument("subject")
@click.option("--reason", type=click.IntRange(0, 2**32 - 1), required=True, help="Reason code.")
@click.option("--evidence", help="Hash of the evidence.")
@network_options
@key_options
def freeze(subject: str, reason: int, evidence: str | None, network: Network, key: Key) -> None:
    """Freeze SUBJECT for the freeze period; for the guardian."""
    target, proof = parse_subject(subject), parse_hash(evidence, "--evidence")

    async def work(client: "Client") -> None:
        await client.freeze(target, reason, proof)
        click.echo(f"{subject} frozen")

    with_client(network, work, key)


@trust.command()
@click.argument("subject")
@click.option("--days", type=DAYS, required=True, help="For how long.")
@click.option("--reason", type=click.IntRange(0, 2**32 - 1), required=True, help="Reason code.")
@click.option("--evidence", help="Hash of the evidence.")
@decision_options
@network_options
@key_options
def suspend(
    subject: str,
    days: float,
    reason: int,
    evidence: str | None,
    manner: Manner,
    network: Network,
    key: Key,
) -> None:
    """Suspend SUBJECT for some days from when it can take effect; for the governor."""
    target, proof = parse_subject(subject), parse_hash(evidence, "--evidence")

    async def decide(client: "Client") -> "Decision":
        until = await client.governance.takes_effect_at() + round(days * DAY)
        return await client.suspend(target, until, reason, proof, send=manner.send)

    carry_out(network, key, manner, decide, f"{subject} suspended")


@trust.command()
@click.argument("subject")
@click.option("--reason", type=click.IntRange(0, 2**32 - 1), required=True, help="Reason code.")
@click.option("--evidence", help="Hash of the evidence.")
@decision_options
@network_options
@key_options
def blacklist(
    subject: str,
    reason: int,
    evidence: str | None,
    manner: Manner,
    network: Network,
    key: Key,
) -> None:
    """Blacklist SUBJECT until it is reinstated; for the governor."""
    target, proof = parse_subject(subject), parse_hash(evidence, "--evidence")

    async def decide(client: "Client") -> "Decision":
        return await client.blacklist(target, reason, proof, send=manner.send)

    carry_out(network, key, manner, decide, f"{subject} blacklisted")


@trust.command()
@click.argument("subject")
@click.option("--reason", type=click.IntRange(0, 2**32 - 1), default=0, help="Reason code.")
@click.option("--evidence", help="Hash of the evidence.")
@decision_options
@network_options
@key_options
def reinstate(
    subject: str,
    reason: int,
    evidence: str | None,
    manner: Manner,
    network: Network,
    key: Key,
) -> None:
    """Bring SUBJECT back to good standing; for the governor."""
    target, proof = parse_subject(subject), parse_hash(evidence, "--evidence")

    async def decide(client: "Client") -> "Decision":
        return await client.reinstate(target, reason, proof, send=manner.send)

    carry_out(network, key, manner, decide, f"{subject} good")


def parse_subject(text: str) -> str | int:
    """Return an address, or the number of a license; raises `Failure` if it is neither."""
    if text.isdecimal():
        if int(text) == 0:
            raise Failure("SUBJECT: license ids count from 1")
        return int(text)
    return parse_address(text, "SUBJECT")
