"""What is asked of keepers and nodes, and that nobody has to be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.fields import to_hex
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_BODY
from workdeed.protocol.merkle import EMPTY_ROOT, MerkleTree, leaf_hash
from workdeed.protocol.messages import Proofs, ProvenLeaf, Report
from workdeed.protocol.report import Leaf, ReportHeader, encode_leaves
from workdeed.protocol.signing import to_checksum
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError, NoProofError, SdkError
from workdeed.sdk.keepers import fetch_report, get_profile, get_spec, prove_leaf, put_spec

ESCROW = to_checksum(b"\xee" * 20)
LEAVES = [Leaf(ESCROW, 1, 0, 12), Leaf(ESCROW, 1, 1, 5), Leaf(ESCROW, 1, 2, 7)]
TREE = MerkleTree(leaf_hash(*leaf) for leaf in LEAVES)
SPEC = canonical_bytes({"name": "one"})
PATH = f"/specs/{to_hex(keccak(SPEC))}"


@dataclass
class FakeEndpoints(Endpoints):
    """Answers by address and path; whatever has no answer is down."""

    answers: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(allow_private=True)

    async def get(self, base: str, path: str, max_bytes: int = MAX_BODY) -> bytes:
        if base + path not in self.answers:
            raise EndpointError(f"{base}: connection refused")
        return self.answers[base + path]

    async def send(
        self, method: str, base: str, path: str, body: bytes, max_bytes: int = MAX_BODY
    ) -> bytes:
        answer = await self.get(base, path)
        self.sent[f"{method} {base}{path}"] = body
        return answer


def proofs(leaf: Leaf) -> bytes:
    proven = ProvenLeaf(
        escrow=leaf.escrow,
        job_id=leaf.job_id,
        license_id=leaf.license_id,
        units=leaf.units,
        proof=tuple(TREE.proof(leaf_hash(*leaf))),
    )
    return Proofs(window=4, root=TREE.root, leaves=(proven,)).to_json()


def report(leaves: list[Leaf]) -> bytes:
    data = encode_leaves(leaves)
    header = ReportHeader(
        window=4,
        turn=0,
        base_window=0,
        base_root=EMPTY_ROOT,
        snapshot_hash=bytes(32),
        observations=(),
        open=(),
        leaves_hash=keccak(data),
    )
    return Report(header=header, leaves=data).to_json()


async def test_a_spec_goes_to_every_keeper_and_one_is_enough() -> None:
    endpoints = FakeEndpoints({f"http://two{PATH}": b""})
    assert await put_spec(endpoints, ["http://one", "http://two"], SPEC) == ["http://two"]
    assert endpoints.sent == {f"PUT http://two{PATH}": SPEC}
    with pytest.raises(SdkError, match=r"none took the spec \(http://one: connection refused\)"):
        await put_spec(endpoints, ["http://one"], SPEC)
    with pytest.raises(SdkError, match="none is known"):
        await put_spec(endpoints, [], SPEC)


async def test_a_spec_is_taken_by_its_hash_only() -> None:
    endpoints = FakeEndpoints({f"http://one{PATH}": b"{}", f"http://two{PATH}": SPEC})
    found = await get_spec(endpoints, ["http://down", "http://one", "http://two"], keccak(SPEC))
    assert found == SPEC
    with pytest.raises(EndpointError, match="sent another spec"):
        await get_spec(endpoints, ["http://one"], keccak(SPEC))


async def test_a_leaf_is_taken_with_a_proof_of_it_only() -> None:
    path = "/reports/4/proofs/1/1"
    other = LEAVES[1]._replace(units=50)
    forged = proofs(LEAVES[1]).replace(b'"units":5', b'"units":50')
    assert forged != proofs(LEAVES[1])
    endpoints = FakeEndpoints(
        {
            f"http://forged{path}": forged,
            f"http://another{path}": proofs(LEAVES[2]),
            f"http://garbage{path}": b"[",
            f"http://good{path}": proofs(LEAVES[1]),
        }
    )
    bad = ["http://down", "http://forged", "http://another", "http://garbage"]
    leaf = await prove_leaf(endpoints, [*bad, "http://good"], 4, TREE.root, (ESCROW, 1, 1))
    assert (leaf.units, other.units) == (5, 50)
    for one in bad:
        with pytest.raises(NoProofError, match="license 1 in job 1: no keeper proves"):
            await prove_leaf(endpoints, [one], 4, TREE.root, (ESCROW, 1, 1))


async def test_a_report_is_taken_if_its_leaves_make_the_root() -> None:
    endpoints = FakeEndpoints(
        {
            "http://forged/reports/4": report(LEAVES[:2]),
            "http://good/reports/4": report(LEAVES),
        }
    )
    _, leaves = await fetch_report(endpoints, ["http://forged", "http://good"], 4, TREE.root)
    assert leaves == LEAVES
    with pytest.raises(NoProofError, match="report of window 4"):
        await fetch_report(endpoints, ["http://forged"], 4, TREE.root)


async def test_a_malformed_profile_is_told() -> None:
    with pytest.raises(EndpointError, match="its profile is malformed"):
        await get_profile(FakeEndpoints({"http://node/profile": b"{}"}), "http://node")
