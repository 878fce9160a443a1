import json
from typing import Any

import pytest
from pydantic import ValidationError

from workdeed.protocol.canonical import canonical_hash
from workdeed.protocol.eip712 import (
    COMMITTEE_DOMAIN,
    ESCROW_DOMAIN,
    Domain,
    observation_digest,
    placement_digest,
    report_digest,
)
from workdeed.protocol.errors import (
    EncodingError,
    MerkleError,
    MessageError,
    ReportError,
    SignatureError,
)
from workdeed.protocol.figures import UNKNOWN, Pair, figures_hash, pairs_hash
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import EMPTY_ROOT, MerkleTree, leaf_hash
from workdeed.protocol.messages import (
    Answer,
    Dispatch,
    DispatchReply,
    NodeProfile,
    ObservationRequest,
    Observations,
    PlacementProposal,
    PlacementSignature,
    Probe,
    Proofs,
    Proposal,
    ProvenLeaf,
    Report,
    ReportSignature,
    Resources,
    Signatures,
    SignedObservation,
    Workload,
    evidence_root,
    sign,
)
from workdeed.protocol.report import Leaf, ReportHeader, data_hash, encode_leaves, report_tree
from workdeed.protocol.signing import address_of, public_key_of, sign_digest, to_checksum

SNAPSHOT = keccak(b"snapshot")
EVIDENCE = keccak(b"evidence")
EPOCH = 2


def workload(escrow: str, job_id: int, revision: int = 0, /, **changes: Any) -> Workload:
    fields: dict[str, Any] = {
        "escrow": escrow,
        "job_id": job_id,
        "revision": revision,
        "spec_hash": keccak(b"spec"),
        "commit": "a" * 40,
        "state": "running",
        "healthy": True,
        "port": 8080,
    }
    return Workload(**(fields | changes))


def answer(node_key: bytes, *workloads: Workload, nonce: bytes = b"nonce") -> Answer:
    return Answer(
        chain_id=31337,
        license_id=1,
        node=address_of(node_key),
        nonce=keccak(nonce),
        window=3,
        instance_id=keccak(b"instance")[:16],
        workloads=workloads,
    )


def observation(
    key: bytes, escrow: str, figures: tuple[int, ...], /, **changes: Any
) -> SignedObservation:
    fields: dict[str, Any] = {
        "window": 3,
        "committee_epoch": EPOCH,
        "snapshot_hash": SNAPSHOT,
        "evidence_root": EVIDENCE,
        "pairs": tuple(Pair(escrow, 1, number + 1) for number in range(len(figures))),
        "figures": figures,
        "member": address_of(key),
    }
    return SignedObservation(**(fields | changes))


# --- Node agent ---------------------------------------------------------------------------------


def test_an_answer_belongs_to_its_probe(node_key: bytes) -> None:
    one = answer(node_key)
    probe = Probe(nonce=one.nonce, window=3, block_hash=SNAPSHOT)
    assert one.answers(probe)
    assert not one.answers(probe.model_copy(update={"window": 4}))
    assert not one.answers(probe.model_copy(update={"nonce": keccak(b"other")}))


def test_an_answer_is_signed_by_its_node(
    node_key: bytes, escrow: str, committee_domain: Domain
) -> None:
    signed = sign(answer(node_key, workload(escrow, 1)), committee_domain, node_key)
    received = Answer.parse(signed.to_json())
    assert received == signed
    assert received.verify(committee_domain) == address_of(node_key)


