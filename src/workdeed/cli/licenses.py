"""Commands of issuers and operators: `license ...`, from the issue to the bond."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workdeed.cli.amounts import format_amount, parse_amount
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
from workdeed.cli.output import emit_fields, emit_json, emit_table, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workdeed.chain.keys import LocalSigner
    from workdeed.sdk.client import Client
    from workdeed.sdk.draining import DrainState
    from workdeed.sdk.licenses import LinkConsent

LICENSE_ID = click.IntRange(min=1)


@click.group("license")
def license_() -> None:
    """Issue, buy, link, bond and show licenses."""


@license_.command()
@click.argument("owner")
@click.option(
    "--kind", type=click.Choice(["node", "oracle"]), default="node", show_default=True, help="Kind."
)
@network_options
@key_options
def issue(owner: str, kind: str, network: Network, key: Key) -> None:
    """Issue a license to OWNER; for issuers."""
    account = parse_address(owner, "OWNER")

    async def work(client: "Client") -> None:
        from workdeed.sdk.licenses import KINDS

        click.echo(f"license {await client.issue_license(account, KINDS[kind])}")

    with_client(network, work, key)


@license_.command()
@click.argument("count", type=click.IntRange(min=1), default=1)
@click.option("--max-cost", help="The most that they may cost together. Default: today's cost.")
@click.option("--dry-run", is_flag=True, help="Say what they cost, but buy nothing.")
@network_options
@key_options
def buy(count: int, max_cost: str | None, dry_run: bool, network: Network, key: Key) -> None:
    """Buy COUNT node licenses, where the deployment sells any; prints their numbers."""

    async def work(client: "Client") -> None:
        decimals = await client.decimals()
        limit = parse_amount(max_cost, decimals, "--max-cost") if max_cost is not None else None
        cost = format_amount(await client.license_cost(count), decimals)
        note(f"{'would buy' if dry_run else 'buying'} {count} for {cost}")
        for license_id in [] if dry_run else await client.buy_licenses(count, limit):
            click.echo(f"license {license_id}")

    with_client(network, work, None if dry_run else key)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@json_option
@network_options
def show(license_id: int, as_json: bool, network: Network) -> None:
    """Show license LICENSE_ID: owner, node, payout, standing, bond, and what stands in the way."""

    async def work(client: "Client") -> None:
        view = await client.license(license_id)
        if as_json:
            emit_json(view.to_json())
            return
        decimals = await client.decimals()
        amounts = {
            "bond": format_amount(view.bond, decimals),
            "min_bond": format_amount(view.min_bond, decimals),
            "unbonding": format_amount(view.unbonding, decimals),
        }
        emit_fields(f"License {license_id}", view.to_json() | amounts)

    with_client(network, work)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@json_option
@network_options
def earnings(license_id: int, as_json: bool, network: Network) -> None:
    """Show what LICENSE_ID was paid so far, whoever sent the claims.

    What it has served since the last final report is still to come.
    """

    async def work(client: "Client") -> None:
        found = await client.paid_out(license_id)
        if as_json:
            emit_json([asdict(one) | {"amount": str(one.amount)} for one in found])
            return
        decimals = await client.decimals()
        rows = [
            (str(one.job_id), one.claims, format_amount(one.amount, decimals), one.payee)
            for one in found
        ]
        claims, total = sum(one.claims for one in found), sum(one.amount for one in found)
        rows.append(("all", claims, format_amount(total, decimals), ""))
        emit_table(f"Paid to license {license_id}", ("job", "claims", "amount", "payee"), rows)

    with_client(network, work)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@click.option(
    "--hours", type=click.IntRange(1, 720), default=1, show_default=True, help="Validity."
)
@network_options
@key_options
def consent(license_id: int, hours: int, network: Network, key: Key) -> None:
    """Sign with the node key that it belongs to LICENSE_ID; prints what `license link` takes.

    For nodes whose key is on another machine than the owner's. Nothing is sent.
    """
    import time

    signer = key.signer()

    async def work(client: "Client") -> None:
        deadline = int(time.time()) + hours * 3_600
        signed = await client.consent_to_link(license_id, signer, deadline)
        click.echo(f"{signed.node}:{signed.deadline}:0x{signed.signature.hex()}")

    with_client(network, work)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@click.option("--consent", "consent_text", help="What `license consent` printed on the node.")
@click.option("--node-key-env", help="Variable with the node key, for test chains.")
@click.option("--node-keystore", type=click.Path(path_type=Path), help="The node key's keystore.")
@network_options
@key_options
def link(
    license_id: int,
    consent_text: str | None,
    node_key_env: str | None,
    node_keystore: Path | None,
    network: Network,
    key: Key,
) -> None:
    """Link a node to LICENSE_ID; the node key must consent. Sent by the license's owner."""
    if sum(one is not None for one in (consent_text, node_key_env, node_keystore)) != 1:
        raise Failure("node: give exactly one of --consent, --node-key-env and --node-keystore")
    node = _node(license_id, consent_text, Key(node_keystore, node_key_env))

    async def work(client: "Client") -> None:
        from workdeed.sdk.licenses import LinkConsent

        await client.link_node(license_id, node)
        address = node.node if isinstance(node, LinkConsent) else node.address
        click.echo(f"license {license_id} node {address}")

    with_client(network, work, key)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@network_options
