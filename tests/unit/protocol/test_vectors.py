"""The files in `docs/vectors/` are what the code computes: each is made anew and compared.

`python tests/unit/protocol/test_vectors.py` rewrites the files after an intended change.
"""

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coincurve
import pytest
from Crypto.Cipher import AES
from pydantic import TypeAdapter

from workdeed.intent import Rollout
from workdeed.intent.pacing import longest_ms
from workdeed.oracle.patience import rollout_windows
from workdeed.protocol.canonical import canonical_bytes, canonical_hash, parse_canonical
from workdeed.protocol.eip712 import (
    COMMITTEE_DOMAIN,
    DESK_DOMAIN,
    ENVELOPE_TYPE,
    ESCROW_DOMAIN,
    LICENSE_DOMAIN,
    LINK_NODE_TYPE,
    OBSERVATION_TYPE,
    PLACEMENT_TYPE,
    REPORT_TYPE,
    RESULT_TYPE,
    Domain,
    envelope_digest,
    link_node_digest,
    observation_digest,
    placement_digest,
    report_digest,
    result_digest,
)
from workdeed.protocol.errors import CanonicalError
from workdeed.protocol.fields import to_hex
from workdeed.protocol.figures import (
    UNKNOWN,
    Pair,
    encode_figures,
    encode_pairs,
    figure,
    figures_hash,
    pairs_hash,
    settle,
    units,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import EMPTY_ROOT, MerkleTree, leaf_hash, verify
from workdeed.protocol.messages import (
    Answer,
    Dispatch,
    NodeProfile,
    ObservationRequest,
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
from workdeed.protocol.noderequest import InspectionReply, LogReply, NodeRequest, ServicePort
from workdeed.protocol.report import (
    Leaf,
    OpenPair,
    ReportHeader,
    data_hash,
    decode_leaves,
    encode_leaves,
    report_tree,
)
from workdeed.protocol.rollouts import (
    Endpoint,
    EndpointList,
    ReplicaProgress,
    RolloutProgress,
)
from workdeed.protocol.sealing import Owner, SealingError, open_box
from workdeed.protocol.signing import (
    address_of,
    public_key_of,
    recover,
    sign_digest,
    to_checksum,
)
from workdeed.protocol.windows import WindowClock, leader
from workdeed.protocol.wire import Body, EnvelopeMessage

FOLDER = Path(__file__).parents[3] / "docs" / "vectors"
CHAIN_ID = 31337
EPOCH = 1
WINDOW = 5
TURN = 1


def _named(name: str) -> bytes:
    """Every key, contract and hash of the vectors is the hash of a name."""
    return keccak(f"workdeed vector {name}".encode())


NODE = _named("node")
ORACLES = [_named(f"oracle {index}") for index in range(4)]
MEMBERS = [address_of(key) for key in ORACLES]
LEADER = leader(WINDOW, TURN, len(MEMBERS))
LICENSE, COMMITTEE, ESCROW, DESK = (
    Domain(name, CHAIN_ID, to_checksum(_named(name)[12:]))
    for name in (LICENSE_DOMAIN, COMMITTEE_DOMAIN, ESCROW_DOMAIN, DESK_DOMAIN)
)
SPEC = {"schema": "workdeed/spec@1", "name": "hello"}
PAIRS = [Pair(ESCROW.contract, 1, 1), Pair(ESCROW.contract, 1, 2), Pair(ESCROW.contract, 2, 3)]
FIGURES = [
    [10_000, 9_000, UNKNOWN],
    [10_000, 0, UNKNOWN],
    [9_800, 9_100, 7_000],
    [UNKNOWN, 9_050, 6_000],
]
FLOOR = 9_000


def _json(body: Body) -> Any:
    return json.loads(body.to_json())


def _domain(domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "version": domain.version,
        "chain_id": domain.chain_id,
        "contract": domain.contract,
        "separator": to_hex(domain.separator),
    }


def _envelope(message: EnvelopeMessage) -> dict[str, Any]:
    content = message.signed_content()
    return {
        "message": _json(message),
        "signed_content": content.decode(),
        "content_hash": to_hex(keccak(content)),
        "digest": to_hex(message.digest(COMMITTEE)),
    }


# --- One builder per file -----------------------------------------------------------------------


def canonical() -> dict[str, Any]:
    values: list[Any] = [
        {},
        [],
        {"b": 1, "a": [True, False, None], "": "empty key"},
        {"amount": str(2**256 - 1)},
        {"max": 2**53 - 1, "min": -(2**53) + 1},
        {"text": 'quote " backslash \\ slash / tab \t bell \u0007 del \u007f euro € face 😀'},
        {"€": 1, "\r": 2, "דּ": 3, "1": 4, "😀": 5, "\u0080": 6, "ö": 7},
        SPEC,
    ]
    return {
        "cases": [
            {
                "value": value,
                "canonical": canonical_bytes(value).decode(),
                "keccak": to_hex(canonical_hash(value)),
            }
            for value in values
        ],
        "refused": [
            *('{"b":1,"a":2}', '{"a": 1}', '{"a":1,"a":1}', "1.0", "1e3", "-0", "NaN"),
            *("9007199254740992", '"\\u0041"', '"\\ud800"', "[1,]", " 1"),
        ],
    }


def eip712() -> dict[str, Any]:
    owner, node = to_checksum(_named("owner")[12:]), address_of(NODE)
    word, other = _named("root"), _named("data")
    snapshot, evidence = _named("snapshot"), _named("evidence")
    hashes = (pairs_hash(PAIRS), figures_hash(FIGURES[0]))
    cases: list[tuple[str, Domain, Callable[..., bytes], list[Any]]] = [
        (LINK_NODE_TYPE, LICENSE, link_node_digest, [1, node, owner, 0, 1_900_000_000]),
        (PLACEMENT_TYPE, ESCROW, placement_digest, [1, 0, WINDOW, 0, [4], [9, 2], EPOCH]),
        (REPORT_TYPE, COMMITTEE, report_digest, [WINDOW, TURN, word, other, EPOCH]),
        (RESULT_TYPE, DESK, result_digest, [1, word, EPOCH]),
        (
            OBSERVATION_TYPE,
            COMMITTEE,
            observation_digest,
            [WINDOW, EPOCH, snapshot, *hashes, evidence],
        ),
        (ENVELOPE_TYPE, COMMITTEE, envelope_digest, ["workdeed/answer@1", word]),
    ]
    return {
        "private_key": to_hex(NODE),
        "signer": node,
        "domains": [_domain(domain) for domain in (LICENSE, COMMITTEE, ESCROW, DESK)],
        "messages": [
            {
                "type": type_text,
                "domain": domain.name,
                "values": [to_hex(one) if isinstance(one, bytes) else one for one in values],
                "digest": to_hex(digest(domain, *values)),
                "signature": to_hex(sign_digest(NODE, digest(domain, *values))),
            }
            for type_text, domain, digest, values in cases
        ],
    }


def merkle() -> dict[str, Any]:
    trees = []
    for size in (0, 1, 2, 3, 7):
        values = [(ESCROW.contract, 1 + job // 3, job % 3, 10_000 * job + 1) for job in range(size)]
        leaves = [leaf_hash(*value) for value in values]
        tree = MerkleTree(leaves)
        trees.append(
            {
                "values": [[value[0], *map(str, value[1:])] for value in values],
                "leaves": [to_hex(leaf) for leaf in leaves],
                "root": to_hex(tree.root),
                "proofs": [[to_hex(node) for node in tree.proof(leaf)] for leaf in leaves],
            }
        )
    return {"types": ["address", "uint256", "uint256", "uint256"], "trees": trees}


def figures() -> dict[str, Any]:
    sets = [[10_000, 0, 9_000, 8_000], [10_000, UNKNOWN, 9_000, 0], [10_000, UNKNOWN, 0], []]
    return {
        "figure": [
            {"ok": ok, "sent": sent, "figure": figure(ok, sent)}
            for ok, sent in ((0, 0), (0, 3), (1, 3), (2, 3), (3, 3))
        ],
        "settle": [
            {"members": 4, "figures": values, "settled": settle(values, 4)} for values in sets
        ],
        "units": [
            {"figure": value, "sla_floor_bps": FLOOR, "units": units(value, FLOOR)}
            for value in (0, 8_999, 9_000, 10_000)
        ],
        "pairs": {
            "values": [list(pair) for pair in PAIRS],
            "encoded": to_hex(encode_pairs(PAIRS)),
            "keccak": to_hex(pairs_hash(PAIRS)),
        },
        "figures": {
            "values": FIGURES[0],
            "encoded": to_hex(encode_figures(FIGURES[0])),
            "keccak": to_hex(figures_hash(FIGURES[0])),
        },
    }


def windows() -> dict[str, Any]:
    clock = WindowClock(genesis=1_800_000_000, window=3_600)
    starts, ends = clock.start(WINDOW), clock.end(WINDOW)
    return {
        "genesis": clock.genesis,
        "window": clock.window,
        "at": [
            {"timestamp": time, "window": clock.at(time)}
            for time in (clock.genesis - 1, clock.genesis, starts - 1, starts, ends - 1, ends)
        ],
        "turns": [
            {
                "now": ends + after,
                "window": WINDOW,
                "turn_seconds": 300,
                "turn": clock.turn_at(ends + after, WINDOW, 300),
            }
            for after in (-1, 0, 299, 300, 3_599, 3_600)
        ],
        "placement_turns": [
            {
                "now": starts + after,
                "window": WINDOW,
                "turn_seconds": 300,
                "turn": clock.placement_turn_at(starts + after, WINDOW, 300),
            }
            for after in (-1, 0, 300, 1_799, 1_800)
        ],
        "leaders": [
            {"window": WINDOW, "turn": turn, "members": 4, "leader": leader(WINDOW, turn, 4)}
            for turn in range(5)
        ],
    }


def _answer(nonce: bytes) -> Answer:
    workload = Workload(
        escrow=ESCROW.contract,
        job_id=1,
        revision=0,
        spec_hash=canonical_hash(SPEC),
        commit="0123456789abcdef0123456789abcdef01234567",
        state="running",
        healthy=True,
        port=8080,
    )
    silent = workload.model_copy(
        update={"job_id": 2, "commit": "", "state": "starting", "healthy": False, "port": None}
    )
    unsigned = Answer(
        chain_id=CHAIN_ID,
        license_id=1,
        node=address_of(NODE),
        nonce=nonce,
        window=WINDOW,
        instance_id=_named("instance")[:16],
        workloads=(workload, silent),
    )
    return sign(unsigned, COMMITTEE, NODE)


def probe() -> dict[str, Any]:
    asked = Probe(nonce=_named("nonce"), window=WINDOW, block_hash=_named("block"))
    answers = [_answer(asked.nonce), _answer(_named("other nonce"))]
    return {
        "domain": _domain(COMMITTEE),
        "private_key": to_hex(NODE),
        "probe": _json(asked),
        "answer": _envelope(answers[0]),
        "evidence": {
            "answers": [_json(one) for one in answers],
            "leaves": [to_hex(keccak(one.canonical())) for one in answers],
            "root": to_hex(evidence_root(answers)),
        },
    }


def profile() -> dict[str, Any]:
    unsigned = NodeProfile(
        chain_id=CHAIN_ID,
        license_id=1,
        node=address_of(NODE),
        resources=Resources(cpu_milli=4_000, memory_mb=8_000, storage_mb=100_000),
        tags=("region:eu", "ssd"),
        runners=("war",),
        public_key=public_key_of(NODE),
    )
    signed = sign(unsigned, COMMITTEE, NODE)
    return {
        "domain": _domain(COMMITTEE),
        "private_key": to_hex(NODE),
        "profile": _envelope(signed),
        "profile_hash": to_hex(signed.profile_hash),
    }


def _box(content: bytes, name: str) -> dict[str, Any]:
    """Seal by hand what `sealing.seal` seals with chance, from the primitives alone."""
    ephemeral, nonce = _named(f"ephemeral {name}"), _named(f"nonce {name}")[:12]
    point = coincurve.PublicKey(public_key_of(NODE)).multiply(ephemeral).format(compressed=True)
    # HKDF (RFC 5869) for one block, without salt and info.
    pseudorandom = hmac.digest(bytes(32), public_key_of(ephemeral) + point, "sha256")
    key = hmac.digest(pseudorandom, b"\x01", "sha256")
    cipher = AES.new(key, AES.MODE_GCM, nonce)
    encrypted, tag = cipher.encrypt_and_digest(content)
    return {
        "content": content.decode(),
        "ephemeral_key": to_hex(ephemeral),
        "nonce": to_hex(nonce),
        "key": to_hex(key),
        "box": to_hex(public_key_of(ephemeral) + nonce + tag + encrypted),
    }


def _secrets(payer: str, values: dict[str, str]) -> bytes:
    where = {"chain_id": CHAIN_ID, "escrow": ESCROW.contract, "payer": payer}
    return canonical_bytes({"schema": "workdeed/secrets@1", **where, "values": values})


def sealing() -> dict[str, Any]:
    payer, other = (to_checksum(_named(role)[12:]) for role in ("payer", "other payer"))
    values = {"api-token": "correct horse battery staple", "text": "two\nlines, € and 😀"}
    return {
        "private_key": to_hex(NODE),
        "public_key": to_hex(public_key_of(NODE)),
        "chain_id": CHAIN_ID,
        "escrow": ESCROW.contract,
        "payer": payer,
        "boxes": [
            _box(_secrets(payer, values), "all"),
            _box(_secrets(payer, {"a": "1"}), "one"),
        ],
        "refused": [
            _box(_secrets(other, values), "of another payer"),
            _box(_secrets(payer, {}), "empty"),
            _box(_secrets(payer, values) + b" ", "not canonical"),
        ],
    }


def noderequest() -> dict[str, Any]:
    payer = _named("payer")
    content = {"escrow": ESCROW.contract, "job_id": 1, "license_id": 1, "revision": 2}
    requests = [
        NodeRequest(
            **content,
            action=action,
            service=service,
            argument=argument,
            asked_at=1_900_000_000_000 + index,
            account=address_of(payer),
        )
        for index, (action, service, argument) in enumerate(
            [("stop", "main", ""), ("logs", "cache", "17:4096"), ("abandon", "main", "too slow")]
        )
    ]
    inspection = InspectionReply(
        revision=2,
        service="main",
        state="running",
        reason="",
        version="0123456789abcdef0123456789abcdef01234567",
        cpu_ms=1_500,
        memory_bytes=25_000_000,
        disk_bytes=1_000_000,
        processes=3,
        restarts=1,
        ports=(ServicePort(name="main", port=8_080),),
    )
    return {
        "domain": _domain(COMMITTEE),
        "private_key": to_hex(payer),
        "requests": [_envelope(sign(one, COMMITTEE, payer)) for one in requests],
        "log_reply": _json(LogReply(data=b"\x1b[31mred\x1b[0m\n", cursor="17:4110")),
        "inspection_reply": _json(inspection),
    }


def dispatch() -> dict[str, Any]:
    sent = Dispatch(escrow=ESCROW.contract, job_id=1, revision=0, spec=canonical_bytes(SPEC))
    return {
        "spec": sent.spec.decode(),
        "spec_hash": to_hex(sent.spec_hash),
        "dispatch": _json(sent),
    }


def _observation(index: int) -> SignedObservation:
    answers = [_answer(_named(f"nonce of oracle {index}"))]
    unsigned = SignedObservation(
        window=WINDOW,
        committee_epoch=EPOCH,
        snapshot_hash=_named("snapshot before"),
        evidence_root=evidence_root(answers),
        pairs=tuple(PAIRS),
        figures=tuple(FIGURES[index]),
        member=MEMBERS[index],
    )
    return sign(unsigned, COMMITTEE, ORACLES[index])


def observation() -> dict[str, Any]:
    signed = _observation(0)
    return {
        "domain": _domain(COMMITTEE),
        "private_key": to_hex(ORACLES[0]),
        "observation": _json(signed),
        "pairs_hash": to_hex(pairs_hash(signed.pairs)),
        "figures_hash": to_hex(figures_hash(signed.figures)),
        "digest": to_hex(signed.digest(COMMITTEE)),
    }


def _leaves(base: list[Leaf], settled: list[int | None]) -> list[Leaf]:
    """The base plus what the settled pairs earned, and the leaf of job 3, which nobody served."""
    grown = [
        leaf._replace(units=leaf.units + (units(value, FLOOR) if value is not None else 0))
        for leaf, value in zip(base, settled, strict=True)
    ]
    return [*grown, Leaf(ESCROW.contract, 3, 0, 0)]


def _round() -> tuple[list[Leaf], list[int | None], Proposal]:
    base = [Leaf(*pair, total) for pair, total in zip(PAIRS, (40_000, 38_000, 20_000), strict=True)]
    settled = [settle(column, len(MEMBERS)) for column in zip(*FIGURES, strict=True)]
    leaves = encode_leaves(_leaves(base, settled))
    observations = sorted(
        (_observation(index) for index in range(len(MEMBERS))), key=lambda one: one.member.lower()
    )
    header = ReportHeader(
        window=WINDOW,
        turn=TURN,
        base_window=WINDOW - 1,
        base_root=report_tree(base).root,
        snapshot_hash=_named("snapshot"),
        observations=tuple(one.digest(COMMITTEE) for one in observations),
        open=tuple(
            OpenPair(WINDOW, *pair)
            for pair, value in zip(PAIRS, settled, strict=True)
            if value is None
        ),
        leaves_hash=keccak(leaves),
    )
    unsigned = Proposal(
        header=header,
        leaves=leaves,
        observations=tuple(observations),
        member=MEMBERS[LEADER],
    )
    return base, settled, sign(unsigned, COMMITTEE, ORACLES[LEADER])


def report() -> dict[str, Any]:
    base, settled, proposal = _round()
    leaves = decode_leaves(proposal.leaves)
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
    return {
        "base": {"leaves": [list(leaf) for leaf in base], "root": to_hex(report_tree(base).root)},
        "settled": settled,
        "sla_floor_bps": FLOOR,
        "leaves": [list(leaf) for leaf in leaves],
        "leaves_bin": to_hex(proposal.leaves),
        "leaves_hash": to_hex(keccak(proposal.leaves)),
        "root": to_hex(tree.root),
        "header_canonical": proposal.header.canonical().decode(),
        "data_hash": to_hex(data_hash(proposal.header)),
        "report": _json(Report(header=proposal.header, leaves=proposal.leaves)),
        "proofs": _json(Proofs(window=WINDOW, root=tree.root, leaves=proven)),
    }


def proposal() -> dict[str, Any]:
    _, _, proposed = _round()
    root = report_tree(decode_leaves(proposed.leaves)).root
    hashed = data_hash(proposed.header)
    digest = report_digest(COMMITTEE, WINDOW, TURN, root, hashed, EPOCH)
    asked = 0
    request = ObservationRequest(
        window=WINDOW,
        turn=TURN,
        windows=(WINDOW,),
        member=MEMBERS[LEADER],
        recipient=MEMBERS[asked],
    )
    reply = ReportSignature(
        window=WINDOW,
        turn=TURN,
        root=root,
        data_hash=hashed,
        member=MEMBERS[asked],
        signature=sign_digest(ORACLES[asked], digest),
    )
    ordered = sorted(ORACLES, key=lambda key: address_of(key).lower())
    complete = Signatures(
        header=proposed.header,
        root=root,
        signatures=tuple(sign_digest(key, digest) for key in ordered),
    )
    return {
        "domain": _domain(COMMITTEE),
        "committee_epoch": EPOCH,
        "private_keys": [to_hex(key) for key in ORACLES],
        "members": MEMBERS,
        "leader": LEADER,
        "request": _envelope(sign(request, COMMITTEE, ORACLES[LEADER])),
        "proposal": _envelope(proposed),
        "report_digest": to_hex(digest),
        "report_signature": _json(reply),
        "signatures": _json(complete),
        "packed": to_hex(complete.packed()),
    }


def placement() -> dict[str, Any]:
    unsigned = PlacementProposal(
        escrow=ESCROW.contract,
        job_id=1,
        round=1,
        window=WINDOW,
        revision=0,
        release=(2,),
        assign=(9, 4),
        committee_epoch=EPOCH,
        block_hash=_named("block"),
        skipped=(5,),
        member=MEMBERS[0],
    )
    signed = sign(unsigned, ESCROW, ORACLES[0])
    digest = signed.digest(ESCROW)
    reply = PlacementSignature(
        escrow=ESCROW.contract,
        job_id=1,
        round=1,
        window=WINDOW,
        member=MEMBERS[1],
        signature=sign_digest(ORACLES[1], digest),
    )
    return {
        "domain": _domain(ESCROW),
        "private_keys": [to_hex(key) for key in ORACLES[:2]],
        "proposal": _json(signed),
        "digest": to_hex(digest),
        "placement_signature": _json(reply),
    }


def rollouts() -> dict[str, Any]:
    """How long an older revision may count, and what a keeper tells of replicas."""
    batched = {"drain_ms": 3_000, "deadline_ms": 600_000, "settle_ms": 2_000}
    canary = batched | {"policy": "canary", "share_bps": 1_000, "wait_ms": 60_000}
    cases: list[tuple[dict[str, Any], int, int]] = [
        ({"policy": "recreate", "drain_ms": 0, "deadline_ms": 600_000}, 100, 3_600),
        (batched | {"policy": "rolling", "max_unavailable": 1}, 1, 3_600),
        (batched | {"policy": "rolling", "max_unavailable": 1}, 20, 3_600),
        (batched | {"policy": "rolling", "max_unavailable": 3}, 20, 3_600),
        (canary | {"max_unavailable": 3}, 25, 3_600),
        (canary | {"max_unavailable": 1}, 100, 12),
    ]
    adapter: TypeAdapter[Rollout] = TypeAdapter(Rollout)
    waits = []
    for policy, slots, window in cases:
        found = adapter.validate_python(policy)
        longest, windows = longest_ms(found, slots), rollout_windows(found, slots, window)
        row = {"rollout": policy, "slots": slots, "window": window}
        waits.append({**row, "longest_ms": longest, "windows": windows})
    endpoint = Endpoint(
        license_id=12, host="node.example.org", port=20_001, revision=3, version="ab" * 20
    )
    serving = ReplicaProgress(license_id=12, state="well", revision=3, well_ms=61_000, reason="")
    away = ReplicaProgress(
        license_id=13, state="unreachable", revision=None, well_ms=0, reason="no answer in time"
    )
    progress = RolloutProgress(
        job_id=7,
        revision=3,
        policy="rolling",
        phase="rolling",
        reason="license 13 is unreachable (no answer in time)",
        replicas=(serving, away),
    )
    return {
        "waits": waits,
        "endpoints": _json(EndpointList(job_id=7, replicas=2, endpoints=(endpoint,))),
        "rollout": _json(progress),
    }


BUILDERS: list[Callable[[], dict[str, Any]]] = [
    canonical,
    dispatch,
    eip712,
    figures,
    merkle,
    noderequest,
    observation,
    placement,
    probe,
    profile,
    proposal,
    report,
    rollouts,
    sealing,
    windows,
]


# --- The files are what the builders make -------------------------------------------------------


def _text(builder: Callable[[], dict[str, Any]]) -> str:
    return json.dumps(builder(), indent=2, ensure_ascii=False) + "\n"


def _load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_a_file_is_what_the_code_computes(builder: Callable[[], dict[str, Any]]) -> None:
    path = FOLDER / f"{builder.__name__}.json"
    assert path.read_text(encoding="utf-8") == _text(builder)


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {one.__name__ for one in BUILDERS}


# --- The files read back, as another implementation would read them -----------------------------


def test_refused_text_is_refused() -> None:
    for text in _load("canonical")["refused"]:
        with pytest.raises(CanonicalError):
            parse_canonical(text.encode())


def test_typed_signatures_are_by_the_named_signer() -> None:
    vector = _load("eip712")
    for message in vector["messages"]:
        digest, signature = (bytes.fromhex(message[key][2:]) for key in ("digest", "signature"))
        assert recover(digest, signature) == vector["signer"]


def test_proofs_lead_to_the_root() -> None:
    for tree in _load("merkle")["trees"]:
        root = bytes.fromhex(tree["root"][2:])
        assert bool(tree["leaves"]) == (root != EMPTY_ROOT)
        for leaf, proof in zip(tree["leaves"], tree["proofs"], strict=True):
            nodes = [bytes.fromhex(node[2:]) for node in proof]
            assert verify(root, bytes.fromhex(leaf[2:]), nodes)


def _wire(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_an_answer_is_signed_and_belongs_to_the_probe() -> None:
    vector = _load("probe")
    answer = Answer.parse(_wire(vector["answer"]["message"]))
    assert answer.answers(Probe.parse(_wire(vector["probe"])))
    assert answer.verify(COMMITTEE) == answer.node


def test_a_dispatch_holds_the_spec() -> None:
    vector = _load("dispatch")
    assert base64.b64decode(vector["dispatch"]["spec"]).decode() == vector["spec"]
    assert to_hex(Dispatch.parse(_wire(vector["dispatch"])).spec_hash) == vector["spec_hash"]


def test_the_round_follows_from_its_messages() -> None:
    vector = _load("proposal")
    received = Proposal.parse(_wire(vector["proposal"]["message"]))
    assert received.verify(COMMITTEE) == vector["members"][vector["leader"]]
    received.check_pins(COMMITTEE)
    assert {one.verify(COMMITTEE) for one in received.observations} == set(vector["members"])
    complete = Signatures.parse(_wire(vector["signatures"]))
    assert set(complete.signers(COMMITTEE, EPOCH)) == set(vector["members"])
    reply = ReportSignature.parse(_wire(vector["report_signature"]))
    assert reply.verify(COMMITTEE, EPOCH) in vector["members"]


def test_a_report_proves_its_leaves() -> None:
    vector = _load("report")
    Report.parse(_wire(vector["report"])).check_pins()
    Proofs.parse(_wire(vector["proofs"])).check(bytes.fromhex(vector["root"][2:]))


def test_a_placement_is_signed_by_leader_and_follower() -> None:
    vector = _load("placement")
    received = PlacementProposal.parse(_wire(vector["proposal"]))
    reply = PlacementSignature.parse(_wire(vector["placement_signature"]))
    assert received.verify(ESCROW) == MEMBERS[0]
    assert reply.verify(ESCROW, received) == MEMBERS[1]


def test_a_profile_stands_by_its_hash() -> None:
    vector = _load("profile")
    received = NodeProfile.parse(_wire(vector["profile"]["message"]))
    assert received.verify(COMMITTEE) == received.node
    assert to_hex(received.profile_hash) == vector["profile_hash"]


def test_boxes_open_with_the_node_key_for_their_payer_only() -> None:
    vector = _load("sealing")
    owner = Owner(vector["chain_id"], vector["escrow"], vector["payer"])
    key = bytes.fromhex(vector["private_key"][2:])
    for one in vector["boxes"]:
        values = open_box(key, bytes.fromhex(one["box"][2:]), owner)
        assert values == json.loads(one["content"])["values"]
    for one in vector["refused"]:
        with pytest.raises(SealingError):
            open_box(key, bytes.fromhex(one["box"][2:]), owner)


def test_requests_are_by_their_account() -> None:
    vector = _load("noderequest")
    for one in vector["requests"]:
        received = NodeRequest.parse(_wire(one["message"]))
        assert received.verify(COMMITTEE) == received.account
    assert LogReply.parse(_wire(vector["log_reply"])).cursor == "17:4110"
    assert InspectionReply.parse(_wire(vector["inspection_reply"])).ports[0].port == 8_080


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in BUILDERS:
        (FOLDER / f"{each.__name__}.json").write_text(_text(each), encoding="utf-8")
