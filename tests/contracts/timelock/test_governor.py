"""The governor's role in the timelock's hands: every function through it, and none around it.

Which functions the governor has is read from the sources: a new one without a case here fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from vyper.ast import nodes as vy_ast
from vyper.ast import parse_to_ast

from tests.contracts import evm
from tests.contracts.burn_auction.auctions import TERMS, deploy_sale
from tests.contracts.evm import Contract
from tests.contracts.evm.artifacts import CONTRACTS
from tests.contracts.system import (
    CLASSES,
    EVIDENCE,
    FROZEN,
    ORACLE,
    POLICY,
    SUSPENDED,
    ZERO_ADDRESS,
    System,
    account,
    private_key,
    subject,
)
from tests.contracts.timelock.operations import (
    DELAY,
    NOT_READY,
    Governed,
    deploy_timelock,
    operation,
)
from workdeed.protocol.signing import address_of

NEWCOMER = account("newcomer")
BOND = 10**9
GOVERNOR_CHECKS = {("roles", "_check_governor"), ("ownable", "_check_owner"), ("ownable", "owner")}
INHERITED = {("TrustRegistry", "transfer_ownership")}
"""Exported from a module, and for the governor."""


@dataclass
class World:
    """A system that a timelock governs, with something for every function to act on.

    Attributes:
        node: a bonded node license.
        oracle: an oracle license without a seat; its node is linked.

    """

    governed: Governed
    auction: Contract
    protocol: Contract
    node: int
    oracle: int

    @property
    def system(self) -> System:
        """The system."""
        return self.governed.system

    def contract(self, name: str) -> Contract:
        """Return a contract by its name."""
        system = self.system
        return {
            "TrustRegistry": system.trust,
            "NodeLicense": system.licenses,
            "OracleCommittee": system.committee,
            "Tariff": system.tariff,
            "JobDesk": system.desk,
            "BurnAuction": self.auction,
            "ProtocolToken": self.protocol,
        }[name]


@pytest.fixture
def world(system: System) -> World:
    """Hand the role over and prepare what the functions act on."""
    governed = deploy_timelock(system)
    sale = deploy_sale(system)
    node = system.issue_node()
    system.post_bond(node, BOND)
    oracle = system.issue(system.operators[1], ORACLE)
    system.link(oracle, private_key("newly seated oracle"))
    governed.hand_over()
    return World(governed, sale.auction, sale.protocol, node, oracle)


@dataclass(frozen=True)
class Act:
    """A function of the governor.

    Attributes:
        arguments: what it is called with.
        state: what it changes.
        refusal: how everybody else is refused.

    """

    arguments: Callable[[World], tuple[Any, ...]]
    state: Callable[[World], Any]
    refusal: str = "roles: not the governor"


def of_registry(
    arguments: Callable[[World], tuple[Any, ...]], state: Callable[[World], Any]
) -> Act:
    """Return an act of the registry, which is refused by its owner's check."""
    return Act(arguments, state, "ownable: caller is not the owner")


def standing(world: World) -> int:
    """Return the standing of the stranger."""
    return int(world.system.trust.account_standing(world.system.stranger))


