"""A chain in memory behind the `Rpc` port: blocks, logs, transactions, reorgs, bad nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import encode

from workdeed.chain.bindings.auction import BurnAuction
from workdeed.chain.bindings.codec import Contract, Event, LoggedEvent, event_codecs
from workdeed.chain.bindings.committee import OracleCommittee
from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.bindings.escrow import JobEscrow
from workdeed.chain.bindings.lens import JobLens
from workdeed.chain.bindings.licenses import NodeLicense
from workdeed.chain.bindings.registry import TrustRegistry
from workdeed.chain.bindings.sale import LicenseSale
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.bindings.tariff import Tariff
from workdeed.chain.bindings.timelock import Timelock
from workdeed.chain.bindings.token import ProtocolToken, Token
from workdeed.chain.bindings.vault import FeeVault
from workdeed.chain.rpc import RevertError, Rpc, RpcError, RpcUnavailable
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum

BASE_FEE = 10**9
BLOCK_SECONDS = 2
FIRST_TIMESTAMP = 1_700_000_000


def address(number: int) -> str:
    """Return an address that tests tell by a small number."""
    return to_checksum(number.to_bytes(20, "big"))


SUITE = Suite(
    registry=TrustRegistry(address(0xA1)),
    licenses=NodeLicense(address(0xA2)),
    committee=OracleCommittee(address(0xA3)),
    escrow=JobEscrow(address(0xA4)),
    token=Token(address(0xA5)),
    tariff=Tariff(address(0xA6)),
    desk=JobDesk(address(0xA7)),
    vault=FeeVault(address(0xA8)),
    sale=LicenseSale(address(0xA9)),
    timelock=Timelock(address(0xAA)),
    auction=BurnAuction(address(0xAB)),
    protocol_token=ProtocolToken(address(0xAC)),
    lens=JobLens(address(0xAD)),
)


def contract_of(event: Event) -> Contract:
    """Return the contract of the suite that logs events of this class."""
    return next(item for item in SUITE.followed if type(event) in type(item).EVENTS)


def encode_event(contract: Contract, event: Event) -> tuple[list[bytes], bytes]:
    """Return topics and data of a log, as the contract would write it."""
    codec = next(
        item for item in event_codecs(type(contract)).values() if item.event is type(event)
    )
    topics = [codec.topic]
    topics += [encode([kind], [getattr(event, name)]) for name, kind in codec.indexed]
    kinds = [kind for _, kind in codec.plain]
    return topics, encode(kinds, [getattr(event, name) for name, _ in codec.plain])


def logged(event: Event, block: int, log_index: int = 0) -> LoggedEvent:
    """Return an event as if it had been read from `block`."""
    return LoggedEvent(
        event=event,
        address=contract_of(event).address,
        block=block,
        block_hash=keccak(b"block %d" % block),
        timestamp=FIRST_TIMESTAMP + block * BLOCK_SECONDS,
        tx_hash=keccak(b"tx %d %d" % (block, log_index)),
        log_index=log_index,
    )


@dataclass
class Block:
    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    events: Sequence[Event]
    transactions: list[Transaction] = field(default_factory=list)
    base_fee: int = BASE_FEE


@dataclass(frozen=True)
class Transaction:
    """A transaction of the one sender; `data` is the effect's name."""

    hash: bytes
    nonce: int
    data: bytes
    max_fee: int
    gas: int


class FakeChain:
    """Blocks in memory. A fork is a new nonce in the hashes of the blocks above it."""

    def __init__(self) -> None:
        self._forks = 0
        self.base_fee = BASE_FEE
        self.blocks: list[Block] = []
        self.mine()

    @property
    def head(self) -> Block:
        return self.blocks[-1]

    def mine(self, *events: Event) -> Block:
        """Add a block with these events."""
        number = len(self.blocks)
        parent = self.blocks[-1].hash if self.blocks else bytes(32)
        seed = f"{self._forks} {number}".encode()
        block = Block(
            number=number,
            hash=keccak(parent + seed),
            parent_hash=parent,
            timestamp=FIRST_TIMESTAMP + number * BLOCK_SECONDS,
            events=events,
            base_fee=self.base_fee,
        )
        self.blocks.append(block)
        return block

    def drop(self, depth: int) -> list[Block]:
        """Undo the last blocks; what is mined from now on is another fork."""
        self._forks += 1
        dropped = self.blocks[len(self.blocks) - depth :]
        del self.blocks[len(self.blocks) - depth :]
        return dropped

    def reorg(self, depth: int, *blocks: Sequence[Event]) -> None:
        """Replace the last `depth` blocks by others."""
        self.drop(depth)
        for events in blocks:
            self.mine(*events)

    def events(self, last: int | None = None) -> list[LoggedEvent]:
        """Return what a reader of the whole chain would find."""
        chosen = self.blocks if last is None else self.blocks[: last + 1]
        return [
            LoggedEvent(
                event=event,
                address=contract_of(event).address,
                block=block.number,
                block_hash=block.hash,
                timestamp=block.timestamp,
                tx_hash=keccak(block.hash + bytes([index])),
                log_index=index,
            )
            for block in chosen
            for index, event in enumerate(block.events)
        ]


