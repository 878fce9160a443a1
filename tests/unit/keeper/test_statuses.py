"""One look at a node serves everybody who asks meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from http_support import FakeEndpoints

from workdeed.keeper.statuses import MAX_LOOKS, Statuses
from workdeed.protocol.messages import Status
from workdeed.protocol.signing import to_checksum
from workdeed.sdk.errors import EndpointError

NODE = to_checksum(b"\x07" * 20)
URL = "http://node/status"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def status(license_id: int = 1) -> bytes:
    return Status(license_id=license_id, node=NODE, workloads=()).to_json()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoints() -> FakeEndpoints:
    fake = FakeEndpoints()
    fake.on("GET", URL, status())
    return fake


@pytest.fixture
def statuses(endpoints: FakeEndpoints, clock: Clock) -> Statuses:
    return Statuses(endpoints, now=clock)


async def test_all_who_ask_at_once_share_a_look(
    statuses: Statuses, endpoints: FakeEndpoints, clock: Clock
) -> None:
    await asyncio.gather(*(statuses.read(1, "http://node") for _ in range(5)))
    clock.now += 1
    found = await statuses.read(1, "http://node")
    assert found.license_id == 1
    assert len(endpoints.asked) == 1
    clock.now += 0.1
    await statuses.read(1, "http://node")
    assert len(endpoints.asked) == 2


async def test_a_failure_is_shared_as_long(
    statuses: Statuses, endpoints: FakeEndpoints, clock: Clock
) -> None:
    for _ in range(2):
        with pytest.raises(EndpointError, match="connection refused"):
            await statuses.read(1, "http://away")
    assert len(endpoints.asked) == 1
    endpoints.on("GET", "http://away/status", status())
    clock.now += 1.1
    await statuses.read(1, "http://away")


async def test_a_node_that_was_told_something_is_looked_at_anew(
    statuses: Statuses, endpoints: FakeEndpoints
) -> None:
    await statuses.read(1, "http://node")
    statuses.forget(1)
    await statuses.read(1, "http://node")
    statuses.forget(2)
    assert len(endpoints.asked) == 2


async def test_a_node_that_moved_is_looked_at_where_it_is(
    statuses: Statuses, endpoints: FakeEndpoints
) -> None:
    await statuses.read(1, "http://node")
    with pytest.raises(EndpointError):
        await statuses.read(1, "http://elsewhere")


async def test_one_who_gives_up_takes_nothing_from_the_others(
    statuses: Statuses, endpoints: FakeEndpoints
) -> None:
    release = asyncio.Event()

    async def slow(_: bytes) -> bytes:
        await release.wait()
        return status()

    endpoints.on("GET", URL, slow)
    impatient, patient = [asyncio.create_task(statuses.read(1, "http://node")) for _ in range(2)]
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    release.set()
    assert (await patient).license_id == 1


async def test_what_is_no_status_of_this_license_is_refused(
    statuses: Statuses, endpoints: FakeEndpoints
) -> None:
    endpoints.on("GET", URL, status(2))
    with pytest.raises(EndpointError, match="license 2 answers there, not 1"):
        await statuses.read(1, "http://node")
    statuses.forget(1)
    endpoints.on("GET", URL, b"{}")
    with pytest.raises(EndpointError, match="status is malformed"):
        await statuses.read(1, "http://node")
    with pytest.raises(EndpointError, match="license 1 announces no endpoint"):
        await statuses.read(1, None)


async def test_a_fault_at_one_node_counts_as_no_answer_of_that_one(
    statuses: Statuses, endpoints: FakeEndpoints, log_lines: list[dict[str, object]], clock: Clock
) -> None:
    """Whatever reads statuses expects `EndpointError` alone."""

    def broken(_: bytes) -> bytes:
        raise RuntimeError("no such thing")

    endpoints.on("GET", URL, broken)
    with pytest.raises(EndpointError, match="license 1: this keeper failed to read its status"):
        await statuses.read(1, "http://node")
    assert log_lines[-1]["where"] == "status of license 1"
    assert log_lines[-1]["reason"] == "RuntimeError: no such thing"
    endpoints.on("GET", URL, status())
    clock.now += 2
    await statuses.read(1, "http://node")
    assert log_lines[-1]["event"] == "trouble_over"


async def test_only_so_many_nodes_are_asked_at_a_time(endpoints: FakeEndpoints) -> None:
    under_way, most = 0, 0

    async def count(_: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return b""

    statuses = Statuses(endpoints)
    for number in range(2 * MAX_LOOKS):
        endpoints.on("GET", f"http://node{number}/status", count)
    looks = (statuses.read(number, f"http://node{number}") for number in range(2 * MAX_LOOKS))
    await asyncio.gather(*looks, return_exceptions=True)
    assert most == MAX_LOOKS


async def test_what_serves_nobody_any_more_is_dropped(
    statuses: Statuses, endpoints: FakeEndpoints, clock: Clock
) -> None:
    for number in range(1, 11):
        endpoints.on("GET", f"http://n{number}/status", status(number))
        await statuses.read(number, f"http://n{number}")
    clock.now += 2
    await statuses.read(1, "http://n1")
    assert len(statuses._looks) == 1


async def test_closing_ends_what_is_under_way(statuses: Statuses, endpoints: FakeEndpoints) -> None:
    async def never(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    endpoints.on("GET", URL, never)
    waiting = asyncio.create_task(statuses.read(1, "http://node"))
    await asyncio.sleep(0)
    await statuses.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
