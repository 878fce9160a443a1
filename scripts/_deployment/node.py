"""What a deployment asks of the chain, through the provider that ape connected."""

import time
from typing import Any, Final, cast

from ape.api import ProviderAPI
from ape_ethereum.provider import Web3Provider
from eth_typing import ChecksumAddress, HexStr
from web3.exceptions import TransactionNotFound
from web3.types import TxData, TxReceipt

from scripts._deployment.errors import DeployError
from workdeed.protocol.signing import to_checksum

POLL_SECONDS: Final = 0.1
LIVE_POLL_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = 30
"""How long an RPC may lag behind itself before what it does not know is taken for absent."""


class Node:
    """The chain of a connected provider.

    Attributes:
        provider: ape's.
        local: whether it is a chain of this machine, which may be restarted.

    """

    def __init__(self, provider: ProviderAPI) -> None:
        if not isinstance(provider, Web3Provider):
            raise DeployError(f"network: provider {provider.name} speaks no Ethereum JSON-RPC")
        self.provider = provider
        self.local = provider.network.is_dev
        self._web3 = provider.web3
        self._poll = POLL_SECONDS if self.local else LIVE_POLL_SECONDS

    @property
    def chain_id(self) -> int:
        """The EIP-155 chain id that the node states."""
        return int(self._web3.eth.chain_id)

    def head(self) -> tuple[int, bytes, int]:
        """Return number, hash and timestamp of the latest block."""
        block = self._web3.eth.get_block("latest")
        return int(block["number"]), bytes(block["hash"]), int(block["timestamp"])

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of a block; None beyond the head."""
        head, head_hash, _ = self.head()
        if number > head:
            return None
        return head_hash if number == head else bytes(self._web3.eth.get_block(number)["hash"])

    def code(self, address: str) -> bytes:
        """Return the code at an address; empty if there is none."""
        return bytes(self._web3.eth.get_code(_checked(address)))

    def nonce(self, address: str, *, pending: bool = False) -> int:
        """Return how many transactions an account has in blocks, or in blocks and the pool."""
        count = self._web3.eth.get_transaction_count
        return int(count(_checked(address), "pending" if pending else "latest"))

    def transaction(self, tx: bytes) -> TxData | None:
        """Return a transaction of a block or of the pool."""
        try:
            return self._web3.eth.get_transaction(HexStr("0x" + tx.hex()))
        except TransactionNotFound:
            return None

    def receipt(self, tx: bytes) -> TxReceipt | None:
        """Return a receipt; None while the transaction is in no block."""
        try:
            return self._web3.eth.get_transaction_receipt(HexStr("0x" + tx.hex()))
        except TransactionNotFound:
            return None

    def send(self, raw: bytes) -> None:
        """Send a signed transaction; raises what web3 raises when the node refuses it."""
        self._web3.eth.send_raw_transaction(raw)

    def confirmed(self, tx: bytes) -> TxReceipt | None:
        """Wait until a transaction has the confirmations that the network's settings ask for.

        Returns:
            Its receipt; None if it is still in no block, or not deep enough, when the network's
            acceptance timeout is over.

        """
        network = self.provider.network
        end = time.monotonic() + network.transaction_acceptance_timeout
        while True:
            receipt = self.receipt(tx)
            if receipt is not None:
                depth = self.head()[0] - int(receipt["blockNumber"])
                if depth >= network.required_confirmations:
                    return receipt
            if time.monotonic() >= end:
                return None
            time.sleep(self._poll)

    def late_receipt(self, tx: bytes) -> TxReceipt | None:
        """Return a receipt, giving the RPC of a public chain time to catch up with itself."""
        end = time.monotonic() + (0 if self.local else SETTLE_SECONDS)
        while (receipt := self.receipt(tx)) is None and time.monotonic() < end:
            time.sleep(self._poll)
        return receipt

    def sent_since(self, sender: str, block: int) -> dict[int, TxData]:
        """Return what an account sent after a block, by nonce. Reads every block up to the head."""
        found: dict[int, TxData] = {}
        for number in range(block + 1, self.head()[0] + 1):
            full = self._web3.eth.get_block(number, full_transactions=True)
            for entry in cast(list[Any], full["transactions"]):
                if to_checksum(str(entry["from"])) == sender:
                    found[int(entry["nonce"])] = cast(TxData, entry)
        return found


def _checked(address: str) -> ChecksumAddress:
    return cast(ChecksumAddress, to_checksum(address))
