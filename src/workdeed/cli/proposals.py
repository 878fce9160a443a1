"""Commands of the governor: `governance propose ...`, one for everything that it may decide.

What it says of standings is in `trust`.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import click

from workdeed.cli.amounts import parse_amount
from workdeed.cli.decisions import Manner, carry_out, decision_options
from workdeed.cli.errors import Failure
from workdeed.cli.network import (
    Key,
    Network,
    key_options,
    network_options,
    parse_address,
    parse_hash,
)
from workdeed.cli.output import note

if TYPE_CHECKING:
    from workdeed.chain.bindings.codec import Call
    from workdeed.sdk.client import Client
    from workdeed.sdk.governance import Decision

Build = Callable[["Client"], Awaitable["Call[Any]"]]
"""Makes the call that is decided."""

ROLES: Final = ("proposer", "canceller", "executor")
BPS = click.IntRange(0, 10_000)
NATURAL = click.IntRange(min=0)
POSITIVE = click.IntRange(min=1)


@click.group()
def propose() -> None:
    """Decide something as the governor, or announce it to the timelock that governs."""


def decision(build_for: Callable[..., Build]) -> Callable[..., None]:
    """Make a command of a function that returns how the call is made of its arguments."""

    @click.option("--unchecked", is_flag=True, help="Announce even what would be refused today.")
    @decision_options
    @network_options
    @key_options
    @functools.wraps(build_for)
    def wrapped(
        *args: Any, unchecked: bool, manner: Manner, network: Network, key: Key, **kwargs: Any
    ) -> None:
        build = build_for(*args, **kwargs)

        async def decide(client: "Client") -> "Decision":
            from workdeed.chain.bindings.timelock import TimelockCall
            from workdeed.sdk.words import describe

            call = await build(client)
            note(describe(client.session.suite, TimelockCall(call.to, 0, call.data)))
            return await client.governance.act(call, check=not unchecked, send=manner.send)

        carry_out(network, key, manner, decide, "done")

    return wrapped


@propose.command()
@click.argument("account")
@decision
def guardian(account: str) -> Build:
    """Make ACCOUNT the guardian."""
    address = parse_address(account, "ACCOUNT")

    async def build(client: "Client") -> "Call[Any]":
        return client.session.suite.registry.set_guardian(address)

    return build


@propose.command()
@click.argument("account")
@decision
def treasury(account: str) -> Build:
    """Let ACCOUNT get the treasury's shares."""
    address = parse_address(account, "ACCOUNT")

    async def build(client: "Client") -> "Call[Any]":
        return client.session.suite.registry.set_treasury(address)

    return build


@propose.command()
@click.argument("account", required=False)
@click.option("--sale", is_flag=True, help="The contract that sells licenses, instead of ACCOUNT.")
@click.option("--drop", is_flag=True, help="It no longer is one; what it attested no longer holds.")
@decision
def issuer(account: str | None, sale: bool, drop: bool) -> Build:
    """Make ACCOUNT an issuer, who attests accounts and issues licenses."""
    if sale == (account is not None):
        raise Failure("ACCOUNT, --sale: give exactly one of them")
    address = None if account is None else parse_address(account, "ACCOUNT")

    async def build(client: "Client") -> "Call[Any]":
        suite = client.session.suite
        if address is not None:
            return suite.registry.set_issuer(address, not drop)
        if suite.sale is None:
            raise Failure("--sale: this deployment sells no licenses")
        return suite.registry.set_issuer(suite.sale.address, not drop)

    return build


@propose.command()
@click.argument("account")
@decision
def governor(account: str) -> Build:
    """Offer the governor's role to ACCOUNT, which takes it by `governance accept`."""
    address = parse_address(account, "ACCOUNT")

    async def build(client: "Client") -> "Call[Any]":
        return client.session.suite.registry.transfer_governor(address)

    return build


@propose.command()
@click.argument("license_id", type=POSITIVE)
@decision
def seat(license_id: int) -> Build:
    """Give oracle license LICENSE_ID a seat, with the key that is linked to it now."""

    async def build(client: "Client") -> "Call[Any]":
        from workdeed.sdk import changes

        return await changes.seat(client.session, license_id)

    return build


@propose.command()
@click.argument("seat_number", metavar="SEAT", type=click.IntRange(0, 31))
@decision
def unseat(seat_number: int) -> Build:
    """Free SEAT, counted from 0."""

    async def build(client: "Client") -> "Call[Any]":
        return client.session.suite.committee.remove_seat(seat_number)

    return build


@propose.command()
@click.argument("license_id", type=POSITIVE)
@click.argument("amount")
@click.option("--evidence", required=True, help="Hash of the evidence, which works once.")
@click.option("--payer", help="The harmed payer. Default: its part is burned.")
@decision
def slash(license_id: int, amount: str, evidence: str, payer: str | None) -> Build:
    """Take AMOUNT of the bond of LICENSE_ID, or what the cap allows."""
    proof = parse_hash(evidence, "--evidence")
    harmed = "0x" + "00" * 20 if payer is None else parse_address(payer, "--payer")

    async def build(client: "Client") -> "Call[Any]":
        taken = parse_amount(amount, await client.decimals(), "AMOUNT")
        return client.session.suite.licenses.slash(license_id, taken, proof, harmed)

    return build


