"""Whole keepers on one PostgreSQL database: one sends, the other stands by; the server may go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import structlog
from keeper_support import CHAIN_ID, KEEPER, LocalChain, key_of, running

from tests.postgres import PostgresServer
from workdeed.chain.rpc import RpcClient
from workdeed.keeper.run import Keeper
from workdeed.keeper.settings import KeeperSettings

pytestmark = [pytest.mark.anvil, pytest.mark.postgres]

PATIENCE = 60
"""Seconds after which a test gives up: many times what it takes."""


def settings(chain: LocalChain, database: str, name: str, *, standby: bool) -> KeeperSettings:
    """Return settings of a keeper that sends with the same key as the others."""
    key = chain.folder / "sender.key"
    key.write_text(key_of(KEEPER).hex())
    return KeeperSettings.model_validate(
        {
            "chain": {
                "rpc_urls": [chain.url],
                "chain_id": CHAIN_ID,
                "deployment": chain.file,
                "confirmations": 0,
                "poll_seconds": 0.1,
                "block_seconds": 1,
            },
            "keys": {"sender": {"private_key_file": key}},
            "database": database,
            "state_dir": chain.folder / name,
            "http": {"port": 0},
            "lease": {"ttl_seconds": 6, "standby": standby},
            "allow_private_endpoints": True,
        }
    )


async def asked(keeper: Keeper, path: str) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{keeper.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what must come to pass."""
    for _ in range(PATIENCE * 10):
        if await probe():
            return
        await asyncio.sleep(0.1)
    pytest.fail("it did not come to pass")


async def sends(keeper: Keeper) -> bool:
    """Tell whether a keeper has the lease of its sender."""
    _, body = await asked(keeper, "/readyz")
    return "sender" in body["troubles"] and "sender" not in body["notes"]


async def follows(chain: LocalChain, keeper: Keeper) -> None:
    """Make a block and wait until a keeper has seen it."""
    async with RpcClient(chain.url) as rpc:
        await rpc.call("evm_mine", [])
        head = (await rpc.head()).number

    async def seen() -> bool:
        return keeper.view is not None and keeper.view.block >= head

    await until(seen)


async def test_a_standby_follows_and_takes_over_when_the_sender_stops(
    instant_chain: LocalChain, postgres: str
) -> None:
    async with AsyncExitStack() as first:
        told = settings(instant_chain, postgres, "sender", standby=False)
        sender = await first.enter_async_context(running(told))
        assert await sends(sender)
        async with running(settings(instant_chain, postgres, "other", standby=True)) as standby:
            await follows(instant_chain, standby)
            status, body = await asked(standby, "/readyz")
            assert (status, body["ready"]) == (200, True)
            assert set(body["notes"]) == {"sender", "follower"}
            await first.aclose()
            await until(lambda: sends(standby))
            await follows(instant_chain, standby)
            assert (await asked(standby, "/readyz"))[1]["notes"] == {}


async def test_a_surplus_keeper_that_is_no_standby_is_not_ready(
    instant_chain: LocalChain, postgres: str
) -> None:
    one, other = (
        settings(instant_chain, postgres, name, standby=False) for name in ("one", "other")
    )
    async with running(one), running(other) as surplus:
        await follows(instant_chain, surplus)
        status, body = await asked(surplus, "/readyz")
        assert (status, body["troubles"]["chain"]) == (503, "")
        assert "lease.standby = true" in body["troubles"]["sender"]


async def test_a_keeper_outlives_its_database(
    instant_chain: LocalChain, postgres_server: PostgresServer
) -> None:
    database = postgres_server.new_database()
    told = settings(instant_chain, database, "keeper", standby=False)
    with structlog.testing.capture_logs() as lines:
        async with running(told) as keeper:
            await follows(instant_chain, keeper)
            postgres_server.stop()

            async def troubled() -> bool:
                return any(
                    line["event"] == "trouble" and "it does not answer" in str(line["reason"])
                    for line in lines
                )

            try:
                await until(troubled)
                assert (await asked(keeper, "/healthz"))[0] == 200
            finally:
                postgres_server.start()
            await follows(instant_chain, keeper)
            await until(lambda: sends(keeper))
    ends = [line["where"] for line in lines if line["event"] == "trouble_over"]
    assert "chain" in ends
