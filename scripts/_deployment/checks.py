"""Whether what stands on chain is what a deployment records.

What nobody can change must be as recorded: code, constructor arguments, and what the contracts then
say of themselves. What the governor may change since is compared too, and told, not refused.
"""

from typing import Final

from ape.exceptions import ApeException
from hexbytes import HexBytes
from web3.exceptions import Web3Exception

from scripts._deployment.artifacts import Artifacts
from scripts._deployment.engine import NOT_DEPLOYED_HERE, one_line
from scripts._deployment.errors import DeployError
from scripts._deployment.facts import Fact, facts_of
from scripts._deployment.node import Node
from scripts._deployment.plan import message_of, steps_of
from scripts._deployment.record import Draft, created_address
from workdeed.chain.deployment import DeployedContract, Deployment
from workdeed.chain.parameters import TEST_DOLLAR, Parameters

WORD_BYTES: Final = 32


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
        facts = list(facts_of(deployment, parameters, artifacts))
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