@key_options
def unlink(license_id: int, network: Network, key: Key) -> None:
    """Unlink the node of LICENSE_ID; the next link waits for the relink delay."""

    async def work(client: "Client") -> None:
        await client.unlink_node(license_id)
        click.echo(f"license {license_id} has no node")

    with_client(network, work, key)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@click.option(
    "--windows",
    type=click.IntRange(min=0),
    help="Unlink it after so many windows, even if jobs are left. Default: wait for all of them.",
)
@click.option("--no-wait", is_flag=True, help="Only announce it; do not wait and unlink.")
@network_options
@key_options
def drain(license_id: int, windows: int | None, no_wait: bool, network: Network, key: Key) -> None:
    """Take the node of LICENSE_ID out of service without losing a paid window.

    Announces that it takes no new work, waits until others have taken its jobs over and its last
    window is done, then unlinks it. Keep the node running until then. To stay after all, interrupt
    it and announce the usual profile: `license profile`.
    """
    if no_wait and windows is not None:
        raise Failure("--windows, --no-wait: give one of them")

    async def work(client: "Client") -> None:
        if no_wait:
            await client.announce_drain(license_id)
            click.echo(f"license {license_id} takes no new work")
            return
        left = (await client.drain(license_id, windows=windows, told=_tell_drain)).jobs
        lost = f", and loses the rest of jobs {_numbers(left)}" if left else ""
        click.echo(f"license {license_id} has no node{lost}")

    with_client(network, work, key)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@click.argument("endpoint")
@click.option("--hash", "profile_hash", help="Hash of the profile. Default: asked of the node.")
@click.option("--no-profile", is_flag=True, help="Announce no profile, as oracles do.")
@network_options
@key_options
def profile(
    license_id: int,
    endpoint: str,
    profile_hash: str | None,
    no_profile: bool,
    network: Network,
    key: Key,
) -> None:
    """Announce that LICENSE_ID answers at ENDPOINT (http(s)://host:port), and its profile."""
    given = parse_hash(profile_hash, "--hash")

    async def work(client: "Client") -> None:
        found = given
        if profile_hash is None and not no_profile:
            found = (await client.fetch_profile(license_id, endpoint)).profile_hash
        await client.set_profile(license_id, endpoint, found)
        click.echo(f"license {license_id} endpoint {endpoint} profile 0x{found.hex()}")

    with_client(network, work, key)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@click.argument("payout", required=False)
@network_options
@key_options
def payout(license_id: int, payout: str | None, network: Network, key: Key) -> None:
    """Pay what LICENSE_ID earns to PAYOUT; without it, to its owner."""
    from workdeed.chain.bindings.licenses import ZERO_ADDRESS

    address = parse_address(payout, "PAYOUT") if payout else ZERO_ADDRESS

    async def work(client: "Client") -> None:
        await client.set_payout(license_id, address)
        click.echo(f"license {license_id} payout {payout or 'its owner'}")

    with_client(network, work, key)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@click.argument("amount")
@network_options
@key_options
def bond(license_id: int, amount: str, network: Network, key: Key) -> None:
    """Add AMOUNT to the bond of LICENSE_ID; it then is its owner's, whoever pays."""

    async def work(client: "Client") -> None:
        decimals = await client.decimals()
        counts = await client.post_bond(license_id, parse_amount(amount, decimals, "AMOUNT"))
        click.echo(f"license {license_id} bond {format_amount(counts, decimals)}")

    with_client(network, work, key)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@click.argument("amount", required=False)
@click.option("--cancel", is_flag=True, help="Let all that was requested count again.")
@network_options
@key_options
def unbond(license_id: int, amount: str | None, cancel: bool, network: Network, key: Key) -> None:
    """Ask for AMOUNT of the bond of LICENSE_ID back; without it, for all.

    It stops counting at once, and can be withdrawn after a delay, which each request begins anew.
    """
    if cancel and amount is not None:
        raise Failure("AMOUNT, --cancel: give one of them")

    async def work(client: "Client") -> None:
        decimals = await client.decimals()
        if cancel:
            counts = await client.cancel_unbond(license_id)
            click.echo(f"license {license_id} bond {format_amount(counts, decimals)}")
            return
        wanted = None if amount is None else parse_amount(amount, decimals, "AMOUNT")
        requested = await client.request_unbond(license_id, wanted)
        click.echo(f"license {license_id} unbonding {format_amount(requested, decimals)}")

    with_client(network, work, key)


@license_.command()
@click.argument("license_id", type=LICENSE_ID)
@network_options
@key_options
def withdraw(license_id: int, network: Network, key: Key) -> None:
    """Get what was requested of the bond of LICENSE_ID, once the delay is over."""

    async def work(client: "Client") -> None:
        amount = await client.withdraw_bond(license_id)
        shown = format_amount(amount, await client.decimals())
        click.echo(f"license {license_id} withdrawn {shown}")

    with_client(network, work, key)


def _tell_drain(state: "DrainState") -> None:
    what = f"serves jobs {_numbers(state.jobs)}" if state.jobs else "serves nothing; settling"
    note(f"window {state.window}: {what}")


def _numbers(numbers: "Sequence[int]") -> str:
    return ", ".join(map(str, numbers))


def _node(license_id: int, consent_text: str | None, key: Key) -> "LocalSigner | LinkConsent":
    if consent_text is None:
        return key.signer()
    from workdeed.sdk.licenses import LinkConsent

    try:
        node, deadline, signature = consent_text.split(":")
        return LinkConsent(
            license_id,
            parse_address(node, "--consent"),
            "",
            int(deadline),
            bytes.fromhex(signature.removeprefix("0x")),
        )
    except ValueError:
        raise Failure(
            "--consent: it is malformed; copy the whole line of `license consent`"
        ) from None
