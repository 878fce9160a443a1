"""JSON-RPC to an Ethereum node over HTTP, on aiohttp alone so that node agents stay light.

Quantities come back as `int`, hashes and data as `bytes`. An address of an RPC often carries a
password or an API key: no error text or repr of this module shows more of it than scheme, host and
port.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from pydantic_core import from_json

from workdeed.chain.errors import ChainError
from workdeed.web.why import why

BlockId: TypeAlias = int | str | bytes
"""A block's number, its tag ("latest", "safe", "finalized", "pending", "earliest") or its hash."""

MAX_BATCH: Final = 100
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024

_ERROR_STRING: Final = bytes.fromhex("08c379a0")
_PANIC: Final = bytes.fromhex("4e487b71")
_REVERT_CODE: Final = 3

_WORD_BITS: Final = 256
_COUNT_BITS: Final = 63
"""Of numbers and times of blocks: what a database's integer and a float can hold."""

_OVERLOADED: Final = (429, 503)
"""HTTP states of quotas and load: an error object that comes with one is no answer."""
_FORBIDDEN: Final = (401, 402, 403)
"""HTTP states of keys and plans: an error object with one refuses the request for who asks."""

_VERDICTS: Final = (
    "already known",
    "known transaction",
    "already imported",
    "already exists",
    "nonce too low",
    "nonce too high",
    "underpriced",
    "less than block base fee",
    "insufficient funds",
    "exceeds account balance",
    "gas required exceeds allowance",
    "intrinsic gas",
    "exceeds block gas limit",
    "revert",
)
"""Words in which nodes refuse a transaction for what it is."""


class RpcUnavailable(ChainError):  # noqa: N818 - a state of the node more than an error
    """A node did not answer, or not with JSON-RPC; another node or a later call may do better."""

    def __init__(self, url: str, reason: str = "no answer") -> None:
        self.origin = origin_of(url)
        super().__init__(f"rpc {self.origin}: {reason}; check that it is up, or use another")