def test_workloads_ascend_by_bytes_job_and_revision(node_key: bytes) -> None:
    low, high = "0x" + "a" * 40, "0x" + "b" * 40
    low, high = to_checksum(low), to_checksum(high)
    works = [workload(low, 2, 1), workload(low, 2, 2), workload(low, 3), workload(high, 1)]
    assert answer(node_key, *works).workloads == tuple(works)
    for bad in (works[::-1], [works[0], works[0]], [works[1], works[0]]):
        with pytest.raises(ValidationError, match="workloads must ascend"):
            answer(node_key, *bad)


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 0},
        {"port": 65_536},
        {"state": "fine"},
        {"commit": "main"},
        {"commit": "A" * 40},
        {"commit": "a" * 40 + "\n"},
        {"healthy": 1},
        {"escrow": "0x" + "ab" * 20},
        {"job_id": -1},
    ],
)
def test_a_malformed_workload_is_refused(escrow: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        workload(escrow, 1, **changes)


@pytest.mark.parametrize("changes", [{"port": None}, {"commit": ""}, {"commit": "b" * 64}])
def test_a_workload_may_have_no_port_and_a_digest_or_no_commit(
    escrow: str, changes: dict[str, Any]
) -> None:
    assert Workload.parse(workload(escrow, 1, **changes).to_json()).healthy


def test_evidence_is_the_root_of_the_signed_answers(
    node_key: bytes, committee_domain: Domain
) -> None:
    answers = [
        sign(answer(node_key, nonce=b"%d" % number), committee_domain, node_key)
        for number in range(3)
    ]
    leaves = [canonical_hash(json.loads(one.to_json())) for one in answers]
    assert evidence_root(answers) == evidence_root(answers[::-1]) == MerkleTree(leaves).root
    assert evidence_root([]) == EMPTY_ROOT
    assert evidence_root(answers[:1]) == leaves[0]
    with pytest.raises(MerkleError, match="twice"):
        evidence_root(answers[:1] * 2)


def test_a_dispatch_carries_the_bytes_of_its_hash(escrow: str) -> None:
    spec = b'{"schema":"workdeed/spec@1"}'
    sent = Dispatch(escrow=escrow, job_id=1, revision=0, spec=spec)
    received = Dispatch.parse(sent.to_json())
    assert (received.spec, received.spec_hash) == (spec, keccak(spec))
    assert json.loads(sent.to_json())["spec"] == "eyJzY2hlbWEiOiJ3b3JrZGVlZC9zcGVjQDEifQ=="


def test_a_dispatch_reply_is_a_state() -> None:
    assert DispatchReply.parse(b'{"state":"pending"}').state == "pending"
    with pytest.raises(MessageError, match="state"):
        DispatchReply.parse(b'{"state":"ok"}')


def profile(node_key: bytes, **changes: Any) -> NodeProfile:
    fields: dict[str, Any] = {
        "chain_id": 31337,
        "license_id": 1,
        "node": address_of(node_key),
        "resources": Resources(cpu_milli=4000, memory_mb=8000, storage_mb=100_000),
        "tags": ("eu", "ssd"),
        "runners": ("war",),
        "public_key": public_key_of(node_key),
    }
    return NodeProfile(**(fields | changes))


def test_a_profile_hashes_with_its_signature(node_key: bytes, committee_domain: Domain) -> None:
    signed = sign(profile(node_key), committee_domain, node_key)
    received = NodeProfile.parse(signed.to_json())
    assert received.verify(committee_domain) == address_of(node_key)
    assert received.profile_hash == canonical_hash(json.loads(signed.to_json()))
    assert received.profile_hash != profile(node_key).profile_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": ("ssd", "eu")},
        {"tags": ("eu", "eu")},
        {"runners": ("war", "car")},
        {"tags": ("EU",)},
        {"tags": ("",)},
        {"tags": tuple(f"t{index:03}" for index in range(65))},
        {"public_key": public_key_of(keccak(b"other"))},
        {"public_key": b"\x02" + b"\xff" * 32},
    ],
)
def test_a_malformed_profile_is_refused(node_key: bytes, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        profile(node_key, **changes)


def test_proofs_are_checked_against_the_root_on_chain(escrow: str) -> None:
    leaves = [Leaf(escrow, job, 1, job * 100) for job in range(1, 8)]
    tree = report_tree(leaves)
    proven = tuple(
        ProvenLeaf(
            escrow=leaf.escrow,
            job_id=leaf.job_id,
            license_id=leaf.license_id,
            units=leaf.units,
            proof=tuple(tree.proof(leaf_hash(*leaf))),
        )
        for leaf in leaves
    )
    proofs = Proofs.parse(Proofs(window=3, root=tree.root, leaves=proven).to_json())
    proofs.check(tree.root)
    with pytest.raises(MerkleError, match="job 1"):
        proofs.check(keccak(b"other root"))
    raised = proven[0].model_copy(update={"units": 101})
    with pytest.raises(MerkleError, match="job 1, license 1 is not in this report"):
        Proofs(window=3, root=tree.root, leaves=(raised,)).check(tree.root)


# --- Signing round ------------------------------------------------------------------------------


@pytest.mark.parametrize("windows", [(), (3, 2), (2, 2, 3), (2,), (3, 4), tuple(range(1, 66))])
def test_a_request_asks_for_ascending_windows_up_to_its_own(
    oracles: list[bytes], windows: tuple[int, ...]
) -> None:
    member, recipient = address_of(oracles[0]), address_of(oracles[1])
    with pytest.raises(ValidationError, match="windows"):
        ObservationRequest(window=3, turn=0, windows=windows, member=member, recipient=recipient)


def test_a_request_serves_its_recipient_only(
    oracles: list[bytes], committee_domain: Domain
) -> None:
    """Otherwise a member could pass the leader's request on and copy the others' figures."""
    asked = ObservationRequest(
        window=3,
        turn=0,
        windows=(3,),
        member=address_of(oracles[0]),
        recipient=address_of(oracles[1]),
    )
    signed = sign(asked, committee_domain, oracles[0])
    redirected = signed.model_copy(update={"recipient": address_of(oracles[2])})
    with pytest.raises(SignatureError):
        redirected.verify(committee_domain)


def test_an_observation_is_signed_as_its_own_type(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    signed = sign(observation(oracles[0], escrow, (10_000, UNKNOWN)), committee_domain, oracles[0])
    received = SignedObservation.parse(signed.to_json())
    digest = observation_digest(
        committee_domain,
        3,
        EPOCH,
        SNAPSHOT,
        pairs_hash([Pair(escrow, 1, 1), Pair(escrow, 1, 2)]),
        figures_hash([10_000, UNKNOWN]),
        EVIDENCE,
    )
    assert received == signed
    assert isinstance(received.pairs[0], Pair)
    assert received.signature == sign_digest(oracles[0], digest)
    assert received.verify(committee_domain) == address_of(oracles[0])


@pytest.mark.parametrize("field", ["window", "committee_epoch", "snapshot_hash", "evidence_root"])
def test_every_part_of_an_observation_is_signed(
    oracles: list[bytes], escrow: str, committee_domain: Domain, field: str
) -> None:
    signed = sign(observation(oracles[0], escrow, (10_000,)), committee_domain, oracles[0])
    value = 9 if isinstance(getattr(signed, field), int) else keccak(b"other")
    with pytest.raises(SignatureError):
        signed.model_copy(update={field: value}).verify(committee_domain)


def test_changed_figures_or_pairs_are_told(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    signed = sign(observation(oracles[0], escrow, (9_000,)), committee_domain, oracles[0])
    for change in ({"figures": (9_001,)}, {"pairs": (Pair(escrow, 1, 2),)}):
        with pytest.raises(SignatureError):
            signed.model_copy(update=change).verify(committee_domain)


@pytest.mark.parametrize(
    ("figures", "changes", "message"),
    [
        ((1, 2), {"figures": (1,)}, "as many as pairs"),
        ((10_001,), {}, "0..10000 or be 65535"),
        ((65_534,), {}, "0..10000 or be 65535"),
        ((65_536,), {}, "figures"),
        ((-1,), {}, "figures"),
        ((1,), {"evidence_root": EMPTY_ROOT}, "evidence_root"),
        ((0, UNKNOWN, 10_000), {"evidence_root": EMPTY_ROOT}, "evidence_root"),
        ((0,), {"window": 0}, "window"),
    ],
)
def test_a_malformed_observation_is_refused(
    oracles: list[bytes],
    escrow: str,
    figures: tuple[int, ...],
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ValidationError, match=message):
        observation(oracles[0], escrow, figures, **changes)


def test_failure_and_ignorance_need_no_evidence(oracles: list[bytes], escrow: str) -> None:
    down = observation(oracles[0], escrow, (0, UNKNOWN), evidence_root=EMPTY_ROOT)
    assert down.figures == (0, UNKNOWN)


def test_pairs_of_an_observation_ascend(oracles: list[bytes], escrow: str) -> None:
    pairs = (Pair(escrow, 1, 2), Pair(escrow, 1, 1))
    for bad in (pairs, pairs[:1] * 2):
        with pytest.raises(ValidationError, match="pairs must ascend"):
            observation(oracles[0], escrow, (0, 0), pairs=bad)


def test_a_pair_is_three_values_on_the_wire(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    signed = sign(observation(oracles[0], escrow, (1,)), committee_domain, oracles[0])
    body = json.loads(signed.to_json())
    assert body["pairs"] == [[escrow, 1, 1]]
    for bad in ([escrow, 1], [escrow, 1, 1, 1], [escrow, 1, 0], [escrow.lower(), 1, 1], ["", 1, 1]):
        with pytest.raises(MessageError, match=r"pairs\.0"):
            SignedObservation.parse(json.dumps(body | {"pairs": [bad]}).encode())


def proposal(oracles: list[bytes], escrow: str, domain: Domain) -> Proposal:
    """A leader's proposal: two members saw the same without evidence, a third saw more."""
    down = {"evidence_root": EMPTY_ROOT}
    seen = [
        observation(oracles[0], escrow, (0,), **down),
        observation(oracles[1], escrow, (0,), **down),
        observation(oracles[2], escrow, (5_000,)),
    ]
    keys = {address_of(key): key for key in oracles}
    signed = [sign(one, domain, keys[one.member]) for one in seen]
    signed.sort(key=lambda one: one.member.lower())
    leaves = encode_leaves([Leaf(escrow, 1, 1, 100)])
    header = ReportHeader(
        window=3,
        turn=0,
        base_window=0,
        base_root=EMPTY_ROOT,
        snapshot_hash=SNAPSHOT,
        observations=tuple(one.digest(domain) for one in signed),
        open=(),
        leaves_hash=keccak(leaves),
    )
    unsigned = Proposal(
        header=header, leaves=leaves, observations=tuple(signed), member=address_of(oracles[3])
    )
    return sign(unsigned, domain, oracles[3])


def test_a_proposal_survives_the_wire(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    sent = proposal(oracles, escrow, committee_domain)
    received = Proposal.parse(sent.to_json())
    assert received == sent
    assert received.verify(committee_domain) == address_of(oracles[3])
    received.check_pins(committee_domain)


def test_the_header_pins_what_the_signature_leaves_out(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    sent = proposal(oracles, escrow, committee_domain)
    other_leaves = sent.model_copy(update={"leaves": encode_leaves([Leaf(escrow, 1, 1, 101)])})
    fewer = sent.model_copy(update={"observations": sent.observations[1:]})
    for changed, message in ((other_leaves, "leaves"), (fewer, "observations")):
        assert changed.verify(committee_domain) == address_of(oracles[3])
        with pytest.raises(ReportError, match=message):
            changed.check_pins(committee_domain)


def test_the_header_is_signed(oracles: list[bytes], escrow: str, committee_domain: Domain) -> None:
    sent = proposal(oracles, escrow, committee_domain)
    header = sent.header.model_copy(update={"turn": 1})
    with pytest.raises(SignatureError):
        sent.model_copy(update={"header": header}).verify(committee_domain)


def test_a_proposal_holds_one_observation_a_member_and_window(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    sent = proposal(oracles, escrow, committee_domain)
    first, second, third = sent.observations
    for bad in ((first, first), (second, first), (first, third, second)):
        with pytest.raises(ValidationError, match="observations must ascend"):
            Proposal(header=sent.header, leaves=b"", observations=bad, member=sent.member)


def test_members_may_share_a_digest(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    digests = proposal(oracles, escrow, committee_domain).header.observations
    assert (len(digests), len(set(digests))) == (3, 2)


def test_observations_survive_the_wire(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    sent = Observations(observations=proposal(oracles, escrow, committee_domain).observations)
    assert Observations.parse(sent.to_json()) == sent


def report_signature(key: bytes, sent: Proposal, root: bytes, domain: Domain) -> ReportSignature:
    head = sent.header
    digest = report_digest(domain, head.window, head.turn, root, data_hash(head), EPOCH)
    return ReportSignature(
        window=head.window,
        turn=head.turn,
        root=root,
        data_hash=data_hash(head),
        member=address_of(key),
        signature=sign_digest(key, digest),
    )


def test_a_report_signature_counts_in_its_epoch_only(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    sent = proposal(oracles, escrow, committee_domain)
    one = report_signature(oracles[0], sent, keccak(b"root"), committee_domain)
    received = ReportSignature.parse(one.to_json())
    assert received.verify(committee_domain, EPOCH) == address_of(oracles[0])
    with pytest.raises(SignatureError, match="the message names"):
        received.verify(committee_domain, EPOCH + 1)
    with pytest.raises(SignatureError):
        received.model_copy(update={"turn": 5}).verify(committee_domain, EPOCH)


def test_signatures_are_packed_for_the_contract(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    sent, root = proposal(oracles, escrow, committee_domain), keccak(b"root")
    keys = sorted(oracles, key=lambda key: address_of(key).lower())
    each = [report_signature(key, sent, root, committee_domain).signature for key in keys]
    complete = Signatures.parse(
        Signatures(header=sent.header, root=root, signatures=tuple(each)).to_json()
    )
    assert complete.signers(committee_domain, EPOCH) == tuple(map(address_of, keys))
    assert complete.packed() == b"".join(each)
    for bad in (each[::-1], each[:1] * 2):
        with pytest.raises(SignatureError, match="ascend"):
            complete.model_copy(update={"signatures": bad}).signers(committee_domain, EPOCH)


def test_a_report_is_pinned_by_its_header(
    oracles: list[bytes], escrow: str, committee_domain: Domain
) -> None:
    sent = proposal(oracles, escrow, committee_domain)
    report = Report.parse(Report(header=sent.header, leaves=sent.leaves).to_json())
    report.check_pins()
    with pytest.raises(ReportError, match="leaves"):
        report.model_copy(update={"leaves": b""}).check_pins()


# --- Placement ----------------------------------------------------------------------------------


def placement(oracles: list[bytes], escrow: str, **changes: Any) -> PlacementProposal:
    fields: dict[str, Any] = {
        "escrow": escrow,
        "job_id": 1,
        "round": 0,
        "window": 3,
        "revision": 0,
        "release": (4,),
        "assign": (9, 2),
        "committee_epoch": EPOCH,
        "block_hash": SNAPSHOT,
        "skipped": (1, 3),
        "member": address_of(oracles[0]),
    }
    return PlacementProposal(**(fields | changes))


def test_a_placement_is_signed_in_the_escrows_domain(
    oracles: list[bytes], escrow: str, escrow_domain: Domain
) -> None:
    signed = sign(placement(oracles, escrow), escrow_domain, oracles[0])
    received = PlacementProposal.parse(signed.to_json())
    digest = placement_digest(escrow_domain, 1, 0, 3, 0, [4], [9, 2], EPOCH)
    assert received == signed
    assert received.signature == sign_digest(oracles[0], digest)
    assert received.verify(escrow_domain) == address_of(oracles[0])
    with pytest.raises(EncodingError, match="domain"):
        received.verify(Domain(ESCROW_DOMAIN, 31337, to_checksum(bytes(20))))
    with pytest.raises(EncodingError, match="signed in JobEscrow"):
        received.verify(Domain(COMMITTEE_DOMAIN, 31337, escrow))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"assign": (2, 2)}, "assign must not name a license twice"),
        ({"release": (2, 2)}, "release must not name a license twice"),
        ({"release": (), "assign": ()}, "both be empty"),
        ({"skipped": (3, 1)}, "skipped must ascend"),
        ({"assign": (0,)}, "assign"),
        ({"assign": tuple(range(1, 66))}, "assign"),
    ],
)
def test_a_malformed_placement_is_refused(
    oracles: list[bytes], escrow: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        placement(oracles, escrow, **changes)


def test_a_placement_signature_is_for_one_proposal(
    oracles: list[bytes], escrow: str, escrow_domain: Domain
) -> None:
    sent = placement(oracles, escrow)
    one = PlacementSignature(
        escrow=escrow,
        job_id=1,
        round=0,
        window=3,
        member=address_of(oracles[1]),
        signature=sign_digest(oracles[1], sent.digest(escrow_domain)),
    )
    received = PlacementSignature.parse(one.to_json())
    assert received.verify(escrow_domain, sent) == address_of(oracles[1])
    for other in ({"round": 1}, {"assign": (2, 9)}, {"window": 4}, {"job_id": 2}):
        with pytest.raises(SignatureError, match="the message names"):
            received.verify(escrow_domain, placement(oracles, escrow, **other))
