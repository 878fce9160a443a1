"""Calls, results and events of contracts as the ABIs in `workdeed/chain/abi` describe them.

Nothing is loaded or computed before the first use. Texts from the chain are decoded leniently: an
owner may store any bytes as a string, and that must not stop who reads the log.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, ClassVar, Final, Generic, TypeVar

from workdeed.chain.errors import ChainError
from workdeed.chain.rpc import BlockId, Rpc
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum

T = TypeVar("T")
E = TypeVar("E", bound="Event")

Values = tuple[Any, ...]


class CodecError(ChainError):
    """A value does not fit the ABI, or an answer or a log does not decode by it."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call of a contract, to read with `read` or to send as a transaction.

    Attributes:
        to: the contract's address.
        data: selector and arguments.
        name: "Contract.function", for messages.
        decode: turns the returned bytes into the result; raises `CodecError`.

    """

    to: str
    data: bytes
    name: str
    decode: Callable[[bytes], T]


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events; the fields of each are those of the contract's, in its order."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event and where it stands in the chain.

    Attributes:
        event: what happened.
        address: the contract that logged it.
        block: the number of its block.
        block_hash: the hash of its block.
        timestamp: the time of its block, Unix seconds.
        tx_hash: the hash of its transaction.
        log_index: its position among the logs of its block.

    """

    event: Event
    address: str
    block: int
    block_hash: bytes
    timestamp: int
    tx_hash: bytes
    log_index: int


async def read(
    rpc: Rpc, call: Call[T], block: BlockId = "latest", *, sender: str | None = None
) -> T:
    """Return the result of `call` at `block`.

    Raises:
        CodecError: if there is no such contract.
        RpcUnavailable, RevertError, RpcError: as `Rpc.call`.

    """
    return call.decode(await rpc.eth_call(call.to, call.data, block, sender=sender))


class Contract:
    """The base of the bindings: an address with the ABI `abi/<NAME>.json`."""

    NAME: ClassVar[str]
    EVENTS: ClassVar[tuple[type[Event], ...]]

    def __init__(self, address: str) -> None:
        self.address = to_checksum(address)

    def __repr__(self) -> str:
        return f"{self.NAME}({self.address})"

    def _call(self, convert: Callable[[Values], T], function: str, *arguments: object) -> Call[T]:
        codec = _function(self.NAME, function, len(arguments))
        return Call(
            to=self.address,
            data=codec.encode(arguments),
            name=f"{self.NAME}.{function}",
            decode=_Decoder(codec, self.address, convert),
        )


@dataclass(frozen=True, slots=True)
class _Function:
    """How one function is called and answers."""

    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def encode(self, arguments: Sequence[object]) -> bytes:
        from eth_abi.abi import encode
        from eth_abi.exceptions import EncodingError

        try:
            return self.selector + encode(self.inputs, arguments)
        except (EncodingError, TypeError, ValueError) as error:
            raise CodecError(f"{self.name}: an argument does not fit: {error}") from error


@dataclass(frozen=True, slots=True)
class _Decoder(Generic[T]):
    """Decodes the answer of one call; a class, so that equal calls are equal."""

    codec: _Function
    address: str
    convert: Callable[[Values], T]

    def __call__(self, data: bytes) -> T:
        if not data and self.codec.outputs:
            raise CodecError(
                f"{self.codec.name}: nothing answers at {self.address}; check the deployment file"
            )
        return self.convert(_decode(self.codec.name, self.codec.outputs, data))


@dataclass(frozen=True, slots=True)
class EventCodec(Generic[E]):
    """How one event is logged.

    Attributes:
        event: the class of the event.
        topic: its first topic, the hash of its signature.
        indexed: names and types of the arguments in topics.
        plain: names and types of those in the data.

    """

    event: type[E]
    topic: bytes
    indexed: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...]

    def decode(self, topics: Sequence[bytes], data: bytes) -> E:
        """Decode a log; raises `CodecError` if it has another shape."""
        name = self.event.__name__
        if len(topics) != len(self.indexed) + 1 or topics[0] != self.topic:
            raise CodecError(f"{name}: the topics of a log do not fit the event")
        values = [
            _decode(name, (kind,), topic)[0]
            for (_, kind), topic in zip(self.indexed, topics[1:], strict=True)
        ]
        values += _decode(name, tuple(kind for _, kind in self.plain), data)
        names = (field for field, _ in self.indexed + self.plain)
        return self.event(**dict(zip(names, values, strict=True)))


