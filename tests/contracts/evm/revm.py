"""Contracts in revm, by its Python bindings."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from pyrevm import EVM, AccountInfo, BlockEnv, CfgEnv, Env

from tests.contracts.evm import abi
from tests.contracts.evm.artifacts import artifact
from tests.contracts.evm.errors import Outcome, Reverted, reason_of
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum

CHAIN_ID = 31_337
FIRST_TIMESTAMP = 1_700_000_000
BLOCK_GAS = 2**60
RICH = 10**30
_REVERT = re.compile(r"Revert \{ gas_used: (\d+), output: 0x([0-9a-f]*) \}")
_HALT = re.compile(r"Halt \{ reason: (.*), gas_used: (\d+) \}")


class RevmEnv:
    """One chain, its clock and the accounts on it."""

    def __init__(self) -> None:
        self._contracts: dict[str, Contract] = {}
        self._addresses = 0
        self.calls = 0
        self.default_sender = _named("default sender")
        self._start(CHAIN_ID)

    def _start(self, chain_id: int) -> None:
        self.chain_id = chain_id
        self._evm = EVM(
            gas_limit=BLOCK_GAS, spec_id="CANCUN", env=Env(cfg=CfgEnv(chain_id=chain_id))
        )
        self._number, self._timestamp = 1, FIRST_TIMESTAMP
        self._set_block()
        self.result: Any = None

    @property
    def gas_used(self) -> int:
        """The gas of the latest call that was not undone."""
        return int(self.result.gas_used)

    def _set_block(self) -> None:
        self._evm.set_block_env(
            BlockEnv(number=self._number, timestamp=self._timestamp, gas_limit=BLOCK_GAS)
        )

    @property
    def timestamp(self) -> int:
        """The time of the next transaction, in Unix seconds."""
        return self._timestamp

    @timestamp.setter
    def timestamp(self, value: int) -> None:
        self._timestamp = value
        self._set_block()

    def time_travel(self, seconds: int) -> None:
        """Let time pass; a block comes with it."""
        self._number += 1
        self.timestamp += seconds

    @contextmanager
    def anchor(self) -> Iterator[None]:
        """Undo at the end what happens inside."""
        kept = self._number, self._timestamp
        checkpoint = self._evm.snapshot()
        try:
            yield
        finally:
            self._evm.revert(checkpoint)
            self._number, self._timestamp = kept
            self._set_block()

    @contextmanager
    def other_chain(self, chain_id: int) -> Iterator[None]:
        """Work on a chain of its own, empty at first, with another id."""
        kept = dict(self.__dict__)
        self._contracts = {}
        try:
            self._start(chain_id)
            yield
        finally:
            self.__dict__.update(kept)

    @contextmanager
    def sender(self, account: Any) -> Iterator[None]:
        """Send from an account where a call names none."""
        kept, self.default_sender = self.default_sender, _address(account)
        try:
            yield
        finally:
            self.default_sender = kept

    def generate_address(self) -> str:
        """Return an address that nothing else has."""
        self._addresses += 1
        return _named(f"generated {self._addresses}")

    def set_balance(self, account: Any, amount: int) -> None:
        """Set an account's ether."""
        self._evm.set_balance(_address(account), amount)

    def get_balance(self, account: Any) -> int:
        """Return an account's ether."""
        return int(self._evm.get_balance(_address(account)))

    def set_storage(self, contract: Any, slot: int, value: int) -> None:
        """Write a storage word of a contract, past its code."""
        self._evm.insert_account_storage(_address(contract), slot, value)

    def register(self, contract: Contract) -> None:
        """Let events of a contract be decoded wherever they come up."""
        self._contracts[contract.address.lower()] = contract

    def deploy(self, bytecode: bytes, sender: Any, value: int) -> str:
        """Create a contract; return its address."""
        creator = _address(sender or self.default_sender)
        address = self._run(lambda: self._evm.deploy(creator, bytecode, value))
        return to_checksum(address)

    def call(
        self,
        to: Any,
        *,
        sender: Any = None,
        data: bytes = b"",
        value: int = 0,
        static: bool = False,
    ) -> bytes:
        """Make one transaction, undone if it reverts; return its output."""
        caller = _address(sender or self.default_sender)
        with self._without_code(caller):
            return self._run(
                lambda: self._evm.message_call(
                    caller, _address(to), calldata=data, value=value, is_static=static
                )
            )

    def probe(self, to: Any, *, sender: Any = None, data: bytes = b"") -> Outcome:
        """Make a transaction and undo it; return what came of it."""
        with self.anchor():
            try:
                return Outcome(True, self.call(to, sender=sender, data=data))
            except Reverted as error:
                return Outcome(False, error.reason.encode())

    @contextmanager
    def _without_code(self, caller: str) -> Iterator[None]:
        """Let a contract send, which EIP-3607 forbids: it is no contract meanwhile."""
        if caller.lower() not in self._contracts:
            yield
            return
        kept, code = self._evm.basic(caller), self._evm.get_code(caller)
        account = {"balance": kept.balance, "nonce": kept.nonce}
        self._evm.insert_account_info(caller, AccountInfo(**account))
        try:
            yield
        finally:
            self._evm.insert_account_info(caller, AccountInfo(**account, code=code))

    def _run(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        try:
            output = call()
            self.result = self._evm.result
            return output
        except RuntimeError as error:
            raise self._reverted(str(error)) from None
        finally:
            self._evm.reset_transient_storage()

    def _reverted(self, text: str) -> Reverted:
        if match := _REVERT.search(text):
            return Reverted(reason_of(bytes.fromhex(match[2])))
        match = _HALT.search(text)
        return Reverted(f"halt: {match[1] if match else text}")

    def decode_logs(self, result: Any) -> list[Any]:
        """Return the events of a call, as far as their contracts are known."""
        decoded = []
        for entry in result.logs:
            contract = self._contracts.get(entry.address.lower())
            topics, data = entry.data
            if contract and topics and (event := contract.events.get(topics[0])):
                decoded.append(event(entry.address, topics, data))
        return decoded


def _named(name: str) -> str:
    return to_checksum("0x" + keccak(f"workdeed test account: {name}".encode())[-20:].hex())


def _address(account: Any) -> str:
    return account if isinstance(account, str) else str(account.address)


env = RevmEnv()


class Function:
    """A function of a contract, or several of one name with different numbers of arguments."""

    def __init__(self, contract: Contract, variants: dict[int, _Variant]) -> None:
        self._contract = contract
        self._variants = variants

    def __call__(self, *arguments: Any, sender: Any = None, value: int = 0) -> Any:
        variant = self._variants.get(len(arguments))
        if variant is None:
            raise TypeError(f"{self._contract}: no function takes {len(arguments)} arguments")
        output = env.call(
            self._contract,
            sender=sender,
            data=variant.prepare(arguments),
            value=value,
            static=variant.view,
        )
        self._contract.result = None if variant.view else env.result
        return variant.read(output)

    def prepare_calldata(self, *arguments: Any) -> bytes:
        """Return selector and arguments of a call."""
        return self._variants[len(arguments)].prepare(arguments)


class _Variant:
    """One function of the ABI."""

    def __init__(self, item: abi.Item) -> None:
        self.view = item["stateMutability"] in ("view", "pure")
        self._selector = abi.selector(item)
        self._inputs = abi.sequence(item["inputs"])
        self._outputs = abi.sequence(item["outputs"])
        self._single = len(item["outputs"]) == 1

    def prepare(self, arguments: Sequence[Any]) -> bytes:
        return self._selector + self._inputs.encode(arguments)

    def read(self, output: bytes) -> Any:
        values = self._outputs.decode(output, 0) if output else ()
        if self._single:
            return values[0]
        return values or None


@cache
def _functions(path: str) -> dict[str, dict[int, _Variant]]:
    """Return the functions of a contract by name and number of arguments."""
    functions: dict[str, dict[int, _Variant]] = {}
    for item in artifact(path).abi:
        if item["type"] == "function":
            functions.setdefault(item["name"], {})[len(item["inputs"])] = _Variant(item)
    return functions


def _event(item: abi.Item) -> Callable[[str, list[bytes], bytes], Any]:
    """Return what decodes an event into a named tuple of `address` and its arguments."""
    indexed = [one for one in item["inputs"] if one["indexed"]]
    plain = [one for one in item["inputs"] if not one["indexed"]]
    names = [one["name"] for one in item["inputs"]]
    shape = namedtuple(item["name"], ["address", *names])  # type: ignore[misc]
    topic_codecs = [abi.codec(one) for one in indexed]
    body = abi.sequence(plain)

    def decode(address: str, topics: list[bytes], data: bytes) -> Any:
        values = {
            one["name"]: codec.decode(topic, 0)
            for one, codec, topic in zip(indexed, topic_codecs, topics[1:], strict=True)
        }
        values |= zip((one["name"] for one in plain), body.decode(data, 0), strict=True)
        return shape(address, *(values[name] for name in names))

    return decode


@cache
def _events(name: str) -> dict[bytes, Callable[[str, list[bytes], bytes], Any]]:
    items = [item for item in artifact(name).abi if item["type"] == "event"]
    return {keccak(abi.signature(item).encode()): _event(item) for item in items}


class Contract:
    """A contract on the chain, with the functions of its ABI."""

    def __init__(self, path: str, address: str) -> None:
        self.address = address
        self.abi = artifact(path).abi
        self.events = _events(path)
        self.result: Any = None
        self._path = path
        for name, variants in _functions(path).items():
            setattr(self, name, Function(self, variants))
        env.register(self)

    def __repr__(self) -> str:
        return f"{self._path}({self.address})"

    def get_logs(self) -> list[Any]:
        """Return the events of this contract's latest call, callees' included; none of a view."""
        return env.decode_logs(self.result) if self.result else []


class Deployer:
    """A compiled contract."""

    def __init__(self, path: str) -> None:
        self._path = path
        constructor = [item for item in artifact(path).abi if item["type"] == "constructor"]
        self._inputs = abi.sequence(constructor[0]["inputs"] if constructor else [])

    def deploy(self, *arguments: Any, sender: Any = None, value: int = 0) -> Contract:
        """Deploy the contract."""
        code = artifact(self._path).bytecode + self._inputs.encode(arguments)
        contract = self.at(env.deploy(code, sender, value))
        contract.result = env.result
        return contract

    def at(self, address: str) -> Contract:
        """Return the contract that stands at an address."""
        return Contract(self._path, address)


@cache
def load(name: str) -> Deployer:
    """Return the compiled contract `name`: a path below `contracts/` without its suffix."""
    return Deployer(name)
