"""The memory of jobs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from workdeed.node.errors import StateError
from workdeed.node.lifecycle import Cause
from workdeed.node.records import MAX_BAD, End, JobRecord, JobStore, Pin, Revision
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum

ESCROW = to_checksum("0x" + "e5" * 20)
PIN = Pin("c1", "c0", ("c2",))
DONE = End(Cause.GONE, "it exited with code 0", for_good=True)
END = End(Cause.REPLACED, "replaced by a newer revision")
RECORD = JobRecord(
    ESCROW,
    3,
    (
        Revision(
            0, b"{}", {"main.main": 4000}, {"main": PIN}, ("main",), "it was ill", {"main": END}
        ),
        Revision(1, b"[]", ends={"db": DONE}),
    ),
    serving=1,
    confirmed=77,
    payer=to_checksum("0x" + "aa" * 20),
)


def test_what_is_saved_is_loaded(tmp_path: Path):
    store = JobStore(tmp_path / "jobs")
    store.save(RECORD)
    store.save(replace(RECORD, job_id=4, retired=9))
    found = {one.job_id: one for one in JobStore(tmp_path / "jobs").load()}
    assert found[3] == RECORD
    assert found[4].retired == 9
    assert found[3].wanted.number == 1
    assert found[3].wanted.spec_hash == keccak(b"[]")


def test_a_record_of_an_earlier_release_is_loaded(tmp_path: Path):
    store = JobStore(tmp_path / "jobs")
    store.save(RECORD)
    (path,) = (tmp_path / "jobs").iterdir()
    written = json.loads(path.read_text())
    del written["payer"], written["confirmed"]
    for one in written["revisions"]:
        del one["ends"]
    path.write_text(json.dumps(written))
    bare = RECORD.changing(0, ends={}).changing(1, ends={})
    assert list(store.load()) == [replace(bare, payer="", confirmed=0)]


def test_saving_replaces_and_removing_forgets(tmp_path: Path):
    store = JobStore(tmp_path / "jobs")
    store.save(RECORD)
    store.save(RECORD.changing(1, ports={"main.main": 5000}))
    (found,) = store.load()
    assert [one.ports["main.main"] for one in found.revisions] == [4000, 5000]
    store.remove(RECORD)
    store.remove(RECORD)
    assert list(store.load()) == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"escrow": 1}', "\x00"])
def test_a_damaged_record_is_named(tmp_path: Path, content: str):
    store = JobStore(tmp_path / "jobs")
    (tmp_path / "jobs" / "x.json").write_text(content)
    with pytest.raises(StateError, match=r"x\.json is damaged"):
        list(store.load())


def test_a_half_written_record_is_not_seen(tmp_path: Path):
    store = JobStore(tmp_path / "jobs")
    store.save(RECORD)
    (tmp_path / "jobs" / ".other.json.partial").write_text("{")
    assert [one.job_id for one in store.load()] == [3]


def test_a_version_that_was_given_up_is_never_taken_again():
    pin = PIN.giving_up("c1")
    assert pin == Pin("c0", "c0", ("c2", "c1"))
    for number in range(100):
        pin = pin.giving_up(f"d{number}")
    assert len(pin.bad) == MAX_BAD
