"""What keepers tell of replicas: the largest fits, and what is no list is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workdeed.protocol.canonical import MAX_SAFE_INTEGER
from workdeed.protocol.errors import MessageError
from workdeed.protocol.limits import MAX_ENDPOINT, MAX_REPLICAS, MAX_TEXT
from workdeed.protocol.rollouts import (
    Endpoint,
    EndpointList,
    ReplicaProgress,
    RolloutProgress,
)

BIG = MAX_SAFE_INTEGER
# A control character takes six bytes in JSON, the most that one character can.
TEXT = "\x01" * MAX_TEXT
ENDPOINT = Endpoint(
    license_id=BIG, host="h" * MAX_ENDPOINT, port=65_535, revision=BIG, version="f" * 64
)
REPLICA = ReplicaProgress(
    license_id=BIG, state="unreachable", revision=BIG, well_ms=BIG, reason=TEXT
)


def test_the_largest_lists_fit() -> None:
    endpoints = EndpointList(job_id=BIG, replicas=BIG, endpoints=(ENDPOINT,) * MAX_REPLICAS)
    progress = RolloutProgress(
        job_id=BIG,
        revision=BIG,
        policy="recreate",
        phase="recreating",
        reason=TEXT,
        replicas=(REPLICA,) * MAX_REPLICAS,
    )
    for message in (endpoints, progress):
        data = message.to_json()
        assert len(data) <= message.MAX_BYTES
        assert type(message).parse(data) == message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"port": 0}, "port"),
        ({"host": ""}, "host"),
        ({"host": "x" * (MAX_ENDPOINT + 1)}, "host"),
        ({"host": "u@127.0.0.1"}, "host"),
        ({"host": "127.0.0.1/x?"}, "host"),
        ({"host": "\uff11\uff12\uff17.\uff10.\uff10.\uff11"}, "host"),
        ({"host": "node\n"}, "host"),
        ({"version": "latest"}, "version"),
        ({"license_id": 0}, "license_id"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_no_endpoint_is_refused(changes: dict[str, Any], field: str) -> None:
    one = json.loads(ENDPOINT.model_copy(update={"host": "node"}).to_json())
    body = {"schema": "workdeed/endpoints@1", "job_id": 1, "replicas": 1}
    data = json.dumps({**body, "endpoints": [one | changes]}).encode()
    with pytest.raises(MessageError) as caught:
        EndpointList.parse(data)
    assert caught.value.field == f"endpoints.0.{field}"