class RpcError(ChainError):
    """A node answered with an error object.

    Attributes:
        code: the JSON-RPC error code.
        message: the node's words.
        data: what came with it, mostly the revert data as 0x-hex.

    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"rpc error {code}: {message}")
        self.code = code
        self.message = message
        self.data = data

    @property
    def is_verdict(self) -> bool:
        """Whether it is about the call or the transaction, so that other nodes would say the same.

        Any other may be about this node alone: its limits, its faults, what it has forgotten.
        """
        message = self.message.lower()
        return any(word in message for word in _VERDICTS)


class ForbiddenError(RpcError):
    """A node refuses a request for its key or plan, such as one for an old state."""

    @property
    def is_verdict(self) -> bool:
        """It never is one: another node may answer, whatever the words."""
        return False


class RevertError(RpcError):
    """A call or transaction was reverted by a contract.

    Attributes:
        reason: the text of Error(string), "panic 0x..." of a Panic, or "" where there is none.

    """

    def __init__(self, reason: str, data: bytes = b"", code: int = _REVERT_CODE) -> None:
        super().__init__(code, f"reverted: {reason or 'no reason given'}", data)
        self.reason = reason

    @property
    def is_verdict(self) -> bool:
        """It always is one, whatever the node calls it."""
        return True


@dataclass(frozen=True, slots=True)
class Head:
    """A block: its number, hash (32 bytes) and timestamp (s), its parent's hash and base fee (wei).

    `base_fee` is None on chains from before EIP-1559.
    """

    number: int
    hash: bytes
    timestamp: int
    parent_hash: bytes = b""
    base_fee: int | None = None


class Rpc(ABC):
    """What can be asked of a chain over `call` and `batch`, be it of one address or of several."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where answers come from, without credentials: what may be shown."""

    @abstractmethod
    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """Call one method and return its result as JSON gives it.

        Raises:
            RpcUnavailable: if no usable answer came.
            RevertError: if a contract reverted.
            RpcError: on any other error object.

        """

    @abstractmethod
    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Call several methods, `MAX_BATCH` an HTTP request, and return their results in order.

        One HTTP request is answered by one node, even behind a load balancer.

        Raises:
            RpcUnavailable, RevertError, RpcError: as `call`, for the first call that failed.

        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""

    async def eth_call(
        self,
        to: str,
        data: bytes,
        block: BlockId = "latest",
        *,
        sender: str | None = None,
    ) -> bytes:
        """Return what a call of the contract at `to` would return; raises as `call`.

        An address without code returns no bytes: decoding finds that, not this method.
        """
        transaction = {"to": to, "data": "0x" + data.hex()}
        if sender is not None:
            transaction["from"] = sender
        return self.data(await self.call("eth_call", [transaction, block_parameter(block)]))

    async def chain_id(self) -> int:
        """Return the chain id; raises as `call`."""
        return self.quantity(await self.call("eth_chainId"))

    async def head(self) -> Head:
        """Return the latest block; raises as `call`."""
        head = await self.block("latest")
        if head is None:
            raise RpcUnavailable(self.origin, "it has no latest block")
        return head

    async def block(self, block: BlockId) -> Head | None:
        """Return a block by number, tag or hash, None if the node has no such block."""
        if isinstance(block, bytes):
            answer = await self.call("eth_getBlockByHash", ["0x" + block.hex(), False])
        else:
            answer = await self.call("eth_getBlockByNumber", [block_parameter(block), False])
        return self.header(answer)

    async def blocks(self, numbers: Sequence[int]) -> list[Head | None]:
        """Return blocks by number, in order, None for each that the node does not have."""
        calls = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        return [self.header(answer) for answer in await self.batch(calls)]

    def header(self, answer: object) -> Head | None:
        """Decode a block object of this node; raises `RpcUnavailable` if it is malformed."""
        if answer is None:
            return None
        if not isinstance(answer, Mapping):
            raise RpcUnavailable(self.origin, "it sent a malformed block")
        base_fee = answer.get("baseFeePerGas")
        return Head(
            number=self.quantity(answer.get("number"), _COUNT_BITS),
            hash=self.data(answer.get("hash"), 32),
            timestamp=self.quantity(answer.get("timestamp"), _COUNT_BITS),
            parent_hash=self.data(answer.get("parentHash"), 32),
            base_fee=None if base_fee is None else self.quantity(base_fee),
        )

    def quantity(self, value: object, bits: int = _WORD_BITS) -> int:
        """Decode a 0x-quantity of this node's answer; raises `RpcUnavailable` if it is none."""
        if isinstance(value, str) and value[:2] == "0x":
            try:
                number = int(value, 16)
            except ValueError:
                number = -1
            if 0 <= number < 1 << bits:
                return number
        raise RpcUnavailable(self.origin, "it sent a malformed quantity")

    def data(self, value: object, length: int | None = None) -> bytes:
        """Decode 0x-data of this node's answer; raises `RpcUnavailable` if it is none."""
        if isinstance(value, str) and value[:2] == "0x":
            try:
                decoded = bytes.fromhex(value[2:])
            except ValueError:
                decoded = None
            if decoded is not None and length in (None, len(decoded)):
                return decoded
        raise RpcUnavailable(self.origin, "it sent malformed data")


