"""A dry run: nothing is signed, and everything is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from books_support import ESCROW

from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.effects import Effect
from workdeed.chain.rpc import RevertError, Rpc, RpcUnavailable
from workdeed.keeper.dryrun import DryOutbox, dry
from workdeed.keeper.logs import get_log
from workdeed.keeper.settings import KeeperSettings

SENDER = ESCROW
EFFECT = Effect(key="close:1", call=JobDesk(ESCROW).close_unattested(1))


class FakeRpc(Rpc):
    """Answers simulations; anything else would be a signature that leaves."""

    reason = ""
    down = False

    @property
    def origin(self) -> str:
        return "http://one"

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        if self.down:
            raise RpcUnavailable(self.origin)
        if self.reason:
            raise RevertError(self.reason)
        answers = {
            "eth_call": "0x",
            "eth_estimateGas": hex(75_000),
            "eth_getTransactionCount": "0x3",
        }
        return answers[method]

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [await self.call(method, params) for method, params in calls]

    async def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def rpc() -> FakeRpc:
    return FakeRpc()


@pytest.fixture
def outbox(rpc: FakeRpc) -> DryOutbox:
    return DryOutbox(rpc, SENDER, get_log())


async def test_what_would_be_sent_is_told(
    outbox: DryOutbox, log_lines: list[dict[str, object]]
) -> None:
    await outbox.submit(EFFECT)
    assert log_lines == [
        {
            "event": "would_send",
            "key": "close:1",
            "call": "JobDesk.close_unattested",
            "gas": 75_000,
            "log_level": "info",
        }
    ]
    assert (await outbox.step(), (await outbox.tally()).counts) == ((), {})
    await outbox.retry(EFFECT.key)


async def test_what_the_contract_would_refuse_is_told(
    outbox: DryOutbox, rpc: FakeRpc, log_lines: list[dict[str, object]]
) -> None:
    rpc.reason = "desk: nothing requested"
    await outbox.submit(EFFECT)
    assert [(line["event"], line["reason"]) for line in log_lines] == [
        ("would_fail", "desk: nothing requested")
    ]


async def test_a_chain_that_does_not_answer_is_a_trouble(outbox: DryOutbox, rpc: FakeRpc) -> None:
    rpc.down = True
    with pytest.raises(RpcUnavailable):
        await outbox.submit(EFFECT)


def test_a_dry_run_takes_nothing_that_a_keeper_beside_it_needs(tmp_path: Path) -> None:
    settings = KeeperSettings.model_validate(
        {
            "chain": {
                "rpc_urls": ["http://127.0.0.1:8545"],
                "chain_id": 31_337,
                "deployment": tmp_path / "31337.json",
            },
            "keys": {"member": {"private_key_env": "MEMBER"}},
            "database": str(tmp_path / "keeper.db"),
            "oracle": {"enabled": True},
        }
    )
    found = dry(settings)
    assert found.dry_run
    assert found.database == "sqlite://"
    assert found.http.port == 0
    assert not found.oracle.enabled
    assert not found.duties.dispatch
    assert found.chain == settings.chain
