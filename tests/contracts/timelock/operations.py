"""What the tests of the timelock repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import ZERO_ADDRESS, System, deployer

DELAY = 7_200
NO_HASH = bytes(32)
NOT_READY = "timelock_controller: operation is not ready"
MISSING_ROLE = "access_control: account is missing role"


class Operation(NamedTuple):
    """What `execute` takes, in its order; `schedule` takes a delay behind it."""

    target: Any
    amount: int
    payload: bytes
    predecessor: bytes
    salt: bytes


def operation(
    contract: Contract,
    function: str,
    *arguments: Any,
    predecessor: bytes = NO_HASH,
    salt: bytes = NO_HASH,
) -> Operation:
    """Return the operation that makes a call."""
    payload = getattr(contract, function).prepare_calldata(*arguments)
    return Operation(contract, 0, payload, predecessor, salt)


@dataclass
class Governed:
    """A system and its timelock, which is the governor once the role was handed over."""

    system: System
    timelock: Contract

    @property
    def proposer(self) -> str:
        """Who schedules and cancels: the governor of the system's beginning."""
        return self.system.governor

    def schedule(self, one: Operation, delay: int = DELAY, *, sender: str | None = None) -> bytes:
        """Schedule an operation; return its id."""
        name = self.id_of(one)
        self.timelock.schedule(*one, delay, sender=sender or self.proposer)
        return name

    def execute(self, one: Operation, *, sender: str | None = None) -> None:
        """Execute an operation; anyone may."""
        self.timelock.execute(*one, sender=sender or self.system.stranger)

    def id_of(self, one: Operation) -> bytes:
        """Return the id of an operation."""
        return bytes(self.timelock.hash_operation(*one))

    def carry_out(self, one: Operation) -> None:
        """Schedule an operation, wait for it and execute it."""
        self.schedule(one)
        self.system.wait(DELAY)
        self.execute(one)

    def hand_over(self) -> None:
        """Make the timelock the governor."""
        trust = self.system.trust
        trust.transfer_ownership(self.timelock, sender=self.system.governor)
        self.carry_out(operation(trust, "accept_ownership"))


def deploy_timelock(
    system: System,
    *,
    delay: int = DELAY,
    proposers: Sequence[str] | None = None,
    executors: Sequence[str] = (ZERO_ADDRESS,),
) -> Governed:
    """Deploy a timelock; the governor proposes and anyone executes unless told otherwise."""
    with evm.env.sender(system.deployer):
        timelock = deployer("Timelock").deploy(
            delay, [system.governor] if proposers is None else list(proposers), list(executors)
        )
    return Governed(system, timelock)
