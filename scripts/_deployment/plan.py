"""What a deployment sends, in order, and what each transaction needs to stand before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ape.contracts import ContractContainer, ContractInstance
from ape.types import AddressType

from scripts._deployment.artifacts import Artifacts
from workdeed.chain.parameters import MILLI_RATE, TEST_DOLLAR, Parameters, Sale

PROTOCOL_UNIT: Final = 10**18
"""Base units of a protocol token."""

ANYBODY: Final = "0x" + "00" * 20
"""As an executor, it lets anyone execute."""

Addresses = Mapping[str, str]
_Arguments = Callable[[Parameters, int, Addresses], tuple[Any, ...]]


@dataclass(frozen=True)
class Step:
    """One transaction.

    Attributes:
        name: of the step; the contract's name if it deploys one.
        contract: what it deploys or calls.
        needs: the steps that must stand before it is sent.
        arguments: from parameters, genesis and the addresses of what it needs.
        method: what it calls; None if it deploys.

    """

    name: str
    contract: str
    needs: tuple[str, ...]
    arguments: _Arguments
    method: str | None = None


@dataclass(frozen=True)
class Message:
    """What a transaction says: its receiver, None for a new contract, and its input."""

    to: str | None
    data: bytes


def governor_of(parameters: Parameters, at: Addresses) -> str:
    """Return who holds the governor's role: the timelock, where there is one."""
    return at.get("Timelock", parameters.roles.governor)


def _timelock(parameters: Parameters, _genesis: int, _at: Addresses) -> tuple[Any, ...]:
    # Anyone executes: what was decided and announced does not wait for whoever decided it.
    return parameters.timing.timelock_delay, [parameters.roles.governor], [ANYBODY]


