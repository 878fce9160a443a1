"""Contracts in titanoboa, which knows the source line of every instruction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boa
from boa.contracts.base_evm_contract import BoaError
from boa.contracts.vyper.vyper_contract import VyperContract, VyperDeployer
from boa.environment import Env
from vyper.compiler import CompilerData
from vyper.compiler.settings import anchor_settings
from vyper.ir import compile_ir

from tests.contracts.evm.artifacts import CONTRACTS
from tests.contracts.evm.errors import Outcome, Reverted, reason_of


@cache
def _source_map(compiler_data: CompilerData) -> Any:
    with anchor_settings(compiler_data.settings):
        return compile_ir.assembly_to_evm(compiler_data.assembly)[1]


# titanoboa assembles a constructor anew for each deployment only to map an error to its source
# line: 0.3 s for each contract, against milliseconds for the deployment itself.
VyperContract._deployment_source_map = property(lambda self: _source_map(self.compiler_data))

# titanoboa reads a contract's whole storage to describe it at each revert, which takes longer than
# the call, and fails where a key of a mapping is itself a hash that the contract computed.
VyperContract.__repr__ = lambda self: f"<{self.compiler_data.contract_path} at {self.address}>"


@contextmanager
def _as_reverts() -> Iterator[None]:
    """Tell a revert as the other backend does."""
    try:
        yield
    except BoaError as error:
        frame = error.stack_trace.last_frame
        detail = frame if isinstance(frame, str) else frame.pretty_vm_reason
        raise Reverted(_plain(str(detail))) from error


def _plain(detail: str) -> str:
    """Return what a contract said; titanoboa names what failed where it said nothing."""
    return "" if detail in ("", "None", "b''") else detail


class TitanoboaEnv:
    """What the tests ask of titanoboa's environment."""

    @property
    def timestamp(self) -> int:
        """The time of the next transaction, in Unix seconds."""
        return int(boa.env.timestamp)

    @timestamp.setter
    def timestamp(self, value: int) -> None:
        boa.env.timestamp = value

    @property
    def chain_id(self) -> int:
        """The chain id that contracts see."""
        return int(boa.env.evm.patch.chain_id)

    def time_travel(self, seconds: int) -> None:
        """Let time pass; a block comes with it."""
        boa.env.time_travel(seconds=seconds)

    @contextmanager
    def anchor(self) -> Iterator[None]:
        """Undo at the end what happens inside."""
        with boa.env.anchor():
            yield

    @contextmanager
    def other_chain(self, chain_id: int) -> Iterator[None]:
        """Work on a chain of its own, empty at first, with another id."""
        with boa.swap_env(Env()):
            boa.env.evm.patch.chain_id = chain_id
            yield

    @contextmanager
    def sender(self, account: Any) -> Iterator[None]:
        """Send from an account where a call names none."""
        with boa.env.sender(getattr(account, "address", account)):
            yield

    def generate_address(self) -> str:
        """Return an address that nothing else has."""
        return str(boa.env.generate_address())

    def set_balance(self, account: Any, amount: int) -> None:
        """Set an account's ether."""
        boa.env.set_balance(getattr(account, "address", account), amount)

    def get_balance(self, account: Any) -> int:
        """Return an account's ether."""
        return int(boa.env.get_balance(getattr(account, "address", account)))

    def set_storage(self, contract: Any, slot: int, value: int) -> None:
        """Write a storage word of a contract, past its code."""
        boa.env.set_storage(getattr(contract, "address", contract), slot, value)

    def call(self, to: Any, *, sender: Any = None, data: bytes = b"", value: int = 0) -> bytes:
        """Make one transaction, undone if it reverts; return its output."""
        computation = boa.env.execute_code(
            to_address=getattr(to, "address", to),
            sender=getattr(sender, "address", sender),
            data=data,
            value=value,
        )
        if computation.is_error:
            raise Reverted(reason_of(bytes(computation.output)))
        return bytes(computation.output)

    def probe(self, to: Any, *, sender: Any = None, data: bytes = b"") -> Outcome:
        """Make a transaction and undo it; return what came of it."""
        with self.anchor():
            try:
                return Outcome(True, self.call(to, sender=sender, data=data))
            except Reverted as error:
                return Outcome(False, error.reason.encode())


env = TitanoboaEnv()


class Contract:
    """A titanoboa contract whose functions revert as the other backend's do."""

    def __init__(self, inner: VyperContract) -> None:
        self.inner = inner
        self.address = str(inner.address)

    def __repr__(self) -> str:
        return repr(self.inner)

    @property
    def abi(self) -> list[dict[str, Any]]:
        """The contract's ABI."""
        return list(self.inner.abi)

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.inner, name)
        if not callable(function):
            return function
        return _Function(function)

    def get_logs(self) -> list[Any]:
        """Return the events of this contract's latest call, callees' included."""
        return list(self.inner.get_logs())


class _Function:
    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if "sender" in options:
            options["sender"] = getattr(options["sender"], "address", options["sender"])
        with _as_reverts():
            return self._function(*map(_plain_argument, arguments), **options)

    def prepare_calldata(self, *arguments: Any) -> bytes:
        """Return selector and arguments of a call."""
        return bytes(self._function.prepare_calldata(*map(_plain_argument, arguments)))


def _plain_argument(value: Any) -> Any:
    return value.address if isinstance(value, Contract) else value


class Deployer:
    """A compiled contract."""

    def __init__(self, inner: VyperDeployer) -> None:
        self._inner = inner

    def deploy(self, *arguments: Any, sender: Any = None, value: int = 0) -> Contract:
        """Deploy the contract."""
        with _as_reverts():
            if sender is None:
                return Contract(self._inner.deploy(*map(_plain_argument, arguments), value=value))
            with env.sender(sender):
                return Contract(self._inner.deploy(*map(_plain_argument, arguments), value=value))

    def at(self, address: str) -> Contract:
        """Return the contract that stands at an address."""
        return Contract(self._inner.at(address))


@cache
def load(name: str) -> Deployer:
    """Return the compiled contract `name`: a path below `contracts/` without its suffix."""
    return Deployer(boa.load_partial(str(CONTRACTS / f"{name}.vy")))
