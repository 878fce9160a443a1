"""Logs of a few contracts that somebody asks for once; who reads all of them uses the follower."""

from collections.abc import Mapping, Sequence
from typing import Any

from workdeed.chain.bindings.codec import Contract, Event, event_codecs
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.rpc import Rpc, RpcError, RpcUnavailable
from workdeed.protocol.signing import to_checksum


def topic_of(contract: type[Contract], event: type[Event]) -> bytes:
    """Return the first topic of the logs of an event of `contract`."""
    codecs = event_codecs(contract)
    return next(topic for topic, codec in codecs.items() if codec.event is event)


async def find_events(
    rpc: Rpc,
    suite: Suite,
    contracts: Sequence[Contract],
    topics: Sequence[Sequence[bytes]],
    *,
    first: int,
    last: int,
) -> list[Event]:
    """Return the events of `contracts` in the blocks `first`..`last`, in chain order.

    Where the node refuses a range as too long, it is asked for the halves.

    Args:
        rpc: the chain.
        suite: the deployment that the contracts are of.
        contracts: whose logs.
        topics: for each position the topics that fit, none for any.
        first: the lowest block.
        last: the highest block.

    Raises:
        RpcUnavailable, RpcError: if the node does not answer, or refuses even one block.
        UnknownEventError, CodecError: if a log is none of the suite's.

    """
    if first > last:
        return []
    query = {
        "address": [contract.address for contract in contracts],
        "topics": [["0x" + topic.hex() for topic in fits] or None for fits in topics],
        "fromBlock": hex(first),
        "toBlock": hex(last),
    }
    try:
        answer = await rpc.call("eth_getLogs", [query])
    except RpcError:
        if first == last:
            raise
        middle = (first + last) // 2
        lower = await find_events(rpc, suite, contracts, topics, first=first, last=middle)
        return lower + await find_events(rpc, suite, contracts, topics, first=middle + 1, last=last)
    if not isinstance(answer, list):
        raise RpcUnavailable(rpc.origin, "it sent malformed logs")
    return [_event(rpc, suite, log) for log in sorted(answer, key=lambda log: _place(rpc, log))]


def _place(rpc: Rpc, log: Any) -> tuple[int, int]:
    if not isinstance(log, Mapping) or not isinstance(log.get("topics"), list):
        raise RpcUnavailable(rpc.origin, "it sent malformed logs")
    return rpc.quantity(log.get("blockNumber")), rpc.quantity(log.get("logIndex"))


def _event(rpc: Rpc, suite: Suite, log: Mapping[str, Any]) -> Event:
    topics = [rpc.data(topic, 32) for topic in log["topics"]]
    address = to_checksum(rpc.data(log.get("address"), 20))
    return suite.decode(address, topics, rpc.data(log.get("data")))
