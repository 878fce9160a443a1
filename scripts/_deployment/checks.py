"""Whether what stands on chain is what a deployment records.

What nobody can change must be as recorded: code, constructor arguments, calendar, bound contracts,
the first policy. What the governor may change since is compared too, and told, not refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ape.contracts import ContractContainer, ContractInstance
from ape.exceptions import ApeException
from hexbytes import HexBytes
from web3.exceptions import Web3Exception

from scripts._deployment.artifacts import Artifacts
from scripts._deployment.engine import NOT_DEPLOYED_HERE, one_line
from scripts._deployment.errors import DeployError
from scripts._deployment.node import Node
from scripts._deployment.plan import (
    TOKEN,
    auction_terms,
    bond_terms,
    governor_of,
    instance,
    message_of,
    steps_of,
)
from scripts._deployment.record import Draft, created_address
from workdeed.chain.deployment import DeployedContract, Deployment
from workdeed.chain.parameters import TEST_DOLLAR, Parameters

FIRST_POLICY: Final = 1
WORD_BYTES: Final = 32


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


def is_restarted(record: Draft | Deployment, node: Node) -> bool:
    """Return whether a local chain has been restarted, or rolled back, since a record of it.

    Always False for a public chain, which has no reason to lose contracts.
    """
    if not node.local:
        return False
    if isinstance(record, Draft):
        return node.block_hash(record.begun_block) != record.begun_hash
    contracts = record.contracts.values()
    return not all(node.code(contract.address) for contract in contracts) or not all(
        contract.tx == NOT_DEPLOYED_HERE or node.transaction(contract.tx) for contract in contracts
    )


def check(
    deployment: Deployment, parameters: Parameters, artifacts: Artifacts, node: Node
) -> list[Fact]:
    """Compare a deployment with the chain, and return what the governor changed since.

    Raises:
        DeployError: if something that nobody can change is not as recorded.

    """
    _check_contracts(deployment, parameters, artifacts, node)
    try:
        facts = list(_facts(deployment, parameters, artifacts))
    except (ApeException, Web3Exception) as error:
        raise DeployError(f"contracts: they cannot be read: {one_line(error)}") from error
    changed = [fact for fact in facts if fact.stands != fact.recorded]
    for fact in changed:
        if not fact.governed:
            raise DeployError(
                f"{fact.name}: {fact.stands} stands on chain {deployment.chain_id}, and the record"
                f" says {fact.recorded}; use the file of this chain"
            )
    return changed


def _check_contracts(
    deployment: Deployment, parameters: Parameters, artifacts: Artifacts, node: Node
) -> None:
    """Check code and origin of every contract."""
    at = {name: contract.address for name, contract in deployment.contracts.items()}
    for step in steps_of(parameters):
        if step.method is not None:
            continue
        contract = deployment.contracts[step.contract]
        _check_code(step.contract, contract, artifacts, node)
        data = message_of(step, artifacts, parameters, deployment.genesis, at).data
        _check_origin(step.contract, contract, data, node)
    if parameters.token != TEST_DOLLAR and not node.code(parameters.token):
        raise DeployError(f"token: no contract at {parameters.token}; name the settlement token")


def _check_code(name: str, contract: DeployedContract, artifacts: Artifacts, node: Node) -> None:
    """Check that the code is the compiler's, with words of immutables behind it."""
    stands = node.code(contract.address)
    if not stands:
        raise DeployError(f"{name}: no code at {contract.address}; use the file of this chain")
    compiled = _runtime(artifacts, name)
    immutables = len(stands) - len(compiled)
    if not stands.startswith(compiled) or immutables < 0 or immutables % WORD_BYTES:
        raise DeployError(
            f"{name}: the code at {contract.address} is not what contracts/{name}.vy compiles to;"
            " check out the sources it was deployed from, or move the file away to deploy anew"
        )


def _runtime(artifacts: Artifacts, name: str) -> bytes:
    """Return the compiled runtime code, without immutables."""
    compiled = artifacts[name].runtime_bytecode
    if compiled is None or not compiled.bytecode:
        raise DeployError(f"contracts: {name} compiles to no code")
    return bytes(HexBytes(compiled.bytecode))