ACTS: dict[tuple[str, str], Act] = {
    ("TrustRegistry", "set_guardian"): of_registry(
        lambda _: (NEWCOMER,), lambda world: world.system.trust.guardian()
    ),
    ("TrustRegistry", "set_treasury"): of_registry(
        lambda _: (NEWCOMER,), lambda world: world.system.trust.treasury()
    ),
    ("TrustRegistry", "set_issuer"): of_registry(
        lambda _: (NEWCOMER, True), lambda world: world.system.trust.is_issuer(NEWCOMER)
    ),
    ("TrustRegistry", "suspend"): of_registry(
        lambda world: (subject(world.system.stranger), 2**39, 1, EVIDENCE), standing
    ),
    ("TrustRegistry", "blacklist"): of_registry(
        lambda world: (subject(world.system.stranger), 1, EVIDENCE), standing
    ),
    ("TrustRegistry", "reinstate"): of_registry(
        lambda world: (subject(world.system.stranger), 7, EVIDENCE),
        lambda world: world.system.trust.standing_of(subject(world.system.stranger))[2],
    ),
    ("TrustRegistry", "revoke"): Act(
        lambda world: (world.system.payer,),
        lambda world: world.system.trust.attested_level(world.system.payer),
        "trust: not its issuer",
    ),
    ("TrustRegistry", "transfer_ownership"): of_registry(
        lambda _: (NEWCOMER,), lambda world: world.system.trust.pending_owner()
    ),
    ("NodeLicense", "slash"): Act(
        lambda world: (world.node, 5, EVIDENCE, ZERO_ADDRESS),
        lambda world: world.system.licenses.bond_of(world.node)[0],
        "license: not a slasher",
    ),
    ("NodeLicense", "set_slash_split"): Act(
        lambda _: (1, 2), lambda world: world.system.licenses.slash_burn_bps()
    ),
    ("OracleCommittee", "add_seat"): Act(
        lambda world: (world.oracle, address_of(private_key("newly seated oracle"))),
        lambda world: world.system.committee.is_seated(world.oracle),
    ),
    ("OracleCommittee", "remove_seat"): Act(
        lambda _: (1,), lambda world: world.system.committee.seat_count()
    ),
    ("Tariff", "set_class"): Act(
        lambda _: (1, (5, *CLASSES[0][1:])), lambda world: world.system.tariff.class_of(1)
    ),
    ("Tariff", "retire_class"): Act(lambda _: (1,), lambda world: world.system.tariff.class_of(1)),
    ("Tariff", "add_policy"): Act(
        lambda _: (POLICY,), lambda world: world.system.tariff.policy_version()
    ),
    ("BurnAuction", "set_terms"): Act(
        lambda _: (TERMS._replace(min_lot=1),), lambda world: world.auction.terms()
    ),
    ("ProtocolToken", "mint"): Act(
        lambda _: (NEWCOMER, 1), lambda world: world.protocol.totalSupply()
    ),
}

BINDINGS: dict[tuple[str, str], str] = {
    ("TrustRegistry", "bind_licenses"): "trust: already bound",
    ("NodeLicense", "bind_committee"): "license: already bound",
    ("Tariff", "bind_escrow"): "tariff: already bound",
    ("JobDesk", "bind_escrow"): "desk: already bound",
}
"""What the deployer may call once, and how it is refused afterwards."""

every_act = pytest.mark.parametrize("act", ACTS, ids=lambda act: ".".join(act))


def external_functions(path: Path) -> Iterator[vy_ast.FunctionDef]:
    """Yield the functions of a contract that may write."""
    for function in parse_to_ast(path.read_text()).get_children(vy_ast.FunctionDef):
        decorators = {one.id for one in function.decorator_list if isinstance(one, vy_ast.Name)}
        if "external" in decorators and not decorators & {"view", "pure"}:
            yield function


def asks_for_the_governor(function: vy_ast.FunctionDef) -> bool:
    """Return whether a function compares its caller with the governor."""
    for one in function.get_descendants(vy_ast.Attribute):
        owner = one.value.id if isinstance(one.value, vy_ast.Name) else ""
        if (owner, one.attr) in GOVERNOR_CHECKS or one.attr == "governor":
            return True
    return False


def asks_for_the_deployer(function: vy_ast.FunctionDef) -> bool:
    """Return whether a function compares its caller with the deployer."""
    return any(one.id == "_DEPLOYER" for one in function.get_descendants(vy_ast.Name))


def functions_where(fits: Callable[[vy_ast.FunctionDef], bool]) -> set[tuple[str, str]]:
    """Return contract and name of every external function that fits."""
    return {
        (path.stem, function.name)
        for path in CONTRACTS.glob("*.vy")
        for function in external_functions(path)
        if fits(function)
    }


def test_every_function_of_the_governor_has_a_case() -> None:
    """G26."""
    assert functions_where(asks_for_the_governor) | INHERITED == set(ACTS)


@every_act
def test_governor_acts_through_the_timelock_once_the_delay_is_over(
    world: World, act: tuple[str, str]
) -> None:
    """G26: not a second earlier."""
    one, governed = ACTS[act], world.governed
    before = one.state(world)
    scheduled = operation(world.contract(act[0]), act[1], *one.arguments(world))

    with evm.reverts(NOT_READY):
        governed.execute(scheduled, sender=governed.proposer)
    governed.schedule(scheduled)
    world.system.wait(DELAY - 1)
    with evm.reverts(NOT_READY):
        governed.execute(scheduled, sender=governed.proposer)
    assert one.state(world) == before
    world.system.wait(1)
    governed.execute(scheduled)

    assert one.state(world) != before


