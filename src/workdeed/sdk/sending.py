"""The chain's transactor for people: refusals in words, receipts with the events they hold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from workdeed.chain.bindings.codec import Call, Event
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.keys import Signer
from workdeed.chain.rpc import Rpc
from workdeed.chain.transactor import (
    TransactionFailedError,
    TransactionTimeoutError,
    Transactor,
    TransactorSettings,
)
from workdeed.sdk.errors import MissingKeyError, RefusedError, UnminedError
from workdeed.sdk.reasons import in_words

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that succeeded: hash (32 bytes), block, gas, fee (wei) and our events."""

    tx_hash: bytes
    block: int
    gas_used: int
    fee: int
    events: tuple[Event, ...]

    def event(self, kind: type[E]) -> E | None:
        """Return the first event of a kind, None if there is none."""
        return next((event for event in self.events if isinstance(event, kind)), None)


class Sender:
    """Sends for one account, or explains that there is none.

    Args:
        rpc: the chain.
        chain_id: EIP-155 chain id.
        suite: the contracts whose events are decoded.
        signer: the account.
        settings: fees and waiting.
        on_mined: told the name and the hash of every transaction that succeeded.

    """

    def __init__(
        self,
        rpc: Rpc,
        chain_id: int,
        suite: Suite,
        signer: Signer | None,
        settings: TransactorSettings | None = None,
        on_mined: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._suite = suite
        self._on_mined = on_mined
        self._transactor = (
            None
            if signer is None
            else Transactor(rpc, signer, chain_id=chain_id, settings=settings)
        )

    @property
    def address(self) -> str:
        """The account that sends; raises `MissingKeyError` without a key."""
        return self._required().address

    async def send(self, call: Call[Any]) -> Mined:
        """Send `call`, which is simulated first, and wait until it is mined.

        Raises:
            MissingKeyError: without a key.
            RefusedError: if the contract refuses it.
            UnminedError: if it is not mined in time, or the chain does not tell.
            ChainError: if the chain does not answer, or gas costs more than the settings allow;
                nothing was sent then.

        """
        transactor = self._required()
        try:
            receipt = await transactor.send_and_wait(call)
        except TransactionFailedError as error:
            operation = call.name.partition(".")[2]
            raise RefusedError(f"{operation}: {in_words(error.reason)}", error.reason) from error
        except TransactionTimeoutError as error:
            raise UnminedError(str(error), error.tx_hash) from error
        if self._on_mined is not None:
            self._on_mined(call.name, receipt.tx_hash)
        return Mined(
            tx_hash=receipt.tx_hash,
            block=receipt.block,
            gas_used=receipt.gas_used,
            fee=receipt.gas_used * receipt.gas_price,
            events=receipt.events(self._suite),
        )

    def _required(self) -> Transactor:
        if self._transactor is None:
            raise MissingKeyError("key: this needs a transaction; name the key that sends it")
        return self._transactor
