"""Asking many peers at once, within a time that the tests control."""

from __future__ import annotations

import asyncio

import pytest

from workdeed.oracle.errors import EndpointError, NotYetError, StatusError
from workdeed.oracle.gather import Deadlines, Pace, Question, gather
from workdeed.oracle.peers import Peer

PEERS = [Peer(name, index, "", trusted=True) for index, name in enumerate("abcd")]
DEADLINES = Deadlines(enough_at=5.0, until=10.0)


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds

    @property
    def pace(self) -> Pace:
        return Pace(lambda: self.now, self.sleep)


async def ask_all(
    answers: dict[str, object], time: Time, *, enough: int = 4, deadlines: Deadlines = DEADLINES
) -> dict[str, object]:
    """Ask all peers; an answer may be a value, an error, or a list of them for each time."""
    asked: dict[str, int] = {}

    async def ask(peer: Peer, _: float) -> object:
        told = answers[peer.member]
        turn = asked[peer.member] = asked.get(peer.member, -1) + 1
        now = told[min(turn, len(told) - 1)] if isinstance(told, list) else told
        if isinstance(now, BaseException):
            raise now
        return now

    question = Question(ask, lambda count: count >= enough)
    found = await gather(PEERS, question, deadlines, time.pace)
    return {peer.member: answer for peer, answer in found}


async def test_all_answers_come_back_with_who_gave_them() -> None:
    time = Time()
    answers: dict[str, object] = {"a": 1, "b": 2, "c": 3, "d": 4}
    assert await ask_all(answers, time) == answers
    assert time.now == 0.0


@pytest.mark.parametrize(
    "error", [NotYetError("soon"), EndpointError("no answer"), StatusError("starting", 503)]
)
async def test_who_is_not_ready_is_asked_again(error: Exception) -> None:
    answers: dict[str, object] = {"a": 1, "b": 2, "c": 3, "d": [error, error, 4]}
    assert await ask_all(answers, Time()) == {"a": 1, "b": 2, "c": 3, "d": 4}


async def test_who_refuses_is_not() -> None:
    refusal = StatusError("no", 409)
    answers: dict[str, object] = {"a": 1, "b": 2, "c": 3, "d": [refusal, 4]}
    assert await ask_all(answers, Time()) == {"a": 1, "b": 2, "c": 3}


async def test_once_there_are_enough_the_rest_is_waited_for_only_for_a_while() -> None:
    time = Time()
    answers: dict[str, object] = {"a": 1, "b": 2, "c": 3, "d": NotYetError("soon")}
    assert len(await ask_all(answers, time, enough=3)) == 3
    # Waiting ends with an answer or with a deadline: here the next one after `enough_at`.
    assert time.now <= DEADLINES.until


async def test_nobody_is_waited_for_beyond_the_end() -> None:
    time = Time()
    answers: dict[str, object] = dict.fromkeys("abcd", NotYetError("soon"))
    assert await ask_all(answers, time, enough=3) == {}
    assert time.now >= DEADLINES.until


async def test_no_time_left_asks_nobody() -> None:
    time = Time()
    answers: dict[str, object] = dict.fromkeys("abcd", 1)
    deadlines = Deadlines(enough_at=-1.0, until=0.0)
    assert await ask_all(answers, time, deadlines=deadlines) == {}


async def test_a_call_that_hangs_is_cancelled() -> None:
    cancelled = []

    async def ask(peer: Peer, _: float) -> int:
        if peer.member == "d":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(peer.member)
                raise
        return 1

    question = Question(ask, lambda count: count >= 3)
    now = iter([0.0] * 12 + [6.0] * 100)
    pace = Pace(lambda: next(now), asyncio.sleep)
    found = await gather(PEERS, question, Deadlines(0.01, 10.0), pace)
    assert len(found) == 3
    assert cancelled == ["d"]