@every_act
@pytest.mark.parametrize("role", ["governor", "guardian", "treasury", "deployer", "stranger"])
def test_nobody_acts_around_the_timelock(world: World, act: tuple[str, str], role: str) -> None:
    """G26: neither who proposes nor who deployed."""
    one, sender = ACTS[act], getattr(world.system, role)
    before = one.state(world)

    with evm.reverts(one.refusal):
        getattr(world.contract(act[0]), act[1])(*one.arguments(world), sender=sender)

    assert one.state(world) == before


def test_role_is_handed_over_by_the_timelocks_own_operation(system: System) -> None:
    """Until it is executed, the former governor governs."""
    governed = deploy_timelock(system)
    system.trust.transfer_ownership(governed.timelock, sender=system.governor)
    accepting = operation(system.trust, "accept_ownership")
    governed.schedule(accepting)
    assert system.trust.governor() == system.governor
    system.wait(DELAY)

    governed.execute(accepting)

    assert system.trust.governor() == governed.timelock.address
    assert system.trust.pending_owner() == ZERO_ADDRESS


def test_role_is_handed_to_another_timelock_behind_both_delays(world: World) -> None:
    """How a delay is changed: by another timelock."""
    trust, successor = world.system.trust, deploy_timelock(world.system, delay=DELAY // 2)

    world.governed.carry_out(operation(trust, "transfer_ownership", successor.timelock.address))
    successor.carry_out(operation(trust, "accept_ownership"))

    assert trust.governor() == successor.timelock.address
    suspending = operation(trust, "set_guardian", NEWCOMER)
    world.governed.schedule(suspending)
    world.system.wait(DELAY)
    with evm.reverts("ownable: caller is not the owner"):
        world.governed.execute(suspending)


def test_deployer_has_bound_everything_and_keeps_nothing(system: System) -> None:
    """G26: every function that asks for the deployer has had its one call."""
    assert functions_where(asks_for_the_deployer) == set(BINDINGS)
    contracts = {
        "TrustRegistry": system.trust,
        "NodeLicense": system.licenses,
        "Tariff": system.tariff,
        "JobDesk": system.desk,
    }
    for (name, function), reason in BINDINGS.items():
        with evm.reverts(reason):
            getattr(contracts[name], function)(NEWCOMER, sender=system.deployer)


def test_suspension_follows_a_freeze_without_a_gap(world: World) -> None:
    """What `TIMELOCK_DELAY < FREEZE_PERIOD * 6/7` is for: a frozen offender does not get away."""
    system = world.system
    assert system.freeze_period * 6 // 7 > DELAY
    suspending = operation(
        system.trust, "suspend", subject(world.node), evm.env.timestamp + 10**6, 1, EVIDENCE
    )
    system.freeze(world.node)
    world.governed.schedule(suspending)
    system.wait(DELAY)
    assert system.trust.standing_of(subject(world.node))[0] == FROZEN

    world.governed.execute(suspending)

    assert system.trust.standing_of(subject(world.node))[0] == SUSPENDED


def test_slash_through_the_timelock_finds_the_bond_that_an_offender_asked_back(
    world: World,
) -> None:
    """L25: what `UNBOND_DELAY > FREEZE_PERIOD + TIMELOCK_DELAY` is for."""
    system, licenses = world.system, world.system.licenses
    owner = system.operator_of(world.node)
    licenses.request_unbond(world.node, BOND, sender=owner)
    system.wait(licenses.UNBOND_DELAY() - DELAY - 1)
    slashing = operation(licenses, "slash", world.node, BOND, EVIDENCE, ZERO_ADDRESS)
    world.governed.schedule(slashing)
    system.wait(DELAY)
    with evm.reverts("license: unbond delay"):
        licenses.withdraw_bond(world.node, sender=owner)

    world.governed.execute(slashing)

    assert licenses.bond_of(world.node)[1] == BOND - BOND * licenses.SLASH_CAP_BPS() // 10_000
