"""A job changes version, one replica after the other, while a client never stops calling it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from workdeed.intent.spec import Spec
from workdeed.protocol.rollouts import RolloutProgress
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.gateway import Gateway, GatewaySettings
from workdeed.sdk.rollouts import get_endpoints, get_rollout

CALL_PAUSE_SECONDS = 0.05
ANSWER_SECONDS = 5.0
KEEPER_SECONDS = 2.0
GATEWAY_POLL_SECONDS = 0.5


@dataclass
class Caller:
    """A client of a job that calls again and again.

    Attributes:
        calls, failed: how many so far.
        answers: what was read, each text once, in the order of its first time.

    """

    url: str
    calls: int = 0
    failed: int = 0
    answers: list[str] = field(default_factory=list)
    _enough: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Call in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop after the call that is under way."""
        self._enough.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not self._enough.is_set():
                text = await self._call(session)
                self.calls += 1
                if text is None:
                    self.failed += 1
                elif text not in self.answers:
                    self.answers.append(text)
                await asyncio.sleep(CALL_PAUSE_SECONDS)

    async def _call(self, session: aiohttp.ClientSession) -> str | None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(self.url) as response:
                if response.status == 200:
                    return (await response.text()).strip()
        return None


class Update:
    """The rolling update of one job, moved on by whoever calls `advance`.

    Attributes:
        caller: the client, None before the update has begun.
        is_done: whether it is over.
        served: the revision that was served in the end, None before.

    Args:
        job_id: which job.
        slots: replicas that have to serve before it begins.
        spec: of the next revision.
        keepers: which tell of the job's replicas.

    """

    def __init__(self, job_id: int, slots: int, spec: Spec, keepers: tuple[str, ...]) -> None:
        self.job_id = job_id
        self.caller: Caller | None = None
        self.is_done = False
        self.served: int | None = None
        self._slots = slots
        self._spec = spec
        self._revision = 0
        self._keepers = keepers
        self._endpoints = Endpoints(allow_private=False, trusted=keepers, timeout=KEEPER_SECONDS)
        self._gateway = Gateway(
            GatewaySettings(job_id, keepers, allow_private=True, poll=GATEWAY_POLL_SECONDS)
        )

    @property
    def is_under_way(self) -> bool:
        """Whether it has begun and is not over."""
        return self.caller is not None and not self.is_done

    def result(self) -> dict[str, Any]:
        """Return what `build/demo.json` holds of it."""
        caller = self.caller or Caller("")
        return {
            "job_id": self.job_id,
            "revision": self.served,
            "calls": caller.calls,
            "failed": caller.failed,
            "answers": caller.answers,
        }

    async def advance(self, payer: Any) -> str:
        """Do what can be done by now; return what a person should know, "" for nothing.

        Raises:
            SdkError, ChainError: if the payer's transaction fails.

        """
        if self.is_done:
            return ""
        try:
            if self.caller is not None:
                return await self._look()
            found = await get_endpoints(self._endpoints, self._keepers, self.job_id)
        except EndpointError:
            return ""
        return await self._begin(payer) if len(found.endpoints) >= self._slots else ""

    async def close(self) -> None:
        """Stop calling, and close every connection."""
        if self.caller is not None:
            await self.caller.stop()
        await self._gateway.close()
        await self._endpoints.close()

    async def _begin(self, payer: Any) -> str:
        await self._gateway.open()
        self.caller = Caller(f"http://127.0.0.1:{self._gateway.port}/")
        self.caller.start()
        self._revision = await payer.revise_job(self.job_id, self._spec)
        return (
            f"job {self.job_id} is updated to revision {self._revision}, one replica at a time, "
            "while a client calls it through a gateway"
        )

    async def _look(self) -> str:
        progress = await get_rollout(self._endpoints, self._keepers, self.job_id)
        if progress.revision != self._revision or not _is_over(progress):
            return ""
        caller, self.is_done = self.caller, True
        assert caller is not None  # noqa: S101 - it calls since the update began
        await caller.stop()
        if progress.phase == "reverted":
            self.served = self._revision - 1
            return f"job {self.job_id} went back to revision {self.served}: {progress.reason}"
        self.served = self._revision
        return (
            f"job {self.job_id} serves revision {self._revision} everywhere; of {caller.calls} "
            f"calls meanwhile {caller.failed} failed"
        )


def _is_over(progress: RolloutProgress) -> bool:
    if progress.phase == "reverted":
        return True
    served = all(one.revision == progress.revision for one in progress.replicas)
    return progress.phase == "steady" and served
