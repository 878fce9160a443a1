"""Logs that are followed, whatever becomes of a node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from cli_support import run

from workdeed.cli import workloads as module
from workdeed.protocol.noderequest import LogReply
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.noderequests import Replica


class FakeRequests:
    """Nodes with a line each; that of license 1 is down for the first two questions."""

    def __init__(self) -> None:
        self.asked: dict[int, int] = {1: 0, 2: 0}

    async def logs(self, replica: Replica, cursor: str) -> LogReply:
        self.asked[replica.license_id] += 1
        if replica.license_id == 1 and self.asked[1] <= 2:
            raise EndpointError("node 1 is down")
        data = b"" if cursor else f"line of {replica.license_id}\n".encode()
        return LogReply(data=data, cursor="1")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> FakeRequests:
    made = FakeRequests()

    def reach(_: module.Target, work: Callable[..., Any]) -> None:
        replicas = [Replica(3, one, f"http://node{one}", 0) for one in (1, 2)]
        asyncio.run(work(made, replicas))

    async def pause(seconds: float) -> None:
        assert seconds == module.POLL_SECONDS
        if made.asked[1] > 4:
            raise KeyboardInterrupt

    monkeypatch.setenv("WORKDEED_PRIVATE_KEY", "0x" + "11" * 32)
    monkeypatch.setattr(module.Target, "reach", reach)
    monkeypatch.setattr(module.asyncio, "sleep", pause)
    return made


def test_a_node_that_is_down_at_first_is_followed_with_the_others(
    requests: FakeRequests,
) -> None:
    result = run("logs", "3", "--follow")
    assert result.stdout == "license 2 | line of 2\nlicense 1 | line of 1\n"
    assert result.stderr.count("node 1 is down") == 1
    assert requests.asked[2] > 3


def test_without_following_it_fails_after_the_others(requests: FakeRequests) -> None:
    result = run("logs", "3")
    assert result.exit_code == 1
    assert result.stdout == "license 2 | line of 2\n"
    assert result.stderr == "Error: node 1 is down\n"