class FakeRpc(Rpc):
    """A node of a `FakeChain`.

    Attributes:
        lag: how many blocks the node is behind.
        batch_lag: how many more it is behind in batches: a worse node behind a load balancer.
        max_span: it refuses log queries over more blocks.
        down: it does not answer.
        calls: how often each method was called.
        before_call: run before each method, e.g. to let the chain change in between.
    """

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain
        self.lag = 0
        self.batch_lag = 0
        self.max_span: int | None = None
        self.down = False
        self.calls: dict[str, int] = {}
        self.spans: list[int] = []
        self.before_call: Callable[[str], None] = lambda method: None

    @property
    def origin(self) -> str:
        return "fake://node"

    async def close(self) -> None:
        pass

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        return self._answer(method, params, self.lag)

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        behind = self.lag + self.batch_lag
        return [self._answer(method, params, behind) for method, params in calls]

    def _answer(self, method: str, params: Sequence[object], lag: int) -> Any:
        if self.down:
            raise RpcUnavailable(self.origin, "it is down")
        self.before_call(method)
        self.calls[method] = self.calls.get(method, 0) + 1
        handler = getattr(self, "_" + re.sub("([A-Z])", r"_\1", method).lower())
        return handler(self.chain.blocks[: len(self.chain.blocks) - lag], *params)

    def _eth_get_block_by_number(self, blocks: list[Block], tag: str, _: bool) -> Any:
        number = len(blocks) - 1 if tag == "latest" else int(tag, 16)
        return _block_json(blocks[number]) if number < len(blocks) else None

    def _eth_get_logs(self, blocks: list[Block], span: Mapping[str, Any]) -> Any:
        first, last = int(span["fromBlock"], 16), int(span["toBlock"], 16)
        self.spans.append(last - first + 1)
        if self.max_span is not None and last - first + 1 > self.max_span:
            raise RpcError(-32005, "query returned more than 10000 results")
        chosen = blocks[first : last + 1]  # a node that lags returns what it has, and no error
        found = [
            _log_json(block, index, event)
            for block in chosen
            for index, event in enumerate(block.events)
            if contract_of(event).address in span["address"]
        ]
        wanted = span.get("topics", [])
        return [log for log in found if _fits(log["topics"], wanted)]


