"""The head word."""

from __future__ import annotations

from boa.contracts.vyper.vyper_contract import VyperContract
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None)
@given(jobs=st.integers(0, 2**64 - 2), policies=st.integers(0, 2**8 - 2))
def test_counts_stand_apart(words: VyperContract, jobs: int, policies: int) -> None:
    packed = jobs | policies << 64

    assert (words.head_jobs(packed), words.head_policies(packed)) == (jobs, policies)
    assert words.head_with_job(packed) == packed + 1
    assert words.head_with_policy(packed) == packed + 2**64
