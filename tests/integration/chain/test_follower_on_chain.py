"""The follower on a real node: what the fake chain assumes of logs, blocks and reorgs holds."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contract_support import GOVERNOR, GUARDIAN, ISSUER, PAYER, Network

from workdeed.chain.bindings.codec import LoggedEvent
from workdeed.chain.bindings.registry import GuardianSet
from workdeed.chain.follower import Follower, FollowerSettings
from workdeed.chain.store import Store

pytestmark = pytest.mark.anvil


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store.open(str(tmp_path / "follower.sqlite"))
    yield made
    await made.close()


def follow(network: Network, store: Store, **settings: int) -> Follower:
    deployment = network.deployment
    return Follower(
        network.rpc,
        store,
        network.suite,
        chain_id=deployment.chain_id,
        start_block=deployment.start_block,
        settings=FollowerSettings(**settings),
    )


async def catch_up(follower: Follower) -> tuple[LoggedEvent, ...]:
    while not (await follower.poll()).caught_up:
        pass
    return (await follower.book.events())[1]


async def rebuilt(network: Network, path: Path) -> tuple[LoggedEvent, ...]:
    """Return what a new database holds after reading the whole chain."""
    store = Store.open(str(path))
    events = await catch_up(follow(network, store))
    await store.close()
    return events


async def set_guardian(network: Network, account: str) -> None:
    await network.send(GOVERNOR, network.suite.registry.set_guardian(account))


async def test_every_log_is_read_with_its_block_and_time(network: Network, store: Store) -> None:
    await network.add_payer(10**9)
    events = await catch_up(follow(network, store, first_page=2, max_page=4))
    for event in events:
        block = await network.rpc.block(event.block)
        assert block is not None
        assert (event.block_hash, event.timestamp) == (block.hash, block.timestamp)
    logs = await network.rpc.call(
        "eth_getLogs",
        [
            {
                "fromBlock": "0x0",
                "toBlock": "latest",
                "address": [contract.address for contract in network.suite.followed],
            }
        ],
    )
    expected = [(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in logs]
    assert [(event.block, event.log_index) for event in events] == expected


@pytest.mark.parametrize("depth", [1, 3, 6])
async def test_a_reorg_of_the_node_is_undone(
    network: Network, store: Store, tmp_path: Path, depth: int
) -> None:
    follower = follow(network, store)
    for account in (ISSUER, PAYER, GOVERNOR, ISSUER, PAYER, GUARDIAN):
        await set_guardian(network, account.address)
        await catch_up(follower)
    before = await follower.book.cursor()
    await network.rpc.call("anvil_reorg", [depth, []])
    await set_guardian(network, ISSUER.address)
    events = await catch_up(follower)
    assert (await follower.book.cursor()).generation == before.generation + 1
    assert events == await rebuilt(network, tmp_path / "fresh.sqlite")
    set_to = [e.event.guardian for e in events if isinstance(e.event, GuardianSet)]
    assert len(set_to) == 1 + 6 - depth + 1


async def test_a_chain_that_was_set_back_is_read_anew(
    network: Network, store: Store, tmp_path: Path
) -> None:
    follower = follow(network, store)
    snapshot = await network.rpc.call("evm_snapshot", [])
    for account in (ISSUER, PAYER, GUARDIAN):
        await set_guardian(network, account.address)
    await catch_up(follower)
    assert await network.rpc.call("evm_revert", [snapshot])
    await set_guardian(network, PAYER.address)
    update = await follower.poll()
    assert update.rewound_to is not None
    assert await catch_up(follower) == await rebuilt(network, tmp_path / "fresh.sqlite")


async def test_confirmations_hold_back_what_may_still_change(
    network: Network, store: Store
) -> None:
    follower = follow(network, store, confirmations=2)
    await set_guardian(network, ISSUER.address)
    head = await network.rpc.head()
    events = await catch_up(follower)
    assert all(event.block <= head.number - 2 for event in events)
    for _ in range(2):
        await network.rpc.call("evm_mine", [])
    assert (await catch_up(follower))[-1].event == GuardianSet(ISSUER.address)


async def test_a_page_that_the_node_refuses_is_an_error_of_the_node(
    network: Network, store: Store
) -> None:
    """A block that does not exist is none, not an error: the ground on which lag is found."""
    head = await network.rpc.head()
    assert await network.rpc.block(head.number + 5) is None
    assert await network.rpc.blocks([head.number, head.number + 1]) == [head, None]
