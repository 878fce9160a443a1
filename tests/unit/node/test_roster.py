"""Which jobs a node has, and what belongs to them."""

from dataclasses import replace
from pathlib import Path

import pytest

from workdeed.intent import encode_spec
from workdeed.node.drivers.base import TaskKey
from workdeed.node.jobs import Job
from workdeed.node.pod import Gate
from workdeed.node.records import JobRecord, Revision
from workdeed.node.roster import Roster
from workdeed.protocol.signing import to_checksum

from .job_support import ESCROW, LICENSE, World, make_tools, record_of, revision, sibling, spec

OTHER_ESCROW = to_checksum("0x" + "aa" * 20)
UNREADABLE = Revision(0, b"{}")


@pytest.fixture
def roster() -> Roster:
    return Roster(LICENSE)


def job(record: JobRecord, folder: Path) -> Job:
    return Job(record, LICENSE, make_tools(World(), Gate(), folder))


def key(number: int, service: str = "main", *, escrow: str = ESCROW) -> TaskKey:
    return TaskKey(escrow, 3, LICENSE, number, service)


def test_a_job_that_is_over_holds_nothing_any_more(roster: Roster, tmp_path: Path):
    one = job(record_of(revision(0)), tmp_path)
    roster.add(one)
    assert roster.all() == [one]
    assert roster.held().keys == (key(0),)
    roster.retire(one)
    assert roster.all() == []
    assert roster.retired == {3: one.record}
    assert roster.held().keys == ()


def test_a_job_of_another_escrow_keeps_what_it_holds_beside_one_of_the_same_number(
    roster: Roster, tmp_path: Path
):
    other = replace(record_of(revision(0)), escrow=OTHER_ESCROW)
    roster.left_alone.append(other)
    roster.add(job(record_of(revision(0)), tmp_path))
    assert roster.left_alone == [other]
    assert set(roster.held().keys) == {key(0), key(0, escrow=OTHER_ESCROW)}


def test_a_job_that_comes_again_is_no_longer_left_alone(roster: Roster, tmp_path: Path):
    roster.left_alone.append(record_of(revision(0)))
    again = job(record_of(revision(1), serving=1), tmp_path)
    roster.retired[3] = again.record
    roster.add(again)
    assert (roster.left_alone, roster.retired) == ([], {})
    assert roster.held().keys == (key(1),)


def test_of_a_spec_that_can_t_be_read_all_tasks_of_the_job_are_held(roster: Roster):
    roster.left_alone.append(record_of(UNREADABLE))
    held = roster.held()
    assert held.has(key(0, "anything").name)
    assert not held.has(TaskKey(ESCROW, 4, LICENSE, 0, "main").name)


def test_what_a_job_left_alone_may_still_run_is_told_from_its_own_spec(roster: Roster):
    changed = spec(siblings=[sibling("helper")])
    roster.left_alone += [
        record_of(Revision(0, encode_spec(changed))),
        replace(record_of(revision(0)), escrow=OTHER_ESCROW),
        replace(record_of(revision(0)), job_id=4),
    ]
    assert set(roster.keys_left_alone(ESCROW, 3, spec())) == {key(0), key(0, "helper")}


def test_or_guessed_from_the_next_one_where_that_can_t_be_read(roster: Roster):
    roster.left_alone.append(record_of(UNREADABLE))
    wanted = spec(siblings=[sibling("helper")])
    assert set(roster.keys_left_alone(ESCROW, 3, wanted)) == {key(0), key(0, "helper")}
