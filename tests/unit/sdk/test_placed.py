"""Who is in place on a job, read from the logs of its placements and scalings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_abi.abi import encode

from workdeed.chain.bindings.codec import Contract, Event, event_codecs
from workdeed.chain.bindings.desk import Job, JobScaled
from workdeed.chain.bindings.escrow import Placed
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import REQUIRED, DeployedContract, Deployment
from workdeed.chain.rpc import Rpc
from workdeed.protocol.signing import to_checksum
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import SdkError
from workdeed.sdk.placed import placed_licenses
from workdeed.sdk.sending import Sender
from workdeed.sdk.session import Session

GENESIS, WINDOW = 1_000, 100
PLACES = {
    name: DeployedContract(address=to_checksum(bytes([n + 1] * 20)), tx=bytes(32), block=1)
    for n, name in enumerate(REQUIRED)
}
DEPLOYMENT = Deployment(
    chain_id=1, genesis=GENESIS, window=WINDOW, challenge=10, start_block=1, contracts=PLACES
)
SUITE = Suite.of(DEPLOYMENT)
JOB = Job("0x", bytes(32), 0, 0, 1, 1, 10, 3, 0, 2, 3, 4, 9, 5, 1, 0, False, False, False, 0)
"""In place since window 4, with two licenses."""

HISTORY = [
    (3, Placed(7, 0, 3, 0, 9, (), (12, 11))),
    (4, Placed(7, 1, 4, 0, 9, (11,), (15,))),
    (5, JobScaled(7, 5, 2, 1, 0, 1, (12,))),
    (6, Placed(7, 2, 6, 0, 9, (), (12,))),
]
"""The window and the event."""


@dataclass
class LogRpc(Rpc):
    """A chain of one block a window, with logs."""

    history: Sequence[tuple[int, Event]]
    asked: str = ""

    @property
    def origin(self) -> str:
        return "fake://node"

    async def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        if method == "eth_getBlockByNumber":
            number = 8 if params[0] == "latest" else int(params[0], 16)
            return self._block(number)
        (query,) = params
        self.asked = query["fromBlock"]
        first = int(query["fromBlock"], 16)
        return [self._log(window, event) for window, event in self.history if window >= first]

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [await self.call(method, params) for method, params in calls]

    async def close(self) -> None:
        pass

    @staticmethod
    def _block(number: int) -> dict[str, str]:
        """Return block `number`, in the middle of the window of that number."""
        timestamp = GENESIS + (number - 1) * WINDOW + WINDOW // 2
        digest = "0x" + number.to_bytes(32, "big").hex()
        return {
            "number": hex(number),
            "hash": digest,
            "parentHash": digest,
            "timestamp": hex(timestamp),
        }

    @staticmethod
    def _log(window: int, event: Event) -> dict[str, Any]:
        contract: Contract = SUITE.escrow if isinstance(event, Placed) else SUITE.desk
        codecs = event_codecs(type(contract)).values()
        codec = next(one for one in codecs if one.event is type(event))
        topics = [codec.topic]
        topics += [encode([kind], [getattr(event, name)]) for name, kind in codec.indexed]
        plain = [getattr(event, name) for name, _ in codec.plain]
        return {
            "address": contract.address,
            "topics": ["0x" + topic.hex() for topic in topics],
            "data": "0x" + encode([kind for _, kind in codec.plain], plain).hex(),
            "blockNumber": hex(window),
            "logIndex": "0x0",
        }


def session_of(rpc: LogRpc) -> Session:
    sender = Sender(rpc, 1, SUITE, None)
    return Session(rpc, DEPLOYMENT, sender, Endpoints(allow_private=True), ())


async def test_those_longest_in_place_come_first() -> None:
    """A license that came back counts from its latest placement."""
    rpc = LogRpc(HISTORY)
    assert await placed_licenses(session_of(rpc), 7, JOB) == [15, 12]
    # The first placement was in the window before the job's first: nothing older is asked for.
    assert int(rpc.asked, 16) == 3


async def test_of_one_placement_the_lowest_ids_come_first() -> None:
    rpc = LogRpc(HISTORY[:1])
    assert await placed_licenses(session_of(rpc), 7, JOB) == [11, 12]


async def test_a_job_that_waits_has_none_and_nothing_is_asked() -> None:
    rpc = LogRpc(HISTORY)
    waiting = replace(JOB, start=0, end=0, active=0)
    assert await placed_licenses(session_of(rpc), 7, waiting) == []
    assert rpc.asked == ""


async def test_missing_logs_are_noticed() -> None:
    rpc = LogRpc(HISTORY[1:])
    with pytest.raises(SdkError, match="the RPC shows 2 of its 3 licenses; name those to release"):
        await placed_licenses(session_of(rpc), 7, replace(JOB, active=3))
