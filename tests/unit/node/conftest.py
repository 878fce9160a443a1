"""A world that does what tests tell it, and jobs in it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from workdeed.intent import encode_spec
from workdeed.node.jobs import Job, JobTools
from workdeed.node.pod import Gate, Pod
from workdeed.node.records import JobRecord, Revision

from .job_support import LICENSE, World, make_tools, record_of, spec


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def gate() -> Gate:
    made = Gate()
    made.open()
    return made


@pytest.fixture
def tools(world: World, gate: Gate, tmp_path: Path) -> JobTools:
    return make_tools(world, gate, tmp_path)


@pytest.fixture
async def launch(tools: JobTools) -> AsyncIterator[Callable[..., Job]]:
    made: list[Job] = []

    def create(record: JobRecord, others: JobTools | None = None) -> Job:
        job = Job(record, LICENSE, others or tools)
        job.begin()
        made.append(job)
        return job

    yield create
    for job in made:
        await job.leave()


@pytest.fixture
def make(launch: Callable[..., Job]) -> Callable[..., Pod]:
    """Launch a job with one revision whose spec has these changes, and return its pod."""

    def create(**changes: Any) -> Pod:
        return launch(record_of(Revision(0, encode_spec(spec(**changes))))).wanted

    return create
