"""The operations of the SDK against the real contracts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from keeper_support import (
    BOND,
    DELEGATE,
    GOVERNOR,
    GUARDIAN,
    ISSUER,
    OPERATOR,
    PAYER,
    PRICE,
    UNBOND_DELAY,
    FakeKeeper,
    LocalChain,
    Quorum,
    key_of,
    signer_of,
)

from workdeed.chain.bindings.committee import MIN_REPORTS
from workdeed.chain.bindings.licenses import ZERO_ADDRESS
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.intent import load_spec
from workdeed.node.identity import NodeIdentity
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Resources
from workdeed.sdk.client import Client
from workdeed.sdk.draining import DrainState
from workdeed.sdk.errors import MissingKeyError, RefusedError, SdkError

pytestmark = pytest.mark.anvil

FOREVER = 2**40
"""A deadline that no test reaches, in Unix seconds."""

SPEC = {
    "schema": "workdeed/spec@1",
    "name": "hello",
    "class_id": 1,
    "runner": "war",
    "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
    "run": ["python3", "server.py"],
    "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
}


class Clients:
    """Clients of several accounts of one chain."""

    def __init__(self, chain: LocalChain, keeper: FakeKeeper) -> None:
        self._chain = chain
        self._keeper = keeper.url
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
    with pytest.raises(SdkError, match=r"job 1: its payer is .*; a delegate names the payer"):
        await stranger.cancel_job(job_id)
    with pytest.raises(RefusedError, match="the payer did not grant you this") as refused:
        await stranger.cancel_job(job_id, payer=payer.sender)
    assert refused.value.reason == "desk: not granted"
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


@pytest.fixture
async def calm(calm_chain: LocalChain, keeper: FakeKeeper) -> AsyncIterator[Clients]:
    """Clients of a chain whose windows end only when a test says so."""
    found = Clients(calm_chain, keeper)
    yield found
    await found.close()


async def add_node(clients: Clients, seed: bytes) -> int:
    """Issue a license to the operator, link a node and post its bond; return the license."""
    issuer, operator = await clients.of(ISSUER), await clients.of(OPERATOR)
    license_id = await issuer.issue_license(operator.sender)
    await operator.link_node(license_id, LocalSigner(keccak(seed)), FOREVER)
    await operator.faucet(BOND)
    await operator.post_bond(license_id, BOND)
    return license_id


async def test_a_job_is_scaled_before_and_after_its_start(calm: Clients, quorum: Quorum) -> None:
    """Who gives up slots without a choice loses the licenses that are longest in place."""
    payer = await calm.of(PAYER)
    nodes = [await add_node(calm, b"node %d" % one) for one in range(4)]
    await payer.faucet(100 * PRICE)
    job_id = await payer.open_job(load_spec(SPEC), slots=2, windows=10, min_slots=1)
    grown = await payer.scale_job(job_id, 3)
    assert (grown.slots, grown.deposit, grown.refund) == (3, 10 * PRICE, 0)
    await quorum.place(job_id, [nodes[1]])
    await quorum.to_next_window()
    await quorum.place(job_id, [nodes[3], nodes[0]])
    await quorum.to_next_window()
    await quorum.place(job_id, [nodes[2]], [nodes[1]])

    shrunk = await payer.scale_job(job_id, 1)
    # Both were placed in one window: of several, the lowest ids come first.
    assert shrunk.released == (nodes[0], nodes[3])
    assert shrunk.refund == 2 * 8 * PRICE
    view = await payer.job(job_id)
    assert (view.job.slots, view.job.active, view.windows_left) == (1, 1, 8)
    assert view.locked == (2 * 3 + 8) * PRICE
    grown = await payer.scale_job(job_id, 2)
    assert (grown.released, grown.deposit) == ((), 8 * PRICE)
    await quorum.to_next_window()
    await quorum.report({})
    await quorum.to_next_window()
    await quorum.report({})
    await quorum.place(job_id, [nodes[0]])
    named = await payer.scale_job(job_id, 1, release=[nodes[0]])
    assert named.released == (nodes[0],)


async def test_what_cannot_be_scaled_is_said_before_anything_is_sent(
    calm: Clients, quorum: Quorum
) -> None:
    payer = await calm.of(PAYER)
    nodes = [await add_node(calm, b"node %d" % one) for one in range(2)]
    await payer.faucet(20 * PRICE)
    job_id = await payer.open_job(load_spec(SPEC), slots=2, windows=10)
    for slots in (0, 2):
        with pytest.raises(SdkError, match="slots: it must be at least 1, and not 2"):
            await payer.scale_job(job_id, slots)
    with pytest.raises(SdkError, match="balance: "):
        await payer.scale_job(job_id, 3)
    with pytest.raises(SdkError, match="release: name 0 licenses"):
        await payer.scale_job(job_id, 1, release=nodes[:1])
    await quorum.place(job_id, nodes)
    with pytest.raises(SdkError, match="release: name 1 licenses"):
        await payer.scale_job(job_id, 1, release=nodes)
    stranger = await add_node(calm, b"node 9")
    with pytest.raises(RefusedError, match="a license to release is not in place"):
        await payer.scale_job(job_id, 1, release=[stranger])


async def test_a_delegate_spends_within_its_grant(calm: Clients) -> None:
    """M8: refunds go to the payer and restore no budget."""
    payer, delegate = await calm.of(PAYER), await calm.of(DELEGATE)
    spec = load_spec(SPEC)
    await payer.faucet(30 * PRICE)
    with pytest.raises(SdkError, match=r"allowance: .* it must approve more"):
        await delegate.open_job(spec, slots=1, windows=5, payer=payer.sender)
    scopes = ("open", "extend", "scale", "cancel")
    await payer.grant(delegate.sender, scopes, 18 * PRICE, FOREVER - 1)
    view = await payer.delegate(payer.sender, delegate.sender)
    assert (view.scopes, view.budget, view.allowance) == (scopes, 18 * PRICE, 18 * PRICE)

    job_id = await delegate.open_job(spec, slots=1, windows=5, payer=payer.sender)
    assert (await delegate.job(job_id)).job.payer == payer.sender
    await delegate.extend_job(job_id, 1, payer=payer.sender)
    await delegate.scale_job(job_id, 2, payer=payer.sender)
    with pytest.raises(SdkError, match="a delegate names the payer"):
        await delegate.extend_job(job_id, 1)
    other = load_spec(SPEC | {"name": "other"})
    with pytest.raises(RefusedError, match="the payer did not grant you this"):
        await delegate.revise_job(job_id, other, payer=payer.sender)
    assert await delegate.cancel_job(job_id, payer=payer.sender) == 12 * PRICE
    assert await payer.balance() == 30 * PRICE
    assert (await payer.delegate(payer.sender, delegate.sender)).budget == 6 * PRICE
    # The allowance is the payer's, who has raised it for something else meanwhile.
    token, escrow = payer.session.suite.token, payer.session.suite.escrow
    await payer.session.sender.send(token.approve(escrow.address, 30 * PRICE))
    with pytest.raises(RefusedError, match="more than is left of the payer's grant"):
        await delegate.open_job(spec, slots=1, windows=7, payer=payer.sender)
    await payer.revoke_grant(delegate.sender)
    assert (await payer.delegate(payer.sender, delegate.sender)).scopes == ()


async def test_a_grant_that_says_nothing_is_refused(calm: Clients) -> None:
    payer = await calm.of(PAYER)
    account = signer_of(DELEGATE).address
    with pytest.raises(SdkError, match="scopes: none is named"):
        await payer.grant(account, [], 1, FOREVER - 1)
    with pytest.raises(SdkError, match="scopes: 'fly' is unknown; choose from open, extend"):
        await payer.grant(account, ["open", "fly"], 1, FOREVER - 1)
    with pytest.raises(SdkError, match="expires_at: it has passed"):
        await payer.grant(account, ["open"], 1, 1)


async def announce(client: Client, license_id: int, seed: bytes) -> TestServer:
    """Serve both profiles of a node, and announce the usual one."""
    deployment = client.session.deployment
    committee = deployment.address("OracleCommittee")
    identity = NodeIdentity(keccak(seed), deployment.chain_id, committee, license_id, b"i" * 16)
    usual = identity.profile(Resources(cpu_milli=1, memory_mb=1, storage_mb=1), (), ("war",))
    nothing = identity.profile(Resources(cpu_milli=0, memory_mb=0, storage_mb=0), (), ("war",))
    app = web.Application()
    for path, profile in (("/profile", usual), ("/profile/draining", nothing)):

        async def serve(_: web.Request, body: bytes = profile.canonical()) -> web.Response:
            return web.Response(body=body)

        app.router.add_get(path, serve)
    server = TestServer(app)
    await server.start_server()
    await client.set_profile(license_id, str(server.make_url("")).rstrip("/"), usual.profile_hash)
    return server


async def test_a_node_drains_without_losing_a_paid_window(calm: Clients, quorum: Quorum) -> None:
    """It is unlinked once the window is over in which it was replaced, and not before."""
    payer, operator = await calm.of(PAYER), await calm.of(OPERATOR)
    leaving, other = [await add_node(calm, b"node %d" % one) for one in range(2)]
    server = await announce(operator, leaving, b"node 0")
    await payer.faucet(100 * PRICE)
    job_id = await payer.open_job(load_spec(SPEC), slots=1, windows=10)
    finished = await payer.open_job(load_spec(SPEC), slots=1, windows=1)
    for one in (job_id, finished):
        await quorum.place(one, [leaving])
    told: list[DrainState] = []

    async def sleep(_: float) -> None:
        """Let a window pass; in the third the committee replaces the node."""
        assert (await operator.license(leaving)).node != ZERO_ADDRESS
        if len(told) == 3:
            await quorum.place(job_id, [other], [leaving])
        await quorum.to_next_window()

    began = await quorum.window()
    last = await operator.drain(leaving, told=told.append, sleep=sleep)
    await server.close()
    assert told == [
        DrainState(began, (job_id, finished)),
        DrainState(began + 1, (job_id, finished)),
        DrainState(began + 2, (job_id,)),
    ]
    assert last == DrainState(began + 3, ())
    view = await operator.license(leaving)
    assert view.node == ZERO_ADDRESS
    assert (await payer.job(job_id)).job.active == 1


async def test_an_operator_posts_and_withdraws_a_bond(calm: Clients, quorum: Quorum) -> None:
    issuer, operator = await calm.of(ISSUER), await calm.of(OPERATOR)
    license_id = await issuer.issue_license(operator.sender)
    await operator.link_node(license_id, LocalSigner(keccak(b"node")), FOREVER)
    missing = await operator.license(license_id)
    assert (missing.eligible, missing.bonded, missing.min_bond) == (False, False, BOND)
    assert "below the minimum" in missing.obstacle
    await operator.faucet(BOND)
    assert await operator.post_bond(license_id, BOND - 1) == BOND - 1
    assert not (await operator.license(license_id)).bonded
    assert await operator.post_bond(license_id, 1) == BOND
    assert (await operator.license(license_id)).eligible
    with pytest.raises(SdkError, match="amount: it must be above 0"):
        await operator.post_bond(license_id, 0)

    assert await operator.request_unbond(license_id, 10) == 10
    assert not (await operator.license(license_id)).eligible
    assert await operator.cancel_unbond(license_id) == BOND
    assert await operator.request_unbond(license_id) == BOND
    with pytest.raises(RefusedError, match="the delay still runs"):
        await operator.withdraw_bond(license_id)
    leaving = await operator.license(license_id)
    assert leaving.withdraw_at is not None
    await quorum.wait(UNBOND_DELAY)
    assert await operator.withdraw_bond(license_id) == BOND
    assert await operator.balance() == BOND
    assert (await operator.license(license_id)).withdraw_at is None


async def test_the_bond_of_a_seated_oracle_stays(calm: Clients) -> None:
    operator = await calm.of(OPERATOR)
    await operator.faucet(BOND)
    await operator.post_bond(1, BOND)
    await operator.request_unbond(1)
    view = await operator.license(1)
    assert (view.seated, view.unbonding, view.withdraw_at) == (True, BOND, None)
    with pytest.raises(RefusedError, match="its bond stays until the seat has ended"):
        await operator.withdraw_bond(1)


async def test_fees_are_flushed_pulled_and_paid_to_oracles(
    calm: Clients, quorum: Quorum, keeper: FakeKeeper
) -> None:
    """M3 to the end: what was kept of a claim is shared three ways, to the last base unit."""
    payer, anyone = await calm.of(PAYER), await calm.of(DELEGATE)
    license_id = await add_node(calm, b"node")
    await payer.faucet(10 * PRICE)
    job_id = await payer.open_job(load_spec(SPEC), slots=1, windows=5)
    await quorum.place(job_id, [license_id])
    await quorum.to_next_window()
    await quorum.to_next_window()
    keeper.tell(*await quorum.report({(job_id, license_id): 7_777}))
    collected = await anyone.claim(job_id, license_id)
    assert collected is not None
    fees = PRICE * 7_777 // 10_000 - collected.amount
    (before,) = (await anyone.fees()).policies
    assert (before.fees, before.waiting) == (fees, fees)

    flushed = await anyone.flush_fees(1)
    assert sum(flushed) == fees
    view = await anyone.fees()
    assert (view.policies[0].waiting, view.pots) == (0, flushed)
    assert sum(await anyone.flush_fees(1)) == 0
    assert await anyone.pull_pots() == flushed
    assert sum((await anyone.fees()).pots) == sum(await anyone.pull_pots()) == 0

    assert await anyone.claim_reward(license_id) is None
    assert await anyone.claim_reward(1) is None
    for _ in range(MIN_REPORTS - 1):
        await quorum.to_next_window()
        await quorum.report({})
    reward = await anyone.claim_reward(1)
    assert reward is not None
    assert (reward.payee, reward.amount) == (signer_of(OPERATOR).address, flushed.oracles)
    assert await anyone.claim_reward(1) is None


async def test_what_a_blacklisted_license_earned_is_forfeited(
    calm: Clients, quorum: Quorum, keeper: FakeKeeper
) -> None:
    """L22: exactly once, and not while it may still be paid."""
    payer, governor = await calm.of(PAYER), await calm.of(GOVERNOR)
    license_id = await add_node(calm, b"node")
    await payer.faucet(5 * PRICE)
    job_id = await payer.open_job(load_spec(SPEC), slots=1, windows=5)
    await quorum.place(job_id, [license_id])
    await quorum.to_next_window()
    await quorum.to_next_window()
    keeper.tell(*await quorum.report({(job_id, license_id): 10_000}))
    with pytest.raises(RefusedError, match="claim instead"):
        await payer.forfeit(job_id, license_id)
    await governor.blacklist(license_id, 4)
    with pytest.raises(RefusedError, match="forfeit, do not claim"):
        await payer.claim(job_id, license_id)
    lost = await payer.forfeit(job_id, license_id)
    assert lost is not None
    fees = PRICE * 2_000 // 10_000
    assert lost.refund + lost.burned + lost.treasury == PRICE - fees
    assert await payer.balance() == lost.refund == (PRICE - fees) // 2
    assert await payer.forfeit(job_id, license_id) is None


async def test_a_close_without_a_report_waits_for_the_grace(calm: Clients, quorum: Quorum) -> None:
    payer = await calm.of(PAYER)
    license_id = await add_node(calm, b"node")
    await payer.faucet(PRICE)
    job_id = await payer.open_job(load_spec(SPEC), slots=1, windows=1)
    await quorum.place(job_id, [license_id])
    with pytest.raises(RefusedError, match="the job still runs"):
        await payer.request_close(job_id)
    await quorum.to_next_window()
    await quorum.to_next_window()
    window = await payer.request_close(job_id)
    while await quorum.window() < window - 1:
        await quorum.to_next_window()
    with pytest.raises(RefusedError, match="the grace after the request still runs"):
        await payer.close_unattested(job_id)
    await quorum.to_next_window()
    assert await payer.close_unattested(job_id) == PRICE


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