@cache
def load_abi(contract: str) -> tuple[Mapping[str, Any], ...]:
    """Return the ABI of a contract; raises `CodecError` if the package has none."""
    path = resources.files("workdeed.chain") / "abi" / f"{contract}.json"
    try:
        return tuple(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise CodecError(f"{contract}: its ABI is missing; run scripts/export_abi.py") from None


def event_codecs(contract: type[Contract]) -> Mapping[bytes, EventCodec[Event]]:
    """Return how each event of a contract is logged, by first topic."""
    return _event_codecs(contract.NAME, contract.EVENTS)


def decode_call(contract: str, data: bytes) -> tuple[str, dict[str, Any]]:
    """Return which function of a contract `data` calls, and the arguments by name.

    A struct is a mapping of its fields.

    Raises:
        CodecError: if the contract has no such function, or the arguments do not decode.

    """
    item = _functions(contract).get(data[:4])
    if item is None:
        raise CodecError(f"{contract}: it has no function 0x{data[:4].hex()}")
    name, inputs = item["name"], item["inputs"]
    kinds = tuple(_type(argument) for argument in inputs)
    return name, _named(inputs, _decode(f"{contract}.{name}", kinds, data[4:]))


def nothing(_: Values) -> None:
    """Convert the result of a function that returns none."""


def integer(values: Values) -> int:
    """Convert a single number."""
    return int(values[0])


def flag(values: Values) -> bool:
    """Convert a single truth value."""
    return bool(values[0])


def text(values: Values) -> str:
    """Convert a single address or text."""
    return str(values[0])


def word(values: Values) -> bytes:
    """Convert a single bytes32."""
    return bytes(values[0])


@cache
def _function(contract: str, function: str, arity: int) -> _Function:
    for item in load_abi(contract):
        if item["type"] != "function" or item["name"] != function:
            continue
        inputs = tuple(_type(argument) for argument in item["inputs"])
        if len(inputs) == arity:
            return _Function(
                name=f"{contract}.{function}",
                selector=_selector(function, inputs),
                inputs=inputs,
                outputs=tuple(_type(result) for result in item["outputs"]),
            )
    raise CodecError(f"{contract}.{function}: no such function with {arity} arguments")


@cache
def _functions(contract: str) -> Mapping[bytes, Mapping[str, Any]]:
    """Return the functions of an ABI by selector."""
    return {
        _selector(item["name"], tuple(_type(argument) for argument in item["inputs"])): item
        for item in load_abi(contract)
        if item["type"] == "function"
    }


def _selector(function: str, kinds: Sequence[str]) -> bytes:
    return keccak(f"{function}({','.join(kinds)})".encode())[:4]


def _named(inputs: Sequence[Mapping[str, Any]], values: Values) -> dict[str, Any]:
    """Return values by the names of the ABI; only structs alone are told apart, not lists."""
    return {
        item["name"]: _named(item["components"], value) if item["type"] == "tuple" else value
        for item, value in zip(inputs, values, strict=True)
    }


@cache
def _event_codecs(
    contract: str, events: tuple[type[Event], ...]
) -> Mapping[bytes, EventCodec[Event]]:
    entries = {item["name"]: item for item in load_abi(contract) if item["type"] == "event"}
    codecs = (_event_codec(event, entries) for event in events)
    return {codec.topic: codec for codec in codecs}


def _event_codec(event: type[Event], entries: Mapping[str, Mapping[str, Any]]) -> EventCodec[Event]:
    inputs = entries[event.__name__]["inputs"]
    signature = f"{event.__name__}({','.join(_type(argument) for argument in inputs)})"
    fields = [(argument["name"], _type(argument), argument["indexed"]) for argument in inputs]
    return EventCodec(
        event=event,
        topic=keccak(signature.encode()),
        indexed=tuple((name, kind) for name, kind, indexed in fields if indexed),
        plain=tuple((name, kind) for name, kind, indexed in fields if not indexed),
    )


def _type(argument: Mapping[str, Any]) -> str:
    """Return the type of an ABI argument as signatures spell it, structs as tuples."""
    kind: str = argument["type"]
    if not kind.startswith("tuple"):
        return kind
    parts = ",".join(_type(component) for component in argument["components"])
    return f"({parts}){kind.removeprefix('tuple')}"


def _decode(name: str, kinds: Sequence[str], data: bytes) -> Values:
    if len(data) < _WORD * len(kinds):
        # eth-abi says so too, unless Ape is loaded, which replaces the decoder of numbers by one
        # that takes any number of bytes, for the whole process.
        raise CodecError(f"{name}: bytes from the chain do not fit its ABI: {len(data)} bytes")
    if len(data) == _WORD * len(kinds) and _WORDS.keys() >= set(kinds):
        return _decode_words(name, kinds, data)
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    raw = ["bytes" if kind == "string" else kind for kind in kinds]
    try:
        values = decode(raw, data)
    except (DecodingError, ValueError, OverflowError) as error:
        raise CodecError(f"{name}: bytes from the chain do not fit its ABI: {error}") from error
    return tuple(map(_value, kinds, values))


def _decode_words(name: str, kinds: Sequence[str], data: bytes) -> Values:
    """Decode values of a word each, which nearly all logs consist of, ten times as fast."""
    try:
        return tuple(
            _WORDS[kind](data[at : at + _WORD])
            for kind, at in zip(kinds, range(0, len(data), _WORD), strict=True)
        )
    except ValueError as error:
        raise CodecError(f"{name}: bytes from the chain do not fit its ABI: {error}") from error


def _uint(word: bytes) -> int:
    return int.from_bytes(word, "big")


def _address(word: bytes) -> str:
    if any(word[:12]):
        raise ValueError("an address has more than 20 bytes")
    return to_checksum(word[12:])


def _bool(word: bytes) -> bool:
    number = _uint(word)
    if number > 1:
        raise ValueError("a truth value is neither 0 nor 1")
    return number == 1


_WORD: Final = 32
_WORDS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "uint256": _uint,
    "address": _address,
    "bytes32": bytes,
    "bool": _bool,
}


def _value(kind: str, value: Any) -> Any:
    """Turn a decoded value into the form that the package uses for its type."""
    if kind.endswith("]"):
        item = kind[: kind.rindex("[")]
        return tuple(_value(item, one) for one in value)
    if kind == "address":
        return to_checksum(value)
    if kind == "string":
        return value.decode("utf-8", "replace")
    if kind.startswith("("):
        return tuple(map(_value, _split(kind), value))
    return value


def _split(kind: str) -> list[str]:
    """Return the member types of a tuple type, those of a nested one as one."""
    members, depth, start = [], 0, 1
    for at, sign in enumerate(kind):
        depth += (sign == "(") - (sign == ")")
        if (sign == "," and depth == 1) or depth == 0:
            members.append(kind[start:at])
            start = at + 1
    return members
