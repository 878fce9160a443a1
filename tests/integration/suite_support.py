"""Deploys every contract that the package works with, each once what it needs is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from workdeed.chain.deployment import DeployedContract

Create = Callable[..., Awaitable[DeployedContract]]
"""Creates the contract of a name with constructor arguments."""

Bind = Callable[[str, str, str, str], Awaitable[None]]
"""Lets the deployer call a function of a contract (name, address) with another's address."""

POLICY = (500, 1_000, 500, 5_000, 0, True, False, 5_000, 3_000)
"""Fees of 5 % to oracles, 10 % to burn, 5 % to the treasury; SLA floor 50 %; payers in good
standing; what is forfeited goes back to the payer by half, 30 % of it is burned."""

SALE_LIMIT = 4
"""Licenses that an account may buy."""


@dataclass(frozen=True)
class Terms:
    """What a test deploys with; times are seconds but for the windows of `close_grace`.

    Attributes:
        auction: who gets the burn pot; an account will do.
        seats: license and signer of each first seat; license ids count from 1.
        bonds: minimum of nodes and oracles, unbond delay, slash cap, payer's and burn's share.
        tiers: units and price of each tier of a sale of licenses; none for no sale.

    """

    governor: str
    guardian: str
    treasury: str
    auction: str
    issuers: Sequence[str]
    owners: Sequence[str]
    seats: Sequence[tuple[int, str]]
    classes: Sequence[tuple[int, int, int, int]]
    genesis: int
    window: int
    challenge: int
    close_grace: int
    freeze_period: int
    relink_delay: int = 0
    owner_level: int = 0
    policy: tuple[int, int, int, int, int, bool, bool, int, int] = POLICY
    bonds: tuple[int, int, int, int, int, int] = (0, 0, 900, 5_000, 4_000, 3_000)
    tiers: Sequence[tuple[int, int]] = ()


async def deploy_suite(create: Create, bind: Bind, terms: Terms) -> dict[str, DeployedContract]:
    """Return the contracts by name."""
    made: dict[str, DeployedContract] = {}

    async def make(name: str, *arguments: object) -> str:
        made[name] = await create(name, *arguments)
        return made[name].address

    token = await make("TestUSD")
    roles = (terms.governor, terms.guardian, terms.treasury, list(terms.issuers))
    trust = await make("TrustRegistry", *roles, terms.freeze_period)
    vault = await make("FeeVault", token, trust, terms.auction)
    kept = (terms.relink_delay, terms.owner_level, terms.bonds, list(terms.owners))
    licenses = await make("NodeLicense", trust, vault, *kept)
    await bind("TrustRegistry", trust, "bind_licenses", licenses)
    calendar = (terms.genesis, terms.window, terms.challenge)
    committee = await make("OracleCommittee", trust, licenses, *calendar, list(terms.seats))
    await bind("NodeLicense", licenses, "bind_committee", committee)
    tariff = await make("Tariff", trust, list(terms.classes), terms.policy)
    desk = await make("JobDesk", committee, token, terms.close_grace)
    escrow = await make("JobEscrow", trust, licenses, committee, tariff, desk)
    await bind("Tariff", tariff, "bind_escrow", escrow)
    await bind("JobDesk", desk, "bind_escrow", escrow)
    if terms.tiers:
        await make("LicenseSale", trust, licenses, list(terms.tiers), SALE_LIMIT, 0)
    return made