def _check_origin(name: str, contract: DeployedContract, data: bytes, node: Node) -> None:
    """Check that the recorded transaction created the contract with the recorded arguments."""
    transaction = node.transaction(contract.tx)
    if transaction is None:
        raise DeployError(f"{name}: the chain knows no transaction 0x{contract.tx.hex()}")
    created = created_address(str(transaction["from"]), int(transaction["nonce"]))
    if transaction.get("to") or created != contract.address:
        raise DeployError(
            f"{name}: transaction 0x{contract.tx.hex()} did not create {contract.address}"
        )
    if bytes(transaction["input"]) != data:
        raise DeployError(
            f"{name}: it was not deployed with the recorded parameters; correct the file"
        )
    if transaction.get("blockNumber") != contract.block:
        raise DeployError(
            f"{name}: block {transaction.get('blockNumber')} created it, and the record says"
            f" {contract.block}"
        )


def _facts(deployment: Deployment, parameters: Parameters, artifacts: Artifacts) -> Iterator[Fact]:
    at = {name: contract.address for name, contract in deployment.contracts.items()}
    contracts = {
        name: instance(ContractContainer(artifacts[name]), address) for name, address in at.items()
    }
    yield from _registry_facts(contracts["TrustRegistry"], parameters, at)
    yield from _license_facts(contracts["NodeLicense"], parameters, at)
    yield from _vault_facts(contracts, parameters, at)
    yield from _committee_facts(contracts["OracleCommittee"], deployment, parameters, at)
    yield from _escrow_facts(contracts["JobEscrow"], deployment, at)
    yield from _desk_facts(contracts["JobDesk"], parameters, at)
    yield from _tariff_facts(contracts["Tariff"], parameters, at)
    if "Timelock" in contracts:
        yield from _timelock_facts(contracts["Timelock"], parameters)
    if "LicenseSale" in contracts:
        yield from _sale_facts(contracts["LicenseSale"], contracts["TrustRegistry"], parameters)


def _registry_facts(
    registry: ContractInstance, parameters: Parameters, at: dict[str, str]
) -> Iterator[Fact]:
    roles = parameters.roles
    yield Fact("TrustRegistry.licenses", at["NodeLicense"], registry.licenses())
    period = parameters.timing.freeze_period
    yield Fact("TrustRegistry.FREEZE_PERIOD", period, registry.FREEZE_PERIOD())
    governor = governor_of(parameters, at)
    yield Fact("governor", governor, registry.governor(), governed=True)
    yield Fact("treasury", roles.treasury, registry.treasury(), governed=True)
    yield Fact("guardian", roles.guardian, registry.guardian(), governed=True)
    for issuer in roles.issuers:
        yield Fact(f"issuer {issuer}", True, registry.is_issuer(issuer), governed=True)


def _license_facts(
    licenses: ContractInstance, parameters: Parameters, at: dict[str, str]
) -> Iterator[Fact]:
    yield Fact("NodeLicense.committee", at["OracleCommittee"], licenses.committee())
    yield Fact("NodeLicense.TRUST", at["TrustRegistry"], licenses.TRUST())
    delay = parameters.timing.relink_delay
    yield Fact("NodeLicense.RELINK_DELAY", delay, licenses.RELINK_DELAY())
    level = parameters.levels.owner
    yield Fact("NodeLicense.OWNER_LEVEL", level, licenses.OWNER_LEVEL())
    yield Fact("NodeLicense.VAULT", at["FeeVault"], licenses.VAULT())
    node, oracle, delay, cap, *split = bond_terms(parameters)
    yield Fact("NodeLicense.MIN_NODE_BOND", node, licenses.MIN_NODE_BOND())
    yield Fact("NodeLicense.MIN_ORACLE_BOND", oracle, licenses.MIN_ORACLE_BOND())
    yield Fact("NodeLicense.UNBOND_DELAY", delay, licenses.UNBOND_DELAY())
    yield Fact("NodeLicense.SLASH_CAP_BPS", cap, licenses.SLASH_CAP_BPS())
    stands = [licenses.slash_payer_bps(), licenses.slash_burn_bps()]
    yield Fact("split of slashed bonds", split, stands, governed=True)


def _vault_facts(
    contracts: dict[str, ContractInstance], parameters: Parameters, at: dict[str, str]
) -> Iterator[Fact]:
    vault, auction = contracts["FeeVault"], contracts["BurnAuction"]
    yield Fact("FeeVault.TOKEN", at["TestUSD"], vault.TOKEN())
    yield Fact("FeeVault.TRUST", at["TrustRegistry"], vault.TRUST())
    yield Fact("FeeVault.AUCTION", at["BurnAuction"], vault.AUCTION())
    yield Fact("BurnAuction.TOKEN", at["TestUSD"], auction.TOKEN())
    yield Fact("BurnAuction.PROTOCOL_TOKEN", at["ProtocolToken"], auction.PROTOCOL_TOKEN())
    yield Fact("BurnAuction.TRUST", at["TrustRegistry"], auction.TRUST())
    terms = tuple(auction.terms())
    yield Fact("terms of the auction", auction_terms(parameters), terms, governed=True)
    cap = parameters.protocol.cap * TOKEN
    yield Fact("ProtocolToken.CAP", cap, contracts["ProtocolToken"].CAP())
    yield Fact("ProtocolToken.TRUST", at["TrustRegistry"], contracts["ProtocolToken"].TRUST())


