"""Asking keepers for the replicas of a job, and for a rollout."""

from __future__ import annotations

import pytest

from workdeed.protocol.limits import MAX_BODY
from workdeed.protocol.rollouts import EndpointList, RolloutProgress
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.rollouts import get_endpoints, get_rollout

LIST = EndpointList(job_id=1, replicas=0, endpoints=())
PROGRESS = RolloutProgress(
    job_id=1, revision=2, policy="rolling", phase="rolling", reason="", replicas=()
)


class Keepers(Endpoints):
    """Answers by address and path; others are down."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        super().__init__(allow_private=True)
        self.answers = answers
        self.asked: list[str] = []

    async def get(self, base: str, path: str, max_bytes: int = MAX_BODY) -> bytes:
        self.asked.append(base)
        if base + path not in self.answers:
            raise EndpointError(f"{base}: it is down")
        return self.answers[base + path]


async def test_the_first_that_answers_is_believed() -> None:
    keepers = Keepers(
        {
            "http://b/jobs/1/endpoints": LIST.to_json(),
            "http://b/jobs/1/rollout": PROGRESS.to_json(),
        }
    )
    assert await get_endpoints(keepers, ["http://a", "http://b", "http://c"], 1) == LIST
    assert keepers.asked == ["http://a", "http://b"]
    assert await get_rollout(keepers, ["http://b"], 1) == PROGRESS


async def test_what_the_first_said_is_told_if_none_can() -> None:
    with pytest.raises(EndpointError, match="http://a: it is down"):
        await get_rollout(Keepers({}), ["http://a", "http://b"], 1)
    with pytest.raises(EndpointError, match="no keeper is known"):
        await get_rollout(Keepers({}), [], 1)


async def test_an_answer_that_is_none_is_refused() -> None:
    malformed = Keepers({"http://a/jobs/1/endpoints": b"{}"})
    with pytest.raises(EndpointError, match="its answer is malformed"):
        await get_endpoints(malformed, ["http://a"], 1)
    other = Keepers({"http://a/jobs/2/endpoints": LIST.to_json()})
    with pytest.raises(EndpointError, match="it answered for job 1"):
        await get_endpoints(other, ["http://a"], 2)
