"""What the contracts of a deployment say of themselves, beside what its record implies.

Immutables, bindings and the first policy cannot change; roles, seats, terms and prices are the
governor's to change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ape.contracts import ContractContainer, ContractInstance

from scripts._deployment.artifacts import Artifacts
from scripts._deployment.plan import (
    ANYBODY,
    PROTOCOL_UNIT,
    auction_terms,
    bond_terms,
    governor_of,
    instance,
    tiers_of,
)
from workdeed.chain.deployment import Deployment
from workdeed.chain.parameters import Parameters

FIRST_POLICY: Final = 1
COOLDOWN_FACTOR: Final = 4
"""How many freeze periods the cooldown is, in the contract's code."""

Contracts = Mapping[str, ContractInstance]
Views = dict[str, Any]
"""The values of views without arguments, by name."""


@dataclass(frozen=True)
class Fact:
    """Something that the chain says and the record implies.

    Attributes:
        name: of the fact, for people.
        recorded: what the record implies.
        stands: what the chain says.
        governed: whether the governor may have changed it since.

    """

    name: str
    recorded: Any
    stands: Any
    governed: bool = False


def facts_of(
    deployment: Deployment, parameters: Parameters, artifacts: Artifacts
) -> Iterator[Fact]:
    """Ask the contracts for every fact, those that nobody can change first."""
    at = {name: contract.address for name, contract in deployment.contracts.items()}
    contracts = {
        name: instance(ContractContainer(artifacts[name]), address) for name, address in at.items()
    }
    for name, views in fixed_views(deployment, parameters).items():
        for view, recorded in views.items():
            yield Fact(f"{name}.{view}", recorded, getattr(contracts[name], view)())
    policy = tuple(parameters.policy.model_dump().values())
    yield Fact("policy 1", policy, tuple(contracts["Tariff"].policy_of(FIRST_POLICY)))
    if "Timelock" in contracts:
        yield from _timelock_facts(contracts["Timelock"], parameters)
    if "LicenseSale" in contracts:
        yield from _sale_facts(contracts, parameters)
    yield from _role_facts(contracts["TrustRegistry"], parameters, at)
    yield from _term_facts(contracts, parameters)
    yield from _seat_facts(contracts["OracleCommittee"], parameters)


def fixed_views(deployment: Deployment, parameters: Parameters) -> dict[str, Views]:
    """Return what nobody can change: every immutable and every binding, by contract."""
    at = {name: contract.address for name, contract in deployment.contracts.items()}
    views = {
        **_trust_views(parameters, at),
        **_money_views(parameters, at),
        **_license_views(parameters, at),
        **_job_views(deployment, parameters, at),
    }
    return {name: terms for name, terms in views.items() if name in at}


def _trust_views(parameters: Parameters, at: Mapping[str, str]) -> dict[str, Views]:
    timing = parameters.timing
    return {
        "Timelock": {"get_minimum_delay": timing.timelock_delay},
        "TrustRegistry": {
            "licenses": at["NodeLicense"],
            "FREEZE_PERIOD": timing.freeze_period,
            "FREEZE_COOLDOWN": timing.freeze_period * COOLDOWN_FACTOR,
        },
    }


def _money_views(parameters: Parameters, at: Mapping[str, str]) -> dict[str, Views]:
    trust = {"TRUST": at["TrustRegistry"]}
    traded = {"TOKEN": at["TestUSD"], "PROTOCOL_TOKEN": at["ProtocolToken"]}
    return {
        "ProtocolToken": {**trust, "CAP": parameters.protocol.cap * PROTOCOL_UNIT},
        "BurnAuction": {**trust, **traded},
        "FeeVault": {**trust, "TOKEN": at["TestUSD"], "AUCTION": at["BurnAuction"]},
    }


def _license_views(parameters: Parameters, at: Mapping[str, str]) -> dict[str, Views]:
    node, oracle, delay, cap, *_ = bond_terms(parameters)
    common = {"TRUST": at["TrustRegistry"], "TOKEN": at["TestUSD"]}
    licenses = {
        **common,
        "VAULT": at["FeeVault"],
        "committee": at["OracleCommittee"],
        "RELINK_DELAY": parameters.timing.relink_delay,
        "OWNER_LEVEL": parameters.levels.owner,
        "MIN_NODE_BOND": node,
        "MIN_ORACLE_BOND": oracle,
        "UNBOND_DELAY": delay,
        "SLASH_CAP_BPS": cap,
    }
    if parameters.sale is None:
        return {"NodeLicense": licenses}
    tiers = tiers_of(parameters.sale)
    sale = {
        **common,
        "LICENSES": at["NodeLicense"],
        "LIMIT": parameters.sale.limit,
        "BUYER_LEVEL": parameters.sale.buyer_level,
        "tier_count": len(tiers),
        "supply": sum(units for units, _ in tiers),
    }
    return {"NodeLicense": licenses, "LicenseSale": sale}


