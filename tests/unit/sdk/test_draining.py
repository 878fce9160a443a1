"""When a license that drains may be unlinked; how it gets there is tried on real contracts."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from workdeed.chain.bindings.licenses import ZERO_ADDRESS
from workdeed.chain.rpc import RpcUnavailable
from workdeed.protocol.windows import WindowClock
from workdeed.sdk import draining
from workdeed.sdk.draining import LOOK_SECONDS, MISSED_LOOKS, Draining, DrainState
from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import Session

BEGIN = 10


@dataclass
class Operator(Draining):
    """An operator whose license is as a test says; remembers what it does."""

    view: Any = field(default_factory=lambda: license_view())
    offers: bool = False
    window: int = 3_600
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = WindowClock(genesis=0, window=self.window)
        self.session = cast("Session", SimpleNamespace(deployment=SimpleNamespace(clock=clock)))

    async def license(self, license_id: int) -> Any:
        return self.view

    async def fetch_profile(self, license_id: int, endpoint: str, *, draining: bool = False) -> Any:
        assert draining
        return SimpleNamespace(draining=not self.offers, profile_hash=b"draining")

    async def set_profile(self, license_id: int, endpoint: str, profile_hash: bytes) -> None:
        self.done.append(f"{endpoint} {profile_hash.decode()}")

    async def unlink_node(self, license_id: int) -> None:
        self.done.append("unlinked")


def license_view(
    node: str = "0x01", endpoint: str = "http://node", profile: bytes = b"usual"
) -> Any:
    return SimpleNamespace(node=node, endpoint=endpoint, profile_hash=profile)


class Course:
    """What each look shows."""

    def __init__(self, *states: DrainState | None) -> None:
        self._states = list(states)
        self.slept: list[float] = []

    def services(self, session: Session, license_id: int) -> Course:
        return self

    async def look(self) -> DrainState:
        found = self._states.pop(0)
        if found is None:
            raise RpcUnavailable("http://node")
        return found

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def state(window: int, *jobs: int) -> DrainState:
    return DrainState(window, jobs)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    async def drain(
        operator: Operator, *states: DrainState | None, windows: int | None = None
    ) -> tuple[DrainState, list[DrainState], list[float]]:
        course, told = Course(*states), list[DrainState]()
        monkeypatch.setattr(draining, "Services", course.services)
        last = await operator.drain(7, windows=windows, told=told.append, sleep=course.sleep)
        return last, told, course.slept

    return drain


async def test_it_waits_for_all_jobs_and_tells_what_changes(run: Any) -> None:
    operator = Operator()
    course = (state(10, 1, 2), state(10, 1, 2), state(11, 1, 2), state(12, 2), state(13))
    last, told, slept = await run(operator, *course)
    assert last == state(13)
    assert told == [state(10, 1, 2), state(11, 1, 2), state(12, 2)]
    assert slept == [LOOK_SECONDS] * 4
    assert operator.done == ["http://node draining", "unlinked"]


async def test_without_jobs_it_waits_until_no_older_choice_can_come(run: Any) -> None:
    """A placement of the next window may rest on a block before the announcement."""
    operator = Operator()
    last, _, _ = await run(operator, state(10), state(11), state(11, 5), state(12, 5), state(13))
    assert last == state(13)


async def test_it_waits_no_longer_than_it_is_told(run: Any) -> None:
    operator = Operator()
    last, _, _ = await run(operator, state(10, 1), state(11, 1), state(12, 1), windows=2)
    assert last == state(12, 1)
    assert operator.done[-1] == "unlinked"


async def test_an_rpc_that_is_away_for_a_while_does_not_end_the_wait(run: Any) -> None:
    operator = Operator()
    away = [None] * MISSED_LOOKS
    last, _, _ = await run(operator, state(10, 1), *away, state(11, 1), *away, state(12))
    assert last == state(12)
    with pytest.raises(RpcUnavailable):
        await run(Operator(), state(10, 1), *away, None)


async def test_short_windows_are_looked_at_more_often(run: Any) -> None:
    _, _, slept = await run(Operator(window=12), state(10), state(12))
    assert slept == [3]


async def test_begun_again_it_announces_nothing_anew(run: Any) -> None:
    operator = Operator(license_view(profile=b"draining"))
    await run(operator, state(10), state(12))
    assert operator.done == ["unlinked"]


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (Operator(license_view(node=ZERO_ADDRESS)), "no node is linked"),
        (Operator(license_view(endpoint="")), "announces no endpoint"),
        (Operator(offers=True), "http://node serves one that offers work"),
    ],
)
async def test_what_stands_in_the_way_is_said_before_anything_is_sent(
    operator: Operator, text: str
) -> None:
    with pytest.raises(SdkError, match=text):
        await operator.announce_drain(7)
    assert operator.done == []