def _trust(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    roles = parameters.roles
    holders = governor_of(parameters, at), roles.guardian, roles.treasury
    return *holders, list(roles.issuers), parameters.timing.freeze_period


def _protocol(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    terms = parameters.protocol
    return (
        at["TrustRegistry"],
        terms.cap * PROTOCOL_UNIT,
        terms.supply * PROTOCOL_UNIT,
        terms.holder,
    )


def auction_terms(parameters: Parameters) -> tuple[int, int, int, int]:
    """Return the terms of the auction as its constructor takes them."""
    terms = parameters.auction
    rates = terms.start_millis * MILLI_RATE, terms.floor_millis * MILLI_RATE
    return *rates, terms.duration, terms.min_lot


def _auction(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    contracts = at["TestUSD"], at["ProtocolToken"], at["TrustRegistry"]
    return *contracts, auction_terms(parameters)


def bond_terms(parameters: Parameters) -> tuple[int, int, int, int, int, int]:
    """Return what bonds are held to as the constructor of NodeLicense takes it."""
    bonds = parameters.bonds
    least = bonds.min_node, bonds.min_oracle
    cuts = bonds.slash_cap_bps, bonds.slash_payer_bps, bonds.slash_burn_bps
    return *least, parameters.timing.unbond_delay, *cuts


def _licenses(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    owners = [oracle.owner for oracle in parameters.oracles]
    contracts = at["TrustRegistry"], at["FeeVault"]
    terms = parameters.timing.relink_delay, parameters.levels.owner, bond_terms(parameters)
    return *contracts, *terms, owners


def _committee(parameters: Parameters, genesis: int, at: Addresses) -> tuple[Any, ...]:
    # The constructor of NodeLicense issues ids from 1 in the order of the oracles.
    seats = [(index, oracle.signer) for index, oracle in enumerate(parameters.oracles, start=1)]
    timing = parameters.timing
    contracts = at["TrustRegistry"], at["NodeLicense"]
    return *contracts, genesis, timing.window, timing.challenge, seats


def _tariff(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    classes = [tuple(item.model_dump().values()) for item in parameters.classes]
    return at["TrustRegistry"], classes, tuple(parameters.policy.model_dump().values())


def _desk(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    return at["OracleCommittee"], at["TestUSD"], parameters.timing.close_grace


def tiers_of(sale: Sale) -> list[tuple[int, int]]:
    """Return units and price of the sale's tiers as its constructor takes them."""
    return [(tier.units, tier.price) for tier in sale.tiers]


def _sale(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    if parameters.sale is None:
        raise ValueError("sale: there is none")
    sale = parameters.sale
    contracts = at["TrustRegistry"], at["NodeLicense"]
    return *contracts, tiers_of(sale), sale.limit, sale.buyer_level


def _of(*names: str) -> _Arguments:
    """Return what takes the addresses of some contracts as its arguments."""
    return lambda _parameters, _genesis, at: tuple(at[name] for name in names)


_STEPS: Final = (
    Step("TestUSD", "TestUSD", (), _of()),
    Step("Timelock", "Timelock", (), _timelock),
    Step("TrustRegistry", "TrustRegistry", ("Timelock",), _trust),
    Step("ProtocolToken", "ProtocolToken", ("TrustRegistry",), _protocol),
    Step("BurnAuction", "BurnAuction", ("TestUSD", "ProtocolToken"), _auction),
    Step("FeeVault", "FeeVault", ("BurnAuction",), _of("TestUSD", "TrustRegistry", "BurnAuction")),
    Step("NodeLicense", "NodeLicense", ("FeeVault",), _licenses),
    Step(
        "bind_licenses",
        "TrustRegistry",
        ("NodeLicense",),
        _of("NodeLicense"),
        method="bind_licenses",
    ),
    Step("OracleCommittee", "OracleCommittee", ("NodeLicense",), _committee),
    Step(
        "bind_committee",
        "NodeLicense",
        ("OracleCommittee",),
        _of("OracleCommittee"),
        method="bind_committee",
    ),
    Step("Tariff", "Tariff", ("TrustRegistry",), _tariff),
    Step("JobDesk", "JobDesk", ("OracleCommittee",), _desk),
    Step(
        "JobEscrow",
        "JobEscrow",
        ("Tariff", "JobDesk"),
        _of("TrustRegistry", "NodeLicense", "OracleCommittee", "Tariff", "JobDesk"),
    ),
    Step("publish_tariff", "Tariff", ("JobEscrow",), _of("JobEscrow"), method="bind_escrow"),
    Step("bind_desk", "JobDesk", ("JobEscrow",), _of("JobEscrow"), method="bind_escrow"),
    Step("JobLens", "JobLens", ("JobEscrow",), _of("JobEscrow")),
    Step("LicenseSale", "LicenseSale", ("NodeLicense",), _sale),
)


def steps_of(parameters: Parameters) -> tuple[Step, ...]:
    """Return the steps in the order of their nonces, less those that the parameters leave out."""
    left_out = set()
    if parameters.token != TEST_DOLLAR:
        left_out.add("TestUSD")
    if parameters.timing.timelock_delay is None:
        left_out.add("Timelock")
    if parameters.sale is None:
        left_out.add("LicenseSale")
    return tuple(step for step in _STEPS if step.name not in left_out)


def message_of(
    step: Step, artifacts: Artifacts, parameters: Parameters, genesis: int, at: Addresses
) -> Message:
    """Return what the transaction of a step says; `at` holds at least the contracts it needs."""
    arguments = step.arguments(parameters, genesis, at)
    container = ContractContainer(artifacts[step.contract])
    if step.method is None:
        deployment = container.constructor.serialize_transaction(*arguments)
        return Message(to=None, data=bytes(deployment.data))
    address = at[step.contract]
    method = getattr(instance(container, address), step.method)
    return Message(to=address, data=bytes(method.encode_input(*arguments)))


def instance(container: ContractContainer, address: str) -> ContractInstance:
    """Return a contract at an address; nothing is asked of explorers or proxies."""
    return container.at(AddressType(address), fetch_from_explorer=False, detect_proxy=False)
