"""The operations of the SDK against the real contracts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from keeper_support import (
    GOVERNOR,
    GUARDIAN,
    ISSUER,
    OPERATOR,
    PAYER,
    PRICE,
    LocalChain,
    key_of,
    signer_of,
)

from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.intent import load_spec
from workdeed.protocol.hashing import keccak
from workdeed.sdk.client import Client
from workdeed.sdk.errors import MissingKeyError, RefusedError, SdkError

pytestmark = pytest.mark.anvil

SPEC = {
    "schema": "workdeed/spec@1",
    "name": "hello",
    "class_id": 1,
    "runner": "war",
    "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
    "run": ["python3", "server.py"],
    "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
}


class FakeKeeper:
    """Takes and gives specs."""

    def __init__(self) -> None:
        self.specs: dict[str, bytes] = {}
        app = web.Application()
        app.add_routes([web.put("/specs/{hash}", self._put)])
        self.server = TestServer(app)

    async def _put(self, request: web.Request) -> web.Response:
        self.specs[request.match_info["hash"]] = await request.read()
        return web.Response(status=204)


@pytest.fixture
async def keeper() -> AsyncIterator[FakeKeeper]:
    fake = FakeKeeper()
    await fake.server.start_server()
    yield fake
    await fake.server.close()


class Clients:
    """Clients of several accounts of one chain."""

    def __init__(self, chain: LocalChain, keeper: FakeKeeper) -> None:
        self._chain = chain
        self._keeper = str(keeper.server.make_url("")).rstrip("/")
        self._open: list[Client] = []

    async def of(self, account: int | None) -> Client:
        client = await Client.connect(
            RpcClient(self._chain.url),
            self._chain.deployment,
            None if account is None else signer_of(account),
            keepers=[self._keeper],
            allow_private=True,
        )
        self._open.append(client)
        return client

    async def close(self) -> None:
        for client in self._open:
            await client.close()


@pytest.fixture
async def clients(instant_chain: LocalChain, keeper: FakeKeeper) -> AsyncIterator[Clients]:
    found = Clients(instant_chain, keeper)
    yield found
    await found.close()


async def test_payer_opens_extends_revises_and_cancels_a_job(
    clients: Clients, keeper: FakeKeeper
) -> None:
    payer = await clients.of(PAYER)
    spec = load_spec(SPEC)
    assert (await payer.quote(1, 2, 5)).deposit == 10 * PRICE
    assert await payer.faucet(20 * PRICE) == 20 * PRICE
    job_id = await payer.open_job(spec, slots=2, windows=5)
    assert await payer.balance() == 10 * PRICE
    view = await payer.job(job_id)
    assert (view.state, view.locked, view.job.slots) == ("waiting", 10 * PRICE, 2)
    assert keccak(keeper.specs[f"0x{view.job.spec_hash.hex()}"]) == view.job.spec_hash
    assert await payer.extend_job(job_id, 1) == 0
    assert await payer.balance() == 8 * PRICE
    assert await payer.revise_job(job_id, load_spec(SPEC | {"name": "hello-2"})) == 1
    with pytest.raises(SdkError, match="has this very spec already"):
        await payer.revise_job(job_id, load_spec(SPEC | {"name": "hello-2"}))
    stranger = await clients.of(OPERATOR)
    with pytest.raises(RefusedError, match="only the account that opened the job") as refused:
        await stranger.cancel_job(job_id)
    assert refused.value.reason == "escrow: not the payer"
    assert await payer.cancel_job(job_id) == 12 * PRICE
    assert await payer.balance() == 20 * PRICE
    assert [one.state for one in await payer.jobs()] == ["closed"]


async def test_open_job_says_what_is_missing(clients: Clients) -> None:
    payer = await clients.of(PAYER)
    with pytest.raises(SdkError, match=r"balance: .* has 0 base units"):
        await payer.open_job(load_spec(SPEC), slots=1, windows=1)
    with pytest.raises(SdkError, match="price class 9 does not exist"):
        await payer.quote(9, 1, 1)
    with pytest.raises(SdkError, match="max_price"):
        await payer.open_job(load_spec(SPEC), slots=1, windows=1, max_price=1)
    greedy = SPEC | {"resources": {"cpu_milli": 10_000, "memory_mb": 64, "storage_mb": 64}}
    with pytest.raises(SdkError, match=r"resources\.cpu_milli"):
        await payer.open_job(load_spec(greedy), slots=1, windows=1)
    reader = await clients.of(None)
    with pytest.raises(MissingKeyError):
        await reader.cancel_job(1)
    with pytest.raises(SdkError, match="no such job"):
        await reader.job(1)


async def test_operator_links_announces_and_unlinks_a_node(clients: Clients) -> None:
    issuer, operator = await clients.of(ISSUER), await clients.of(OPERATOR)
    license_id = await issuer.issue_license(operator.sender)
    node = LocalSigner(keccak(b"node"))
    consent = await operator.consent_to_link(license_id, node)
    await operator.link_node(license_id, consent)
    await operator.set_profile(license_id, "http://127.0.0.1:9000", keccak(b"profile"))
    payout = signer_of(PAYER).address
    await operator.set_payout(license_id, payout)
    view = await operator.license(license_id)
    assert (view.node, view.payout, view.eligible) == (node.address, payout, True)
    assert view.endpoint == "http://127.0.0.1:9000"
    with pytest.raises(RefusedError, match="has a node"):
        await operator.link_node(license_id, LocalSigner(keccak(b"other")))
    await operator.unlink_node(license_id)
    assert not (await operator.license(license_id)).eligible
    with pytest.raises(SdkError, match="no such license"):
        await operator.license(99)


async def test_role_holders_attest_and_change_standings(clients: Clients) -> None:
    issuer, guardian, governor = [await clients.of(one) for one in (ISSUER, GUARDIAN, GOVERNOR)]
    account = signer_of(PAYER).address
    await issuer.attest(account, 2, int(time.time()) + 10**6)
    assert (await issuer.standing(account)).level == 2
    await issuer.revoke(account)
    assert (await issuer.standing(account)).level == 0
    license_id = await issuer.issue_license(account)
    await guardian.freeze(license_id, 1)
    assert (await issuer.standing(license_id)).to_json()["standing"] == "frozen"
    await governor.suspend(account, int(time.time()) + 10**6, 3)
    assert (await issuer.standing(account)).to_json()["standing"] == "suspended"
    await governor.blacklist(account, 4)
    await governor.reinstate(account, 0)
    assert (await issuer.standing(account)).to_json()["standing"] == "good"
    with pytest.raises(RefusedError, match="only the guardian"):
        await governor.freeze(account, 1)


async def test_two_operations_at_once_take_two_nonces(clients: Clients) -> None:
    payer = await clients.of(PAYER)
    await asyncio.gather(payer.faucet(1), payer.faucet(2))
    assert await payer.balance() == 3


async def test_connect_refuses_another_chain_and_missing_contracts(
    instant_chain: LocalChain,
) -> None:
    chain = instant_chain
    other = chain.deployment.model_copy(update={"chain_id": 5})
    async with RpcClient(chain.url) as rpc:
        with pytest.raises(SdkError, match="serves chain 31337"):
            await Client.connect(rpc, other)
        contracts = dict(chain.deployment.contracts)
        nowhere = contracts["JobEscrow"].model_copy(update={"address": signer_of(PAYER).address})
        moved = chain.deployment.model_copy(
            update={"contracts": contracts | {"JobEscrow": nowhere}}
        )
        with pytest.raises(SdkError, match="JobEscrow: there is no contract"):
            await Client.connect(rpc, moved)
    assert len(key_of(0)) == 32
