"""Who a node is to others."""

from pathlib import Path

import pytest

from workdeed.node.errors import StateError
from workdeed.node.identity import NodeIdentity, instance_id
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Probe, Resources, Workload
from workdeed.protocol.signing import address_of, to_checksum

KEY = keccak(b"node key")
COMMITTEE = to_checksum("0x" + "c0" * 20)
DOMAIN = Domain("OracleCommittee", 31_337, COMMITTEE)
IDENTITY = NodeIdentity(KEY, 31_337, COMMITTEE, 7, b"i" * 16)
PROBE = Probe(nonce=b"n" * 32, window=12, block_hash=b"b" * 32)


def workload(job_id: int, revision: int) -> Workload:
    return Workload(
        escrow=to_checksum("0x" + "e5" * 20),
        job_id=job_id,
        revision=revision,
        spec_hash=b"s" * 32,
        commit="ab" * 20,
        state="running",
        healthy=True,
        port=4000,
    )


def test_an_answer_is_signed_for_this_probe_and_sorted():
    answer = IDENTITY.answer(PROBE, [workload(4, 0), workload(3, 1), workload(3, 0)])
    assert answer.verify(DOMAIN) == address_of(KEY)
    assert answer.answers(PROBE)
    assert [(one.job_id, one.revision) for one in answer.workloads] == [(3, 0), (3, 1), (4, 0)]


def test_a_signature_counts_for_one_deployment():
    answer = IDENTITY.answer(PROBE, [])
    other = Domain("OracleCommittee", 1, COMMITTEE)
    with pytest.raises(ValueError, match="signature"):
        answer.verify(other)


def test_a_profile_has_one_hash_whatever_the_order():
    resources = Resources(cpu_milli=1, memory_mb=2, storage_mb=3)
    first = IDENTITY.profile(resources, ("eu", "gpu", "eu"), ("war",))
    second = IDENTITY.profile(resources, ("gpu", "eu"), ("war",))
    assert first.profile_hash == second.profile_hash
    assert first.verify(DOMAIN) == address_of(KEY)
    assert first.tags == ("eu", "gpu")


def test_a_profile_without_any_resources_says_that_the_node_takes_no_new_work():
    nothing = Resources(cpu_milli=0, memory_mb=0, storage_mb=0)
    assert IDENTITY.profile(nothing, ("eu",), ("war",)).draining
    assert not IDENTITY.profile(
        nothing.model_copy(update={"storage_mb": 1}), ("eu",), ("war",)
    ).draining


def test_the_key_is_not_shown():
    assert KEY.hex() not in repr(IDENTITY)


def test_the_instance_is_made_once(tmp_path: Path):
    first = instance_id(tmp_path)
    assert len(first) == 16
    assert instance_id(tmp_path) == first
    (tmp_path / "other").mkdir()
    assert instance_id(tmp_path / "other") != first


@pytest.mark.parametrize("content", ["", "xyz", "ab" * 15])
def test_a_damaged_instance_is_named(tmp_path: Path, content: str):
    (tmp_path / "instance").write_text(content)
    with pytest.raises(StateError, match="instance is damaged"):
        instance_id(tmp_path)
