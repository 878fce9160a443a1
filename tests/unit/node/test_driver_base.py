"""Keys of tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.node.drivers.base import TaskKey
from workdeed.node.errors import DriverError

numbers = st.integers(0, 2**53 - 1)


@given(
    escrow=st.binary(min_size=20, max_size=20),
    job_id=numbers,
    license_id=numbers,
    revision=numbers,
    service=st.from_regex(r"\A[a-z][a-z0-9]{0,15}\Z"),
    step=st.sampled_from(["run", "git", "build"]),
)
def test_a_name_is_that_of_one_key(
    escrow: bytes, job_id: int, license_id: int, revision: int, service: str, step: str
):
    key = TaskKey("0x" + escrow.hex(), job_id, license_id, revision, service, step)
    assert TaskKey.parse(key.name) == key
    assert "/" not in key.name
    assert len(key.name) < 200


@pytest.mark.parametrize("name", ["", "x", "..", "e5" * 20, "e5" * 20 + "-1-2-3-main-run/.."])
def test_other_names_are_no_keys(name: str):
    assert TaskKey.parse(name) is None


@pytest.mark.parametrize("step", ["", "Run", "../x", "a" * 17])
def test_a_step_is_a_word(step: str):
    with pytest.raises(DriverError, match="step"):
        TaskKey("0x" + "e5" * 20, 1, 1, 1, "main", step)
    with pytest.raises(DriverError, match="service"):
        TaskKey("0x" + "e5" * 20, 1, 1, 1, step)