def _job_views(
    deployment: Deployment, parameters: Parameters, at: Mapping[str, str]
) -> dict[str, Views]:
    calendar = {"GENESIS": deployment.genesis, "WINDOW": deployment.window}
    trust, token = {"TRUST": at["TrustRegistry"]}, {"TOKEN": at["TestUSD"]}
    licenses, committee = at["NodeLicense"], {"COMMITTEE": at["OracleCommittee"]}
    freeze = parameters.timing.freeze_period
    return {
        "OracleCommittee": {
            **calendar,
            **trust,
            **token,
            "LICENSES": licenses,
            "CHALLENGE": deployment.challenge,
            "UNBOND_DELAY": parameters.timing.unbond_delay,
        },
        "Tariff": {**trust, "escrow": at["JobEscrow"]},
        "JobDesk": {
            **calendar,
            **token,
            **committee,
            "escrow": at["JobEscrow"],
            "CLOSE_GRACE": parameters.timing.close_grace,
        },
        "JobEscrow": {
            **calendar,
            **trust,
            **token,
            **committee,
            "LICENSES": licenses,
            "TARIFF": at["Tariff"],
            "DESK": at["JobDesk"],
            "VAULT": at["FeeVault"],
            "PAUSE_PERIOD": freeze,
            "PAUSE_COOLDOWN": freeze * COOLDOWN_FACTOR,
        },
        "JobLens": {
            **committee,
            "ESCROW": at["JobEscrow"],
            "DESK": at["JobDesk"],
            "LICENSES": licenses,
        },
    }


def _timelock_facts(timelock: ContractInstance, parameters: Parameters) -> Iterator[Fact]:
    """Who schedules, cancels and executes; that nobody beside the timelock is its admin."""
    governor, admin = parameters.roles.governor, timelock.DEFAULT_ADMIN_ROLE()
    yield Fact("Timelock is its own admin", True, timelock.hasRole(admin, timelock.address))
    yield Fact("Timelock.member_count of admins", 1, timelock.member_count(admin))
    members = {
        "governor proposes": (timelock.PROPOSER_ROLE(), governor),
        "governor cancels": (timelock.CANCELLER_ROLE(), governor),
        "anyone executes": (timelock.EXECUTOR_ROLE(), ANYBODY),
    }
    for name, (role, account) in members.items():
        yield Fact(name, True, timelock.hasRole(role, account), governed=True)
        yield Fact(f"{name} alone", 1, timelock.member_count(role), governed=True)


def _sale_facts(contracts: Contracts, parameters: Parameters) -> Iterator[Fact]:
    sale, registry = contracts["LicenseSale"], contracts["TrustRegistry"]
    if parameters.sale is not None:
        for index, tier in enumerate(tiers_of(parameters.sale)):
            yield Fact(f"LicenseSale.tier {index}", tier, tuple(sale.tier(index)))
    yield Fact("LicenseSale sells", False, registry.is_issuer(sale.address), governed=True)


def _role_facts(
    registry: ContractInstance, parameters: Parameters, at: Mapping[str, str]
) -> Iterator[Fact]:
    roles = parameters.roles
    holders = {
        "governor": governor_of(parameters, at),
        "guardian": roles.guardian,
        "treasury": roles.treasury,
        "pending_owner": ANYBODY,
    }
    for name, holder in holders.items():
        yield Fact(name, holder, getattr(registry, name)(), governed=True)
    for issuer in roles.issuers:
        yield Fact(f"issuer {issuer}", True, registry.is_issuer(issuer), governed=True)


def _term_facts(contracts: Contracts, parameters: Parameters) -> Iterator[Fact]:
    """Tell what later lots, slashes, mints and jobs go by."""
    licenses, tariff = contracts["NodeLicense"], contracts["Tariff"]
    split = bond_terms(parameters)[-2:]
    stands = (licenses.slash_payer_bps(), licenses.slash_burn_bps())
    yield Fact("split of slashed bonds", split, stands, governed=True)
    terms = tuple(contracts["BurnAuction"].terms())
    yield Fact("terms of the auction", auction_terms(parameters), terms, governed=True)
    supply = parameters.protocol.supply * PROTOCOL_UNIT
    minted = contracts["ProtocolToken"].minted()
    yield Fact("minted protocol tokens", supply, minted, governed=True)
    version = tariff.policy_version()
    yield Fact("policy version of new jobs", FIRST_POLICY, version, governed=True)
    for class_id, offered in enumerate(parameters.classes, start=1):
        offer = (*offered.model_dump().values(), True, False)
        stands = tuple(tariff.class_of(class_id))
        yield Fact(f"class {class_id}", offer, stands, governed=True)


def _seat_facts(committee: ContractInstance, parameters: Parameters) -> Iterator[Fact]:
    # The constructor of NodeLicense issues ids from 1 in the order of the oracles.
    for index, oracle in enumerate(parameters.oracles):
        seat = tuple(committee.seat(index))
        yield Fact(f"seat {index}", (index + 1, oracle.signer), seat, governed=True)
