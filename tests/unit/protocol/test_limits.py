"""The largest message that a model accepts fits the body in which it travels."""

from workdeed.protocol import limits
from workdeed.protocol.canonical import MAX_SAFE_INTEGER
from workdeed.protocol.figures import Pair
from workdeed.protocol.messages import (
    Answer,
    Dispatch,
    ErrorBody,
    NodeProfile,
    ObservationRequest,
    PlacementProposal,
    Proofs,
    ProvenLeaf,
    Report,
    ReportSignature,
    Resources,
    SignedObservation,
    Status,
    Workload,
    WorkloadStatus,
)
from workdeed.protocol.report import LEAF_BYTES, OpenPair, ReportHeader
from workdeed.protocol.signing import address_of, public_key_of
from workdeed.protocol.wire import Body

BIG = MAX_SAFE_INTEGER
WORD = b"\xff" * 32
SIGNATURE = b"\xff" * 65
# A control character takes six bytes in JSON, the most that one character can.
TEXT = "\x01" * limits.MAX_TEXT


def fits(message: Body) -> bool:
    return (
        len(message.to_json()) <= message.MAX_BYTES
        and len(message.canonical()) <= message.MAX_BYTES
    )


def numbers(count: int) -> list[int]:
    return list(range(BIG - count + 1, BIG + 1))


def test_an_answer_fits(escrow: str) -> None:
    workloads = [
        Workload(
            escrow=escrow,
            job_id=job,
            revision=BIG,
            spec_hash=WORD,
            commit="f" * 64,
            state="unhealthy",
            healthy=False,
            port=65_535,
        )
        for job in numbers(limits.MAX_WORKLOADS)
    ]
    answer = Answer(
        chain_id=BIG,
        license_id=BIG,
        node=escrow,
        nonce=WORD,
        window=BIG,
        instance_id=WORD[:16],
        workloads=tuple(workloads),
        signature=SIGNATURE,
    )
    assert fits(answer)


def test_a_dispatch_fits(escrow: str) -> None:
    spec = bytes(limits.MAX_SPEC_BYTES)
    assert fits(Dispatch(escrow=escrow, job_id=BIG, revision=BIG, spec=spec))


def test_a_status_fits(escrow: str) -> None:
    workload = WorkloadStatus(
        escrow=escrow,
        job_id=BIG,
        revision=BIG,
        state="unhealthy",
        reason=TEXT,
        pid=BIG,
        port=65_535,
    )
    workloads = (workload,) * limits.MAX_WORKLOADS
    assert fits(Status(license_id=BIG, node=escrow, workloads=workloads))


def test_a_profile_fits(node_key: bytes) -> None:
    tags = tuple(f"{'t' * 60}{index:04}" for index in range(limits.MAX_TAGS))
    profile = NodeProfile(
        chain_id=BIG,
        license_id=BIG,
        node=address_of(node_key),
        resources=Resources(cpu_milli=BIG, memory_mb=BIG, storage_mb=BIG),
        tags=tags,
        runners=tags[: limits.MAX_RUNNERS],
        public_key=public_key_of(node_key),
        signature=SIGNATURE,
    )
    assert fits(profile)


def test_proofs_fit(escrow: str) -> None:
    leaf = ProvenLeaf(
        escrow=escrow,
        job_id=BIG,
        license_id=BIG,
        units=BIG,
        proof=(WORD,) * limits.MAX_PROOF,
    )
    assert fits(Proofs(window=BIG, root=WORD, leaves=(leaf,) * limits.MAX_PROVEN))


def test_a_request_fits(escrow: str) -> None:
    request = ObservationRequest(
        window=BIG,
        turn=BIG,
        windows=tuple(numbers(limits.MAX_WINDOWS)),
        member=escrow,
        recipient=escrow,
        signature=SIGNATURE,
    )
    assert fits(request)


def test_a_report_signature_fits(escrow: str) -> None:
    assert fits(
        ReportSignature(
            window=BIG, turn=BIG, root=WORD, data_hash=WORD, member=escrow, signature=SIGNATURE
        )
    )


def test_a_placement_fits(escrow: str) -> None:
    proposal = PlacementProposal(
        escrow=escrow,
        job_id=BIG,
        round=BIG,
        window=BIG,
        revision=BIG,
        release=tuple(numbers(limits.MAX_PLACEMENT)),
        assign=tuple(numbers(limits.MAX_PLACEMENT)),
        committee_epoch=BIG,
        block_hash=WORD,
        skipped=tuple(numbers(limits.MAX_SKIPPED)),
        member=escrow,
        signature=SIGNATURE,
    )
    assert fits(proposal)


def test_an_observation_of_all_pairs_fits(escrow: str) -> None:
    pairs = tuple(Pair(escrow, BIG, license_id) for license_id in numbers(limits.MAX_PAIRS))
    observation = SignedObservation(
        window=BIG,
        committee_epoch=BIG,
        snapshot_hash=WORD,
        evidence_root=WORD,
        pairs=pairs,
        figures=(65_535,) * limits.MAX_PAIRS,
        member=escrow,
        signature=SIGNATURE,
    )
    assert len(observation.to_json()) <= observation.MAX_BYTES


def test_the_largest_report_fits(escrow: str) -> None:
    pairs = tuple(
        OpenPair(BIG, escrow, BIG, license_id) for license_id in numbers(limits.MAX_PAIRS)
    )
    header = ReportHeader(
        window=BIG,
        turn=BIG,
        base_window=BIG - 1,
        base_root=WORD,
        snapshot_hash=WORD,
        observations=(WORD,) * limits.MAX_OBSERVATIONS,
        open=pairs,
        leaves_hash=WORD,
    )
    assert len(header.to_json()) <= header.MAX_BYTES
    report = Report(header=header, leaves=bytes(limits.MAX_LEAVES * LEAF_BYTES))
    assert len(report.to_json()) <= report.MAX_BYTES


def test_an_error_fits() -> None:
    assert fits(ErrorBody(error=TEXT, field=TEXT))
