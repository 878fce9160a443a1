"""What a deployment sends, in order, and what each transaction needs to stand before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ape.contracts import ContractContainer, ContractInstance
from ape.types import AddressType

from scripts._deployment.artifacts import Artifacts
from workdeed.chain.parameters import TEST_DOLLAR, Parameters

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


def _trust(parameters: Parameters, _genesis: int, _at: Addresses) -> tuple[Any, ...]:
    roles = parameters.roles
    issuers = list(roles.issuers)
    return roles.governor, roles.guardian, issuers, parameters.timing.freeze_period


def _licenses(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    owners = [oracle.owner for oracle in parameters.oracles]
    timing, levels = parameters.timing, parameters.levels
    return at["TrustRegistry"], timing.relink_delay, levels.owner, owners


def _committee(parameters: Parameters, genesis: int, at: Addresses) -> tuple[Any, ...]:
    # The constructor of NodeLicense issues ids from 1 in the order of the oracles.
    seats = [(index, oracle.signer) for index, oracle in enumerate(parameters.oracles, start=1)]
    timing = parameters.timing
    contracts = at["TrustRegistry"], at["NodeLicense"]
    return *contracts, genesis, timing.window, timing.challenge, seats


def _escrow(parameters: Parameters, _genesis: int, at: Addresses) -> tuple[Any, ...]:
    classes = [tuple(item.model_dump().values()) for item in parameters.classes]
    policy = tuple(parameters.policy.model_dump().values())
    contracts = at["TestUSD"], at["TrustRegistry"], at["NodeLicense"], at["OracleCommittee"]
    return *contracts, parameters.timing.close_grace, classes, policy


_STEPS: Final = (
    Step("TestUSD", "TestUSD", (), lambda *_: ()),
    Step("TrustRegistry", "TrustRegistry", (), _trust),
    Step("NodeLicense", "NodeLicense", ("TrustRegistry",), _licenses),
    Step(
        "bind_licenses",
        "TrustRegistry",
        ("NodeLicense",),
        lambda _parameters, _genesis, at: (at["NodeLicense"],),
        method="bind_licenses",
    ),
    Step("OracleCommittee", "OracleCommittee", ("NodeLicense",), _committee),
    Step(
        "bind_committee",
        "NodeLicense",
        ("OracleCommittee",),
        lambda _parameters, _genesis, at: (at["OracleCommittee"],),
        method="bind_committee",
    ),
    Step("JobEscrow", "JobEscrow", ("TestUSD", "OracleCommittee"), _escrow),
)


def steps_of(parameters: Parameters) -> tuple[Step, ...]:
    """Return the steps in the order of their nonces; a token that exists is not deployed."""
    if parameters.token == TEST_DOLLAR:
        return _STEPS
    return tuple(step for step in _STEPS if step.name != "TestUSD")


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
