"""Building, simulating, sending and looking up transactions: what outbox and transactor share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from workdeed.chain.bindings.codec import Event
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.fees import Fees
from workdeed.chain.rpc import RevertError, Rpc, RpcError, RpcUnavailable
from workdeed.protocol.signing import to_checksum

OUT_OF_GAS: Final = "out of gas"

_KNOWN: Final = ("already known", "known transaction", "already imported", "already exists")


@dataclass(frozen=True, slots=True)
class ReceiptLog:
    """A log in a receipt."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction; `gas_price` is what it paid per gas, in wei."""

    tx_hash: bytes
    succeeded: bool
    block: int
    block_hash: bytes
    gas_used: int
    gas_price: int
    logs: tuple[ReceiptLog, ...]

    def events(self, suite: Suite) -> tuple[Event, ...]:
        """Return the events of the contracts of `suite`, in order.

        Raises:
            UnknownEventError, CodecError: if one of them logged what this package does not know.

        """
        ours = {contract.address for contract in suite.contracts}
        return tuple(
            suite.decode(log.address, log.topics, log.data)
            for log in self.logs
            if log.address in ours
        )


@dataclass(frozen=True, slots=True)
class Intent:
    """A call to send: from whom, where to, what with."""

    sender: str
    to: str
    data: bytes
    value: int = 0

    def parameters(self) -> dict[str, str]:
        """Return it as `eth_call` and `eth_estimateGas` want it."""
        return {
            "from": self.sender,
            "to": self.to,
            "data": "0x" + self.data.hex(),
            "value": hex(self.value),
        }

    def transaction(self, *, chain_id: int, nonce: int, gas: int, fees: Fees) -> dict[str, Any]:
        """Return it as a signer wants it."""
        return {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "to": self.to,
            "data": "0x" + self.data.hex(),
            "value": self.value,
            "gas": gas,
            "maxFeePerGas": fees.max_fee,
            "maxPriorityFeePerGas": fees.priority_fee,
        }


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a simulation found: the returned bytes, the gas needed, and the next nonce.

    `used` is how many nonces blocks have used; the nonce counts what the node's pool holds too.
    """

    result: bytes
    gas: int
    nonce: int
    used: int


async def prepare(rpc: Rpc, intent: Intent) -> Preparation:
    """Simulate a call at the head; the nonce counts what the node's pool holds of the sender.

    Raises:
        RevertError: with the contract's reason.
        RpcUnavailable, RpcError: as `Rpc.call`.

    """
    call = intent.parameters()
    result, gas, nonce, used = await rpc.batch(
        [
            ("eth_call", [call, "latest"]),
            ("eth_estimateGas", [call]),
            ("eth_getTransactionCount", [intent.sender, "pending"]),
            ("eth_getTransactionCount", [intent.sender, "latest"]),
        ]
    )
    return Preparation(rpc.data(result), rpc.quantity(gas), rpc.quantity(nonce), rpc.quantity(used))


async def broadcast(rpc: Rpc, raw: bytes) -> None:
    """Send a raw transaction; one that the node has already is fine.

    Raises:
        RpcUnavailable: if no answer came; it may have been taken nevertheless.
        RpcError: if the node refuses it.

    """
    try:
        await rpc.call("eth_sendRawTransaction", ["0x" + raw.hex()])
    except RpcError as error:
        if not any(word in error.message.lower() for word in _KNOWN):
            raise


async def receipt_of(rpc: Rpc, tx_hash: bytes) -> Receipt | None:
    """Return the receipt of a transaction, None if it is not mined; raises as `Rpc.call`."""
    return parse_receipt(rpc, await rpc.call("eth_getTransactionReceipt", ["0x" + tx_hash.hex()]))


async def beside_nonce(rpc: Rpc, sender: str, nonce: int, last: int) -> frozenset[bytes]:
    """Return the hashes of the transactions in the block in which an account used a nonce.

    A node may show a block for a while before it can find the receipts in it.

    Args:
        rpc: the chain.
        sender: the account.
        nonce: the nonce, which was used by then.
        last: the last block to look at.

    Raises:
        RpcUnavailable: as `Rpc.call`, or if the node has no such block any more.
        RpcError: if the node has forgotten a state that has to be looked at.

    """

    async def is_used(number: int) -> bool:
        answer = await rpc.call("eth_getTransactionCount", [sender, hex(number)])
        return rpc.quantity(answer) > nonce

    # Backwards in growing steps: it was used lately, and nodes forget old states.
    used, unused, step = last, last - 1, 1
    while unused >= 0 and await is_used(unused):
        used, unused, step = unused, unused - step, 2 * step
    unused = max(unused, -1)
    while used - unused > 1:
        middle = (used + unused) // 2
        if await is_used(middle):
            used = middle
        else:
            unused = middle
    block = await rpc.call("eth_getBlockByNumber", [hex(used), False])
    if not isinstance(block, Mapping) or not isinstance(block.get("transactions"), list):
        raise RpcUnavailable(rpc.origin, f"it lacks block {used} below its head")
    return frozenset(rpc.data(item, 32) for item in block["transactions"])


async def reason_of(rpc: Rpc, intent: Intent, receipt: Receipt, gas: int) -> str | None:
    """Return why a mined transaction failed, None if it would have succeeded a block before.

    Args:
        rpc: the chain.
        intent: what was sent.
        receipt: its receipt.
        gas: its gas limit.

    Raises:
        RpcUnavailable: as `Rpc.call`.

    """
    if receipt.gas_used >= gas:
        return OUT_OF_GAS
    try:
        # The state before its block is the nearest to what it met that a node will replay.
        await rpc.call("eth_call", [intent.parameters(), hex(receipt.block - 1)])
    except RevertError as error:
        return error.reason
    except RpcError:
        # The node has forgotten that state.
        return None
    return None


def parse_receipt(rpc: Rpc, answer: object) -> Receipt | None:
    """Decode a receipt of a node; raises `RpcUnavailable` if it is malformed."""
    if answer is None:
        return None
    if not isinstance(answer, Mapping) or not isinstance(answer.get("logs"), list):
        raise RpcUnavailable(rpc.origin, "it sent a malformed receipt")
    return Receipt(
        tx_hash=rpc.data(answer.get("transactionHash"), 32),
        succeeded=rpc.quantity(answer.get("status")) == 1,
        block=rpc.quantity(answer.get("blockNumber")),
        block_hash=rpc.data(answer.get("blockHash"), 32),
        gas_used=rpc.quantity(answer.get("gasUsed")),
        gas_price=rpc.quantity(answer.get("effectiveGasPrice", "0x0")),
        logs=tuple(_parse_log(rpc, log) for log in answer["logs"]),
    )


def _parse_log(rpc: Rpc, log: Any) -> ReceiptLog:
    if not isinstance(log, Mapping) or not isinstance(log.get("topics"), list):
        raise RpcUnavailable(rpc.origin, "it sent a malformed receipt")
    return ReceiptLog(
        address=to_checksum(rpc.data(log.get("address"), 20)),
        topics=tuple(rpc.data(topic, 32) for topic in log["topics"]),
        data=rpc.data(log.get("data")),
    )