class FakeNode(FakeRpc):
    """A node with one sender's account, a pool, and a contract that counts named effects.

    A transaction without a name is a transfer, which always succeeds.

    Attributes:
        rule: the contract: returns the reason to revert for an effect's name, or None. It sees how
            often each effect was executed before.
        refuse: the error message with which it refuses transactions, or None.
        silent: it takes a transaction and does not answer.
        oldest_state: the first block whose state it has.
        forgotten: what it says to one who asks for an older state.
        denies_receipts: it has blocks, but cannot find the receipts in them.
        made_up: what it adds to a count of nonces, by the block that is asked for.
    """

    def __init__(self, chain: FakeChain) -> None:
        super().__init__(chain)
        self.pool: dict[int, Transaction] = {}
        self.rule: Callable[[str, Mapping[str, int]], str | None] = lambda name, counts: None
        self.refuse: str | None = None
        self.silent = False
        self.denies_receipts = False
        self.oldest_state = 0
        self.forgotten: RpcError | RpcUnavailable = RpcError(-32000, "missing trie node")
        self.made_up: dict[str, int] = {}

    def executed(self, last: int | None = None) -> dict[str, int]:
        """Return how often each effect was executed, up to a block."""
        counts: dict[str, int] = {}
        for block in self.chain.blocks[: None if last is None else last + 1]:
            for transaction in block.transactions:
                name = transaction.data.decode()
                if name and self.rule(name, counts) is None:
                    counts[name] = counts.get(name, 0) + 1
        return counts

    def produce(self, blocks: int = 1) -> None:
        """Mine blocks with what the pool holds and the fees allow."""
        for _ in range(blocks):
            block = self.chain.mine()
            nonce = self._nonce(self.chain.blocks)
            while nonce in self.pool and self.pool[nonce].max_fee >= block.base_fee:
                block.transactions.append(self.pool.pop(nonce))
                nonce += 1
            for stale in [held for held in self.pool if held < nonce]:
                del self.pool[stale]

    def undo(self, depth: int, *, keep_pool: bool = True) -> None:
        """Reorg: undo blocks; their transactions return to the pool, or are lost."""
        for block in self.chain.drop(depth):
            for transaction in block.transactions:
                if keep_pool:
                    self.pool.setdefault(transaction.nonce, transaction)

    def send_elsewhere(self, name: str) -> None:
        """Use the sender's next nonce for something that the outbox does not know."""
        nonce = self._nonce(self.chain.blocks)
        data = name.encode()
        self.pool[nonce] = Transaction(keccak(b"elsewhere" + data), nonce, data, 10**12, 21_000)

    def _nonce(self, blocks: Iterable[Block]) -> int:
        return sum(len(block.transactions) for block in blocks)

    def _eth_get_transaction_count(self, blocks: list[Block], _: str, tag: str) -> str:
        if tag in {"latest", "pending"}:
            nonce = self._nonce(blocks)
            while tag == "pending" and nonce in self.pool:
                nonce += 1
            return hex(nonce + self.made_up.get(tag, 0))
        return hex(self._nonce(blocks[: self._with_state(tag) + 1]))

    def _with_state(self, tag: str) -> int:
        if int(tag, 16) < self.oldest_state:
            raise self.forgotten
        return int(tag, 16)

    def _eth_call(self, blocks: list[Block], call: Mapping[str, str], tag: str) -> str:
        last = len(blocks) - 1 if tag == "latest" else self._with_state(tag)
        name = bytes.fromhex(call["data"][2:]).decode()
        reason = self.rule(name, self.executed(last)) if name else None
        if reason is not None:
            raise RevertError(reason)
        return "0x"

    def _eth_estimate_gas(self, blocks: list[Block], call: Mapping[str, str]) -> str:
        self._eth_call(blocks, call, "latest")
        return hex(50_000)

    def _eth_send_raw_transaction(self, blocks: list[Block], raw: str) -> str:
        if self.refuse is not None:
            raise RpcError(-32000, self.refuse)
        transaction = parse_raw(bytes.fromhex(raw[2:]))
        held = self.pool.get(transaction.nonce)
        if transaction.nonce < self._nonce(blocks):
            raise RpcError(-32000, "nonce too low")
        if held is not None and held.hash == transaction.hash:
            raise RpcError(-32000, "already known")
        if held is not None and transaction.max_fee * 10 < held.max_fee * 11:
            raise RpcError(-32000, "replacement transaction underpriced")
        self.pool[transaction.nonce] = transaction
        if self.silent:
            raise RpcUnavailable(self.origin, "no answer in time")
        return "0x" + transaction.hash.hex()

    def _eth_get_transaction_receipt(self, blocks: list[Block], tx_hash: str) -> Any:
        for block in () if self.denies_receipts else blocks:
            for transaction in block.transactions:
                if transaction.hash.hex() == tx_hash[2:]:
                    return self._receipt(block, transaction)
        return None

    def _receipt(self, block: Block, transaction: Transaction) -> dict[str, Any]:
        before = self.executed(block.number - 1)
        for earlier in block.transactions:
            name = earlier.data.decode()
            reason = self.rule(name, before) if name else None
            if earlier.hash == transaction.hash:
                break
            if reason is None:
                before[name] = before.get(name, 0) + 1
        return {
            "transactionHash": "0x" + transaction.hash.hex(),
            "status": hex(reason is None),
            "blockNumber": hex(block.number),
            "blockHash": "0x" + block.hash.hex(),
            "gasUsed": hex(40_000),
            "effectiveGasPrice": hex(block.base_fee),
            "logs": [],
        }


class StubSigner:
    """Signs for `FakeNode`: the raw transaction is its JSON."""

    address = address(0xB0)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        return json.dumps(dict(transaction), sort_keys=True).encode()

    def sign_digest(self, digest: bytes) -> bytes:
        raise NotImplementedError("the outbox signs no digests")


def parse_raw(raw: bytes) -> Transaction:
    """Read what `StubSigner` wrote."""
    values = json.loads(raw)
    return Transaction(
        hash=keccak(raw),
        nonce=values["nonce"],
        data=bytes.fromhex(values["data"][2:]),
        max_fee=values["maxFeePerGas"],
        gas=values["gas"],
    )


def _fits(topics: Sequence[str], wanted: Sequence[Sequence[str] | None]) -> bool:
    """Tell whether a log has one of the wanted topics at each position; None takes any."""
    return len(topics) >= len(wanted) and all(
        fits is None or topic in fits for topic, fits in zip(topics, wanted, strict=False)
    )


def _block_json(block: Block) -> dict[str, Any]:
    return {
        "number": hex(block.number),
        "hash": "0x" + block.hash.hex(),
        "parentHash": "0x" + block.parent_hash.hex(),
        "timestamp": hex(block.timestamp),
        "baseFeePerGas": hex(block.base_fee),
        "transactions": ["0x" + transaction.hash.hex() for transaction in block.transactions],
    }


def _log_json(block: Block, index: int, event: Event) -> dict[str, Any]:
    contract = contract_of(event)
    topics, data = encode_event(contract, event)
    return {
        "address": contract.address.lower(),
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + data.hex(),
        "blockNumber": hex(block.number),
        "blockHash": "0x" + block.hash.hex(),
        "transactionHash": "0x" + keccak(block.hash + bytes([index])).hex(),
        "logIndex": hex(index),
        "removed": False,
    }
