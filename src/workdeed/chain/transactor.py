"""Sends one transaction and waits for it: for scripts and people, without a database.

Services that must survive a crash use the outbox instead.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from workdeed.chain.bindings.codec import Call
from workdeed.chain.errors import ChainError
from workdeed.chain.fees import FeeSettings, quote, with_margin
from workdeed.chain.keys import Signer
from workdeed.chain.rpc import RevertError, Rpc, RpcError, RpcUnavailable
from workdeed.chain.transactions import (
    Intent,
    Receipt,
    broadcast,
    prepare,
    reason_of,
    receipt_of,
)
from workdeed.protocol.hashing import keccak

T = TypeVar("T")


class TransactionFailedError(ChainError):
    """A contract refuses a transaction, before it was sent or after.

    Attributes:
        name: "Contract.function".
        reason: the contract's reason, e.g. "escrow: job over".
        tx_hash: the transaction, None if nothing was sent.

    """

    def __init__(self, name: str, reason: str, tx_hash: bytes | None = None) -> None:
        sent = "" if tx_hash is None else f" (transaction 0x{tx_hash.hex()})"
        super().__init__(f"{name}: refused, {reason or 'no reason given'}{sent}")
        self.name = name
        self.reason = reason
        self.tx_hash = tx_hash


class TransactionTimeoutError(ChainError):
    """A transaction was sent, or may have been, and is not seen in a block in time."""

    def __init__(self, name: str, tx_hash: bytes) -> None:
        super().__init__(
            f"{name}: transaction 0x{tx_hash.hex()} is not mined yet; look it up before sending it"
            " again"
        )
        self.tx_hash = tx_hash


class FeeCapError(ChainError):
    """The chain's base fee is above what the settings allow."""


@dataclass(frozen=True, slots=True)
class TransactorSettings:
    """How transactions are sent.

    Attributes:
        fees: what may be paid for gas.
        confirmations: blocks on top of the transaction's to wait for.
        poll_seconds: time between two looks at the chain.
        wait_seconds: how long to look for the transaction in a block.

    """

    fees: FeeSettings = field(default_factory=FeeSettings)
    confirmations: int = 0
    poll_seconds: float = 0.25
    wait_seconds: float = 120.0


class Transactor:
    """Sends from one account.

    Args:
        rpc: the chain.
        signer: the account.
        chain_id: the chain's id; found out at the first transaction if not given.
        settings: how transactions are sent.

    """

    def __init__(
        self,
        rpc: Rpc,
        signer: Signer,
        *,
        chain_id: int | None = None,
        settings: TransactorSettings | None = None,
    ) -> None:
        self._rpc = rpc
        self._signer = signer
        self._chain_id = chain_id
        self._settings = settings or TransactorSettings()
        self._sending = asyncio.Lock()

    @property
    def address(self) -> str:
        """The account that sends."""
        return self._signer.address

    async def simulate(self, call: Call[T], *, value: int = 0) -> T:
        """Return what `call` would return now, without sending it.

        Raises:
            TransactionFailedError: if it would be refused.
            CodecError: if there is no such contract.
            RpcUnavailable, RpcError: as `Rpc.call`.

        """
        try:
            return call.decode((await prepare(self._rpc, self._intent(call, value))).result)
        except RevertError as error:
            raise TransactionFailedError(call.name, error.reason) from error

    async def send_and_wait(self, call: Call[Any], *, value: int = 0) -> Receipt:
        """Send a transaction and wait until it is mined; it is simulated first.

        Raises:
            TransactionFailedError: if it is refused, by the simulation or in its block.
            TransactionTimeoutError: if it is not mined in time, or the chain does not tell.
            FeeCapError: if gas costs too much now.
            RpcUnavailable, RpcError: as `Rpc.call`; nothing was sent then.

        """
        intent = self._intent(call, value)
        async with self._sending:
            raw, gas = await self._sign(call.name, intent)
            is_answered = await self._is_answered(raw)
        tx_hash = keccak(raw)
        try:
            async with asyncio.timeout(self._settings.wait_seconds):
                receipt = await self._await(tx_hash, None if is_answered else raw)
        except TimeoutError:
            raise TransactionTimeoutError(call.name, tx_hash) from None
        if not receipt.succeeded:
            reason = await self._reason_of(intent, receipt, gas)
            raise TransactionFailedError(call.name, reason, tx_hash)
        return receipt

    async def _sign(self, name: str, intent: Intent) -> tuple[bytes, int]:
        if self._chain_id is None:
            self._chain_id = await self._rpc.chain_id()
        try:
            found = await prepare(self._rpc, intent)
        except RevertError as error:
            raise TransactionFailedError(name, error.reason) from error
        head = await self._rpc.head()
        fees = quote(head.base_fee or 0, self._settings.fees)
        if fees is None:
            raise FeeCapError(
                f"{name}: the base fee of {head.base_fee} wei is above the cap of"
                f" {self._settings.fees.max_fee}; wait, or raise the cap"
            )
        gas = with_margin(found.gas, self._settings.fees)
        raw = self._signer.sign_transaction(
            intent.transaction(chain_id=self._chain_id, nonce=found.nonce, gas=gas, fees=fees)
        )
        return raw, gas

    async def _is_answered(self, raw: bytes) -> bool:
        """Send a transaction, and tell whether a node says that it has it.

        One that got no answer may be on its way: whoever is told of an error would send another.
        """
        try:
            await broadcast(self._rpc, raw)
        except RpcUnavailable:
            return False
        return True

    async def _await(self, tx_hash: bytes, unanswered: bytes | None) -> Receipt:
        """Look for a receipt as long as it takes; an answer that does not come is no end of it."""
        while True:
            with suppress(RpcUnavailable, RpcError):
                receipt = await receipt_of(self._rpc, tx_hash)
                if receipt is not None:
                    head = await self._rpc.head()
                    if head.number - receipt.block >= self._settings.confirmations:
                        return receipt
                elif unanswered is not None and await self._is_answered(unanswered):
                    unanswered = None
            await asyncio.sleep(self._settings.poll_seconds)

    async def _reason_of(self, intent: Intent, receipt: Receipt, gas: int) -> str:
        try:
            reason = await reason_of(self._rpc, intent, receipt, gas)
        except RpcUnavailable:
            return f"reverted in block {receipt.block}, and the chain does not tell why"
        raced = f"reverted in block {receipt.block} by what came before it there"
        return raced if reason is None else reason

    def _intent(self, call: Call[Any], value: int) -> Intent:
        return Intent(sender=self.address, to=call.to, data=call.data, value=value)