def _committee_facts(
    committee: ContractInstance,
    deployment: Deployment,
    parameters: Parameters,
    at: dict[str, str],
) -> Iterator[Fact]:
    yield Fact("OracleCommittee.GENESIS", deployment.genesis, committee.GENESIS())
    yield Fact("OracleCommittee.WINDOW", deployment.window, committee.WINDOW())
    yield Fact("OracleCommittee.CHALLENGE", deployment.challenge, committee.CHALLENGE())
    yield Fact("OracleCommittee.TRUST", at["TrustRegistry"], committee.TRUST())
    yield Fact("OracleCommittee.LICENSES", at["NodeLicense"], committee.LICENSES())
    for index, oracle in enumerate(parameters.oracles):
        seat = tuple(committee.seat(index))
        yield Fact(f"seat {index}", (index + 1, oracle.signer), seat, governed=True)


def _escrow_facts(
    escrow: ContractInstance, deployment: Deployment, at: dict[str, str]
) -> Iterator[Fact]:
    yield Fact("JobEscrow.TOKEN", at["TestUSD"], escrow.TOKEN())
    yield Fact("JobEscrow.TRUST", at["TrustRegistry"], escrow.TRUST())
    yield Fact("JobEscrow.LICENSES", at["NodeLicense"], escrow.LICENSES())
    yield Fact("JobEscrow.COMMITTEE", at["OracleCommittee"], escrow.COMMITTEE())
    yield Fact("JobEscrow.GENESIS", deployment.genesis, escrow.GENESIS())
    yield Fact("JobEscrow.WINDOW", deployment.window, escrow.WINDOW())
    yield Fact("JobEscrow.TARIFF", at["Tariff"], escrow.TARIFF())
    yield Fact("JobEscrow.DESK", at["JobDesk"], escrow.DESK())
    yield Fact("JobEscrow.VAULT", at["FeeVault"], escrow.VAULT())


def _desk_facts(
    desk: ContractInstance, parameters: Parameters, at: dict[str, str]
) -> Iterator[Fact]:
    yield Fact("JobDesk.escrow", at["JobEscrow"], desk.escrow())
    yield Fact("JobDesk.COMMITTEE", at["OracleCommittee"], desk.COMMITTEE())
    yield Fact("JobDesk.TOKEN", at["TestUSD"], desk.TOKEN())
    grace = parameters.timing.close_grace
    yield Fact("JobDesk.CLOSE_GRACE", grace, desk.CLOSE_GRACE())


def _timelock_facts(timelock: ContractInstance, parameters: Parameters) -> Iterator[Fact]:
    delay = parameters.timing.timelock_delay
    yield Fact("Timelock.get_minimum_delay", delay, timelock.get_minimum_delay())
    proposes = timelock.hasRole(timelock.PROPOSER_ROLE(), parameters.roles.governor)
    yield Fact("governor proposes", True, proposes, governed=True)


def _sale_facts(
    sale: ContractInstance, registry: ContractInstance, parameters: Parameters
) -> Iterator[Fact]:
    if parameters.sale is not None:
        yield Fact("LicenseSale.LIMIT", parameters.sale.limit, sale.LIMIT())
        yield Fact("LicenseSale is open", False, registry.is_issuer(sale.address), governed=True)


def _tariff_facts(
    tariff: ContractInstance, parameters: Parameters, at: dict[str, str]
) -> Iterator[Fact]:
    yield Fact("Tariff.escrow", at["JobEscrow"], tariff.escrow())
    yield Fact("Tariff.TRUST", at["TrustRegistry"], tariff.TRUST())
    policy = tuple(parameters.policy.model_dump().values())
    yield Fact("policy 1", policy, tuple(tariff.policy_of(FIRST_POLICY)))
    version = tariff.policy_version()
    yield Fact("policy version of new jobs", FIRST_POLICY, version, governed=True)
    for class_id, terms in enumerate(parameters.classes, start=1):
        offer = (*terms.model_dump().values(), True, False)
        stands = tuple(tariff.class_of(class_id))
        yield Fact(f"class {class_id}", offer, stands, governed=True)
