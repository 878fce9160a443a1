"""A timelock behind the `Rpc` port, and a sender that records what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from eth_abi.abi import encode

from workdeed.chain.bindings.codec import Call, Event, decode_call, event_codecs
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.bindings.timelock import ROLES, Timelock, role_id
from workdeed.chain.deployment import REQUIRED, DeployedContract, Deployment
from workdeed.chain.rpc import RevertError, Rpc
from workdeed.protocol.signing import to_checksum
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.sending import Sender
from workdeed.sdk.session import Session

NOW, DELAY = 1_800_000_000, 7_200
OPTIONAL = ("LicenseSale", "Timelock", "BurnAuction", "ProtocolToken", "JobLens")
NAMES = (*REQUIRED, *OPTIONAL)


def address(number: int) -> str:
    """Return an address that tests tell by a small number."""
    return to_checksum(number.to_bytes(20, "big"))


PROPOSER, STRANGER, GOVERNOR = address(1), address(2), address(3)


def deployment(*without: str) -> Deployment:
    """Return a deployment of every contract but some."""
    contracts = {
        name: DeployedContract(address=address(0xA0 + index), tx=bytes(32), block=1)
        for index, name in enumerate(NAMES)
        if name not in without
    }
    return Deployment(
        chain_id=31_337, genesis=0, window=12, challenge=3, start_block=1, contracts=contracts
    )


SUITE = Suite.of(deployment())
assert SUITE.timelock is not None
TIMELOCK = SUITE.timelock


@dataclass
class FakeTimelock(Rpc):
    """A chain with a timelock.

    Attributes:
        events: its log.
        ready: from when on each operation can be executed.
        members: accounts by role.
        governor: who holds the governor's role.
        refusal: why every call of the timelock would be refused, if it would.
        now: the time of the head.
    """

    events: list[Event] = field(default_factory=list)
    ready: dict[bytes, int] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=lambda: {"proposer": [PROPOSER]})
    governor: str = TIMELOCK.address
    refusal: str | None = None
    now: int = NOW

    @property
    def origin(self) -> str:
        return "fake://timelock"

    async def close(self) -> None:
        pass

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [await self.call(*call) for call in calls]

    async def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        if method == "eth_getBlockByNumber":
            block = {"number": "0x9", "hash": "0x" + "00" * 32, "parentHash": "0x" + "00" * 32}
            return block | {"timestamp": hex(self.now)}
        if method == "eth_getLogs":
            return self._logs(params[0]["topics"])
        assert method == "eth_call"
        return "0x" + self._view(params[0]).hex()

    def _logs(self, wanted: Sequence[Any]) -> list[dict[str, Any]]:
        found = [log_of(event, index) for index, event in enumerate(self.events)]
        return [
            log
            for log in found
            if all(fits is None or log["topics"][at] in fits for at, fits in enumerate(wanted))
        ]

    def _view(self, call: dict[str, str]) -> bytes:
        if to_checksum(call.get("from", address(0))) == TIMELOCK.address:
            if self.refusal is not None:
                raise RevertError(self.refusal)
            return bytes(32)
        contract = SUITE.at(to_checksum(call["to"]))
        assert contract is not None
        name, arguments = decode_call(contract.NAME, bytes.fromhex(call["data"][2:]))
        if name == "governor":
            return encode(["address"], [self.governor])
        if name == "get_minimum_delay":
            return encode(["uint256"], [DELAY])
        values = list(arguments.values())
        if name == "get_timestamp":
            return encode(["uint256"], [self.ready.get(values[0], 0)])
        assert name == "hasRole"
        (role,) = [one for one in ROLES if role_id(one) == values[0]]
        return encode(["bool"], [values[1] in self.members.get(role, [])])


class Recorder:
    """A sender for an account; after `send`, whatever the test says has happened."""

    def __init__(self, account: str) -> None:
        self.address = account
        self.sent: list[Call[Any]] = []

    async def send(self, call: Call[Any]) -> None:
        self.sent.append(call)


def session_of(rpc: Rpc, account: str = PROPOSER, *, without: Sequence[str] = ()) -> Session:
    """Return a session of an account, whose `sender` is a `Recorder`."""
    sender = cast(Sender, Recorder(account))
    return Session(rpc, deployment(*without), sender, Endpoints(allow_private=False), ())


def sent_by(session: Session) -> list[Call[Any]]:
    """Return what a session sent."""
    return cast(Recorder, session.sender).sent


def log_of(event: Event, index: int) -> dict[str, Any]:
    """Return the log of a timelock's event as a node would."""
    codecs = event_codecs(Timelock)
    codec = next(one for one in codecs.values() if one.event is type(event))
    topics = [codec.topic, *(encode([k], [getattr(event, n)]) for n, k in codec.indexed)]
    kinds = [kind for _, kind in codec.plain]
    data = encode(kinds, [getattr(event, name) for name, _ in codec.plain])
    return {
        "address": TIMELOCK.address,
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + data.hex(),
        "blockNumber": "0x2",
        "logIndex": hex(index),
    }
