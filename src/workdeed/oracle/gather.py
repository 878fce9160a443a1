"""Asks many peers the same thing at once, again and again while they are not ready, for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

from workdeed.oracle.errors import EndpointError, NotYetError, StatusError
from workdeed.oracle.peers import Peer

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_PAUSE_SHARE: Final = 0.05
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Pace:
    """Where time comes from, so that tests can take its place.

    Attributes:
        monotonic: seconds of a clock that never goes back.
        sleep: waits for seconds.

    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long to wait for answers, in seconds of the monotonic clock.

    Attributes:
        enough_at: from here on, enough answers will do.
        until: from here on, none are waited for.

    """

    enough_at: float
    until: float


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked.

    Attributes:
        ask: asks one peer within some seconds; raises as `Peers` does.
        enough: tells whether so many answers will do once `enough_at` is reached.

    """

    ask: Callable[[Peer, float], Awaitable[T]]
    enough: Callable[[int], bool]


async def gather(
    peers: Sequence[Peer], question: Question[T], deadlines: Deadlines, pace: Pace
) -> list[tuple[Peer, T]]:
    """Return the answers that came in time, each with who gave it."""
    tasks = {
        asyncio.create_task(_ask_on(peer, question, deadlines.until, pace)): peer for peer in peers
    }
    waiting = set(tasks)
    answers: list[tuple[Peer, T]] = []
    try:
        while waiting:
            now = pace.monotonic()
            if now >= deadlines.until:
                break
            if now >= deadlines.enough_at and question.enough(len(answers)):
                break
            stop = deadlines.enough_at if now < deadlines.enough_at else deadlines.until
            done, waiting = await asyncio.wait(
                waiting, timeout=stop - now, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                answers += [(tasks[task], answer) for answer in task.result()]
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return answers


async def _ask_on(peer: Peer, question: Question[T], until: float, pace: Pace) -> list[T]:
    """Ask until there is an answer, a refusal, or no time left; return the answer if there is."""
    pause, reason = (until - pace.monotonic()) * _PAUSE_SHARE, "no time left"
    while (left := until - pace.monotonic()) > 0:
        try:
            return [await question.ask(peer, left)]
        except StatusError as error:
            if error.status < _SERVER_ERROR:
                _log.info("oracle: refused", member=peer.member, reason=str(error))
                return []
            reason = str(error)
        except (NotYetError, EndpointError) as error:
            reason = str(error)
        await pace.sleep(min(pause, left))
    _log.info("oracle: asked in vain", member=peer.member, reason=reason)
    return []