class RpcClient(Rpc):
    """One RPC address. Its connections are opened at the first call and closed by `close`.

    Args:
        url: `http(s)://` address; credentials and keys inside it are never shown.
        timeout: seconds for one HTTP request, from connecting to the last byte.

    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        if origin_of(url).partition("://")[0] not in ("http", "https"):
            raise RpcUnavailable(url, "the address is not http:// or https://")
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._next_id = 0

    def __repr__(self) -> str:
        return f"RpcClient({self.origin})"

    @property
    def origin(self) -> str:
        """Scheme, host and port of the address: what may be shown."""
        return origin_of(self._url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """Call one method; see `Rpc.call`."""
        request = self._request(method, params)
        answer = await self._post(request)
        return self._result(answer, request["id"])

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Call several methods; see `Rpc.batch`."""
        results: list[Any] = []
        for start in range(0, len(calls), MAX_BATCH):
            results += await self._batch(calls[start : start + MAX_BATCH])
        return results

    async def _batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        requests = [self._request(method, params) for method, params in calls]
        answers = await self._post(requests)
        if isinstance(answers, Mapping):  # a node that refuses the batch as a whole
            self._result(answers, answers.get("id"))
        if not isinstance(answers, list):
            raise RpcUnavailable(self._url, "it answered a batch with something else")
        by_id = {str(item.get("id")): item for item in answers if isinstance(item, Mapping)}
        return [self._result(by_id.get(str(item["id"])), item["id"]) for item in requests]

    def _request(self, method: str, params: Sequence[object]) -> dict[str, Any]:
        self._next_id += 1
        return {
            "jsonrpc": "2.0",
            "id": self._next_id,
            "method": method,
            "params": list(params),
        }

    async def _post(self, body: object) -> Any:
        # The causes are dropped: texts of aiohttp may quote the address with its credentials.
        try:
            status, raw = await self._exchange(json.dumps(body).encode())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RpcUnavailable(self._url, why(error)) from None
        try:
            # It bounds the depth itself; `json` leaves that to the interpreter's stack.
            answer = from_json(raw)
        except ValueError:
            raise RpcUnavailable(self._url, f"HTTP {status} without JSON") from None
        # Some nodes send an error object with a 4xx; a proxy's own JSON is no JSON-RPC.
        if status != 200 and (status in _OVERLOADED or not _is_answer(answer)):
            raise RpcUnavailable(self._url, f"HTTP {status}")
        if status in _FORBIDDEN:
            raise _forbidden(answer) or RpcUnavailable(self._url, f"HTTP {status}")
        return answer

    async def _exchange(self, body: bytes) -> tuple[int, bytes]:
        session = self._open_session()
        async with session.post(self._url, data=body, allow_redirects=False) as response:
            chunks = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                chunks += chunk
                if len(chunks) > MAX_ANSWER_BYTES:
                    raise RpcUnavailable(self._url, "the answer is too long")
            return response.status, bytes(chunks)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, headers={"Content-Type": "application/json"}
            )
        return self._session

    def _result(self, answer: object, request_id: object) -> Any:
        if not isinstance(answer, Mapping):
            raise RpcUnavailable(self._url, "it left a call unanswered")
        error = answer.get("error")
        if error is not None:
            raise _error_of(error)
        if answer.get("id") != request_id or "result" not in answer:
            raise RpcUnavailable(self._url, "it answered another call")
        return answer["result"]


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, without credentials, path and query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or '?'}{port}"
    except ValueError:
        return "(malformed address)"


def block_parameter(block: BlockId) -> object:
    """Return a block id as JSON-RPC wants it (EIP-1898 for a hash, which must be canonical)."""
    if isinstance(block, bytes):
        return {"blockHash": "0x" + block.hex(), "requireCanonical": True}
    return hex(block) if isinstance(block, int) else block


def revert_reason(data: bytes) -> str:
    """Return the text in revert data: of Error(string), "panic 0x.." of Panic, else ""."""
    if data[:4] == _PANIC and len(data) == 36:
        return f"panic {int.from_bytes(data[4:], 'big'):#04x}"
    if data[:4] != _ERROR_STRING or len(data) < 68:
        return ""
    length = int.from_bytes(data[36:68], "big")
    return data[68 : 68 + length].decode("utf-8", "replace")


def _is_answer(answer: object) -> bool:
    items = answer if isinstance(answer, list) else [answer]
    return bool(items) and all(isinstance(item, Mapping) and "jsonrpc" in item for item in items)


def _forbidden(answer: Any) -> ForbiddenError | None:
    """Return why a node refuses a request or a batch, None if it has sent no error object."""
    items = answer if isinstance(answer, list) else [answer]
    errors = (item.get("error") for item in items)
    first = next((error for error in errors if isinstance(error, Mapping)), None)
    if first is None:
        return None
    refusal = _error_of(first)
    return ForbiddenError(refusal.code, refusal.message, first.get("data"))


def _error_of(error: object) -> RpcError:
    if not isinstance(error, Mapping):
        return RpcError(0, str(error))
    code = error.get("code")
    number = code if isinstance(code, int) else 0
    message = str(error.get("message", ""))
    data = _revert_data(error.get("data"))
    if number == _REVERT_CODE or "execution reverted" in message or data[:4] == _ERROR_STRING:
        return RevertError(revert_reason(data) or _reason_in(message), data, number)
    return RpcError(number, message, error.get("data"))


def _revert_data(data: object) -> bytes:
    if isinstance(data, Mapping):  # some nodes nest it
        data = data.get("data")
    if not isinstance(data, str) or data[:2] != "0x":
        return b""
    try:
        return bytes.fromhex(data[2:])
    except ValueError:
        return b""


def _reason_in(message: str) -> str:
    """Return the reason that a node put into its message, for those that send no data."""
    return message.partition("execution reverted")[2].lstrip(": ").strip()