@propose.command("slash-split")
@click.option("--payer-bps", type=BPS, help="The harmed payer's share, in basis points.")
@click.option("--burn-bps", type=BPS, help="The share that is burned.")
@decision
def slash_split(**options: int | None) -> Build:
    """Set who gets what is slashed; the treasury gets the rest. What is not named stays."""
    given = _given(options)

    async def build(client: "Client") -> "Call[Any]":
        from workdeed.sdk import changes

        return await changes.slash_split(client.session, **given)

    return build


@propose.command("class")
@click.argument("class_id", type=click.IntRange(1, 255))
@click.option("--price", help="For a slot and window, in tokens.")
@click.option("--cpu-milli", type=NATURAL, help="Thousandths of a core; fixed for ever.")
@click.option("--memory-mb", type=NATURAL, help="Fixed for ever.")
@click.option("--storage-mb", type=NATURAL, help="Fixed for ever.")
@decision
def class_(class_id: int, price: str | None, **options: int | None) -> Build:
    """Add price class CLASS_ID, or set its price; one that was retired comes back."""
    given = {name: value for name, value in options.items() if value is not None}

    async def build(client: "Client") -> "Call[Any]":
        from workdeed.sdk import changes

        amounts = {}
        if price is not None:
            amounts["price"] = parse_amount(price, await client.decimals(), "--price")
        return await changes.price_class(client.session, class_id, **amounts, **given)

    return build


@propose.command("retire-class")
@click.argument("class_id", type=click.IntRange(1, 255))
@decision
def retire_class(class_id: int) -> Build:
    """Take no more money for price class CLASS_ID; open jobs go on."""

    async def build(client: "Client") -> "Call[Any]":
        return client.session.suite.tariff.retire_class(class_id)

    return build


@propose.command()
@click.option("--oracle-bps", type=BPS, help="The oracles' share of a claim's gross.")
@click.option("--burn-bps", type=BPS, help="The share that is burned.")
@click.option("--treasury-bps", type=BPS, help="The treasury's share.")
@click.option("--sla-floor-bps", type=BPS, help="A window with a lower figure earns nothing.")
@click.option("--payer-level", type=click.IntRange(0, 63), help="Attested level payers need.")
@click.option("--payer-standing/--no-payer-standing", default=None, help="Good standing needed.")
@click.option("--payer-oracle/--no-payer-oracle", default=None, help="Oracle license needed.")
@click.option("--forfeit-payer-bps", type=BPS, help="The payer's part of what is forfeited.")
@click.option("--forfeit-burn-bps", type=BPS, help="The part of it that is burned.")
@decision
def policy(**options: int | bool | None) -> Build:
    """Add a policy version for new jobs: the latest with what is named changed."""
    given = _given(options)

    async def build(client: "Client") -> "Call[Any]":
        from workdeed.sdk import changes

        return await changes.policy(client.session, **given)

    return build


@propose.command("auction-terms")
@click.option(
    "--start-millis",
    type=POSITIVE,
    help="Thousandths of a protocol token for 1,000,000 base units, at the start of a fall.",
)
@click.option("--floor-millis", type=POSITIVE, help="The same at its end.")
@click.option("--duration", type=POSITIVE, help="Seconds of a fall.")
@click.option("--min-lot", type=POSITIVE, help="The least lot, in base units of the token.")
@decision
def auction_terms(**options: int | None) -> Build:
    """Set how later lots of the burn auction are sold. What is not named stays."""
    given = _given(options)

    async def build(client: "Client") -> "Call[Any]":
        from workdeed.chain.parameters import MILLI_RATE
        from workdeed.sdk import changes

        rates = {
            f"{one}_rate": given[f"{one}_millis"] * MILLI_RATE
            for one in ("start", "floor")
            if f"{one}_millis" in given
        }
        others = {name: value for name, value in given.items() if not name.endswith("_millis")}
        return await changes.auction_terms(client.session, **rates, **others)

    return build


@propose.command()
@click.argument("receiver")
@click.argument("amount")
@decision
def mint(receiver: str, amount: str) -> Build:
    """Make AMOUNT protocol tokens for RECEIVER, up to the cap."""
    address = parse_address(receiver, "RECEIVER")

    async def build(client: "Client") -> "Call[Any]":
        units = parse_amount(amount, await client.protocol_decimals(), "AMOUNT")
        return client.protocol_token.mint(address, units)

    return build


@propose.command()
@click.argument("role", type=click.Choice(ROLES))
@click.argument("account")
@decision
def grant(role: str, account: str) -> Build:
    """Let ACCOUNT propose, cancel or execute operations of the timelock."""
    address = parse_address(account, "ACCOUNT")

    async def build(client: "Client") -> "Call[Any]":
        return client.governance.timelock.grant_role(role, address)

    return build


@propose.command()
@click.argument("role", type=click.Choice(ROLES))
@click.argument("account")
@decision
def revoke(role: str, account: str) -> Build:
    """End a role of ACCOUNT at the timelock; the last member of a role stays."""
    address = parse_address(account, "ACCOUNT")

    async def build(client: "Client") -> "Call[Any]":
        return client.governance.timelock.revoke_role(role, address)

    return build


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given; raises `Failure` if none was."""
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        names = ", ".join("--" + name.replace("_", "-") for name in sorted(options))
        raise Failure(f"options: nothing would change; give some of {names}")
    return given
