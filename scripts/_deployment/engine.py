"""Sends the steps of a deployment, and takes up again what an earlier run left.

Nothing is sent twice: nonce and hash of a transaction are on the disk before it leaves; one that is
in no block and no pool is sent again with the same nonce; and what the deployer sent without a
record of it is recognised by its receiver and input.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ape.api import AccountAPI, TransactionAPI
from ape.exceptions import AccountsError, ApeException
from web3.exceptions import Web3Exception
from web3.types import TxReceipt

from scripts._deployment.artifacts import Artifacts
from scripts._deployment.errors import DeployError
from scripts._deployment.node import Node
from scripts._deployment.plan import Message, Step, message_of, steps_of
from scripts._deployment.record import Draft, Sent, write_record
from workdeed.chain.deployment import DeployedContract, Deployment
from workdeed.chain.parameters import TEST_DOLLAR, Parameters

GAS_MARGIN_PERCENT = 20
NOT_DEPLOYED_HERE = bytes(32)
"""The transaction hash of a token that existed before the deployment."""


class Engine:
    """One deployment under way.

    Attributes:
        draft: what was sent so far; on the disk after every change.

    """

    def __init__(
        self,
        draft: Draft,
        path: Path,
        node: Node,
        account: AccountAPI,
        artifacts: Artifacts,
        parameters: Parameters,
        tell: Callable[[str], None],
    ) -> None:
        self.draft = draft
        self._path = path
        self._node = node
        self._account = account
        self._artifacts = artifacts
        self._parameters = parameters
        self._tell = tell
        self._steps = steps_of(parameters)

    def run(self) -> Deployment:
        """Send what is missing, wait for it, and return the record.

        Raises:
            DeployError: if a transaction is refused, reverts or stays in no block.

        """
        self._recover()
        while missing := [step for step in self._steps if step.name not in self.draft.steps]:
            wave = [step for step in missing if all(self._stands(need) for need in step.needs)]
            for step in wave:
                self._send(step, self._next_nonce())
            for step in wave:
                self._settle(step)
        return self._record()

    def _stands(self, need: str) -> bool:
        """Whether a step is in a block, or its contract was there before."""
        if need not in {step.name for step in self._steps}:
            return True
        sent = self.draft.steps.get(need)
        return sent is not None and sent.block is not None

    def _recover(self) -> None:
        """Find out what became of the transactions of an earlier run."""
        for step, sent in self._sent():
            if not all(self._stands(need) for need in step.needs):
                self._forget(step)
            elif sent.block is None or self._node.receipt(sent.tx) is None:
                self._resume(step, sent)
        known = {sent.nonce for sent in self.draft.steps.values()}
        used = set(range(self.draft.first_nonce, self._node.nonce(self.draft.deployer)))
        if used - known:
            self._adopt(used - known)

    def _sent(self) -> list[tuple[Step, Sent]]:
        """Return what is recorded as sent, in the order of the nonces: no later one goes first."""
        steps = {step.name: step for step in self._steps}
        recorded = [(steps[name], sent) for name, sent in self.draft.steps.items()]
        return sorted(recorded, key=lambda item: item[1].nonce)

    def _resume(self, step: Step, sent: Sent) -> None:
        """Settle a transaction that was not seen in a block, or is in none any more."""
        if self._node.receipt(sent.tx) is not None or self._node.transaction(sent.tx) is not None:
            self._settle(step)
        elif self._node.nonce(self.draft.deployer) == sent.nonce:
            self._send(step, sent.nonce)
            self._settle(step)
        elif self._node.late_receipt(sent.tx) is not None:
            self._settle(step)
        else:
            # Another transaction took the nonce: a replacement, which is adopted, or a foreign one.
            # Or a nonce before it is free, behind which it would wait for ever.
            self._forget(step)

    def _adopt(self, nonces: set[int]) -> None:
        """Take over the deployer's transactions that are steps of this deployment."""
        found = self._node.sent_since(self.draft.deployer, self.draft.begun_block)
        for step in self._steps:
            if step.name in self.draft.steps or not all(self._stands(need) for need in step.needs):
                continue
            message = self._message(step)
            for nonce in sorted(nonces & found.keys()):
                transaction = found[nonce]
                same_receiver = transaction.get("to") == message.to
                receipt = self._node.receipt(bytes(transaction["hash"]))
                succeeded = receipt is not None and receipt["status"] == 1
                if same_receiver and bytes(transaction["input"]) == message.data and succeeded:
                    nonces.discard(nonce)
                    block = int(transaction["blockNumber"])
                    self._note(step, Sent(nonce=nonce, tx=bytes(transaction["hash"]), block=block))
                    self._tell(f"{step.name}: found where an earlier run left it")
                    break

    def _send(self, step: Step, nonce: int) -> None:
        """Sign and record, then send."""
        try:
            transaction = self._prepare(self._message(step), nonce)
            signed = self._account.sign_transaction(transaction)
        except AccountsError as error:
            # ape's sentence on a balance that is too low is three long.
            raise DeployError(
                f"{step.name}: {self._account.address} cannot send it with a balance of"
                f" {self._account.balance} wei; send it ether and run the same command again"
            ) from error
        except (ApeException, Web3Exception) as error:
            raise DeployError(f"{step.name}: {one_line(error)}") from error
        if signed is None:
            raise DeployError(f"{step.name}: the account did not sign the transaction")
        tx = bytes(signed.txn_hash)
        self._note(step, Sent(nonce=nonce, tx=tx))
        try:
            self._node.send(bytes(signed.serialize_transaction()))
        except Web3Exception as error:
            if self._node.transaction(tx) is None:
                raise DeployError(
                    f"{step.name}: the node refused the transaction: {one_line(error)}"
                ) from error

    def _prepare(self, message: Message, nonce: int) -> TransactionAPI:
        """Return a transaction with nonce, fees and gas limit."""
        fields: dict[str, Any] = {
            "sender": self._account.address,
            "nonce": nonce,
            "data": message.data,
            "value": 0,
        }
        if message.to is not None:
            fields["receiver"] = message.to
        ecosystem = self._node.provider.network.ecosystem
        draft = ecosystem.create_transaction(**fields)
        # ape takes a whole block's gas on local networks, so that two would not fit into one.
        estimate = self._node.provider.estimate_gas_cost(draft)
        draft.gas_limit = estimate * (100 + GAS_MARGIN_PERCENT) // 100
        return self._account.prepare_transaction(draft)

    def _settle(self, step: Step) -> None:
        """Wait for a transaction and record its block."""
        sent = self.draft.steps[step.name]
        receipt = self._node.confirmed(sent.tx)
        if receipt is None:
            raise DeployError(
                f"{step.name}: transaction 0x{sent.tx.hex()} is not confirmed yet; run the same"
                " command again to go on"
            )
        self._check_success(step, sent, receipt)
        block = int(receipt["blockNumber"])
        self._note(step, sent.model_copy(update={"block": block}))
        where = f" at {self.draft.address(step.name)}" if step.method is None else ""
        self._tell(f"{step.name}: in block {block}{where}")

    def _check_success(self, step: Step, sent: Sent, receipt: TxReceipt) -> None:
        if receipt["status"] != 1:
            self._forget(step)
            raise DeployError(f"{step.name}: transaction 0x{sent.tx.hex()} reverted")

    def _message(self, step: Step) -> Message:
        return message_of(
            step, self._artifacts, self._parameters, self.draft.genesis, self._addresses()
        )

    def _addresses(self) -> dict[str, str]:
        """Return where the contracts that stand are, by name."""
        at = {
            step.contract: self.draft.address(step.name)
            for step in self._steps
            if step.method is None and self._stands(step.name)
        }
        if self._parameters.token != TEST_DOLLAR:
            at["TestUSD"] = self._parameters.token
        return at

    def _next_nonce(self) -> int:
        """Return the nonce behind all that the deployer sent and all that is recorded."""
        recorded = [sent.nonce + 1 for sent in self.draft.steps.values()]
        return max([self._node.nonce(self.draft.deployer, pending=True), *recorded])

    def _note(self, step: Step, sent: Sent) -> None:
        self.draft.steps[step.name] = sent
        write_record(self._path, self.draft)

    def _forget(self, step: Step) -> None:
        del self.draft.steps[step.name]
        write_record(self._path, self.draft)

    def _record(self) -> Deployment:
        """Return the record of a deployment all of whose steps stand."""
        deployed = {
            step.contract: DeployedContract(
                address=self.draft.address(step.name),
                tx=self.draft.steps[step.name].tx,
                block=self.draft.steps[step.name].block or 0,
            )
            for step in self._steps
            if step.method is None
        }
        start = min(contract.block for contract in deployed.values())
        if self._parameters.token != TEST_DOLLAR:
            deployed["TestUSD"] = DeployedContract(
                address=self._parameters.token, tx=NOT_DEPLOYED_HERE, block=start
            )
        return Deployment(
            chain_id=self.draft.chain_id,
            genesis=self.draft.genesis,
            window=self._parameters.timing.window,
            challenge=self._parameters.timing.challenge,
            start_block=start,
            contracts=deployed,
            parameters={**self.draft.parameters, "deployer": self.draft.deployer},
        )


def one_line(error: Exception) -> str:
    """Return what an error says, on one line and without a full stop at its end."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
