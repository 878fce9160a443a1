"""The messages between processes, as `docs/protocol.md` describes them.

All are immutable. `parse` reads a body from the wire, `to_json` writes one; `sign` and `signer_of`
work on every `SignedMessage`. Conditions that need the chain are the receiver's to check.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from workdeed.protocol.eip712 import (
    Domain,
    observation_digest,
    placement_digest,
    report_digest,
)
from workdeed.protocol.errors import EncodingError, MerkleError, ReportError, SignatureError
from workdeed.protocol.fields import (
    Address,
    Base64,
    Flag,
    Hash,
    InstanceId,
    Positive,
    PublicKey,
    Signature,
    Uint,
)
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair, figures_hash, pairs_hash
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import (
    MAX_DISPATCH_BYTES,
    MAX_LEAVES,
    MAX_MEMBERS,
    MAX_OBSERVATIONS,
    MAX_PAIRS,
    MAX_PEER_BYTES,
    MAX_PLACEMENT,
    MAX_PROOF,
    MAX_PROOFS_BYTES,
    MAX_PROVEN,
    MAX_RUNNERS,
    MAX_SERVICES,
    MAX_SKIPPED,
    MAX_SMALL_BYTES,
    MAX_SPEC_BYTES,
    MAX_STATUS_BYTES,
    MAX_TAGS,
    MAX_TEXT,
    MAX_WINDOWS,
    MAX_WORKLOADS,
)
from workdeed.protocol.merkle import EMPTY_ROOT, MerkleTree, leaf_hash, verify
from workdeed.protocol.report import LEAF_BYTES, ReportHeader, data_hash
from workdeed.protocol.signing import address_of_public_key, recover
from workdeed.protocol.wire import (
    Body,
    EnvelopeMessage,
    Message,
    SignedMessage,
    sign,
    signer_of,
)

__all__ = [
    "Answer",
    "Body",
    "Dispatch",
    "DispatchReply",
    "EnvelopeMessage",
    "ErrorBody",
    "Message",
    "NodeProfile",
    "ObservationRequest",
    "Observations",
    "PlacementProposal",
    "PlacementSignature",
    "Probe",
    "Proofs",
    "Proposal",
    "ProvenLeaf",
    "Report",
    "ReportSignature",
    "Resources",
    "ServiceStatus",
    "Signatures",
    "SignedMessage",
    "SignedObservation",
    "State",
    "Status",
    "Workload",
    "WorkloadStatus",
    "evidence_root",
    "sign",
    "signer_of",
]

State = Literal[
    "pending", "starting", "running", "unhealthy", "stopping", "stopped", "failed", "lost"
]
Port = Annotated[int, Field(strict=True, ge=1, le=65_535)]
Commit = Annotated[str, Field(strict=True, pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})?$")]
Tag = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9][a-z0-9._:/=-]{0,63}$")]
Text = Annotated[str, StringConstraints(strict=True, max_length=MAX_TEXT)]
Figure = Annotated[int, Field(strict=True, ge=0, le=UNKNOWN)]
LeavesData = Annotated[Base64, Field(max_length=MAX_LEAVES * LEAF_BYTES)]
Licenses = Annotated[tuple[Positive, ...], Field(max_length=MAX_PLACEMENT)]


class ErrorBody(Body):
    """What every error status carries: one sentence, and the field at fault if there is one."""

    error: Text
    field: Text = ""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return the body that tells `error`, cut to length, with its `field` if it has one."""
        return cls(error=str(error)[:MAX_TEXT], field=str(getattr(error, "field", ""))[:MAX_TEXT])


# --- Node agent ---------------------------------------------------------------------------------


class Probe(Message):
    """An oracle's question to a node, what it runs.

    `block_hash` is a block at confirmation depth. The node signs an answer without judging it.
    """

    MAX_BYTES: ClassVar[int] = MAX_SMALL_BYTES

    schema_: Literal["workdeed/probe@1"] = Field(default="workdeed/probe@1", alias="schema")
    nonce: Hash
    window: Positive
    block_hash: Hash


class Workload(Body):
    """One revision of a job that a node holds.

    Attributes:
        commit: git commit or image digest that runs, in hex; empty before it is known.
        healthy: the workload's own health answer, as the node last saw it.
        port: where the workload listens on the node's address, None without a port.

    """

    escrow: Address
    job_id: Uint
    revision: Uint
    spec_hash: Hash
    commit: Commit
    state: State
    healthy: Flag
    port: Port | None

    @property
    def key(self) -> tuple[str, int, int]:
        """What workloads are sorted by."""
        return self.escrow.lower(), self.job_id, self.revision


class Answer(EnvelopeMessage):
    """A node's signed answer to one probe.

    Attributes:
        node: the node key's address, which signs.
        instance_id: 16 random bytes of the running agent, kept in its state directory.
        workloads: strictly ascending by (escrow, job, revision).

    """

    schema_: Literal["workdeed/answer@1"] = Field(default="workdeed/answer@1", alias="schema")
    chain_id: Positive
    license_id: Positive
    node: Address
    nonce: Hash
    window: Positive
    instance_id: InstanceId
    workloads: Annotated[tuple[Workload, ...], Field(max_length=MAX_WORKLOADS)]

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        if any(a >= b for a, b in pairwise(work.key for work in self.workloads)):
            raise ValueError("workloads must ascend strictly by (escrow, job, revision)")
        return self

    @property
    def signer(self) -> str:
        """The node."""
        return self.node

    def answers(self, probe: Probe) -> bool:
        """Tell whether this is the answer to `probe` and no other."""
        return self.nonce == probe.nonce and self.window == probe.window


class Dispatch(Message):
    """The bytes of a job's spec. Unsigned: the node asks the chain whether it may run them."""

    MAX_BYTES: ClassVar[int] = MAX_DISPATCH_BYTES

    schema_: Literal["workdeed/dispatch@1"] = Field(default="workdeed/dispatch@1", alias="schema")
    escrow: Address
    job_id: Uint
    revision: Uint
    spec: Annotated[Base64, Field(max_length=MAX_SPEC_BYTES)]

    @property
    def spec_hash(self) -> bytes:
        """The keccak of the spec's bytes, which must stand on chain for this job and revision."""
        return keccak(self.spec)


class DispatchReply(Body):
    """The state of the workload right after an accepted dispatch."""

    MAX_BYTES: ClassVar[int] = MAX_SMALL_BYTES

    state: State


class ServiceStatus(Body):
    """One service of a workload.

    Attributes:
        cause: why it last ended or was ended, one of `CAUSES`, "" while it never did.
        version: git commit or image digest that runs, in hex; empty before it is known.
        restarts: how often it was started again by itself.

    """

    name: Text
    state: State
    reason: Text = ""
    cause: Text = ""
    version: Commit = ""
    pid: Positive | None
    port: Port | None
    restarts: Uint = 0


class WorkloadStatus(Body):
    """One revision of a job as its node sees it.

    Attributes:
        state: of the service that is worst off.
        reason: why it is in `state`, empty if by plan.
        pid: of the main service.
        port: where the main service listens.
        ready: whether it is built, and only waits for its turn to replace the one before it.
        draining: whether it serves on but is to end soon: callers should go elsewhere.
        well_ms: for how long all of its services have been well, 0 if they are not.
        failed: why this revision was given up on this node, "" if it was not.
        services: the main one first.

    """

    escrow: Address
    job_id: Uint
    revision: Uint
    state: State
    reason: Text = ""
    pid: Positive | None
    port: Port | None
    ready: Flag = False
    draining: Flag = False
    well_ms: Uint = 0
    failed: Text = ""
    services: Annotated[tuple[ServiceStatus, ...], Field(max_length=MAX_SERVICES)] = ()


class Status(Message):
    """All workloads of a node, for its operator; unsigned."""

    MAX_BYTES: ClassVar[int] = MAX_STATUS_BYTES

    schema_: Literal["workdeed/status@1"] = Field(default="workdeed/status@1", alias="schema")
    license_id: Positive
    node: Address
    workloads: Annotated[tuple[WorkloadStatus, ...], Field(max_length=MAX_WORKLOADS)]


class Resources(Body):
    """What a node offers to workloads: thousandths of a core, and MB (10^6 bytes)."""

    cpu_milli: Uint
    memory_mb: Uint
    storage_mb: Uint


class NodeProfile(EnvelopeMessage):
    """What a node offers; the keccak of its canonical JSON is the license's `profile_hash`.

    One that offers nothing at all says that the node takes no new work and wants to be replaced.

    Attributes:
        tags, runners: strictly ascending text.
        public_key: the node key's compressed point, to which secrets are sealed.

    """

    schema_: Literal["workdeed/profile@1"] = Field(default="workdeed/profile@1", alias="schema")
    chain_id: Positive
    license_id: Positive
    node: Address
    resources: Resources
    tags: Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)]
    runners: Annotated[tuple[Tag, ...], Field(max_length=MAX_RUNNERS)]
    public_key: PublicKey

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, texts in (("tags", self.tags), ("runners", self.runners)):
            if any(a >= b for a, b in pairwise(texts)):
                raise ValueError(f"{name} must ascend strictly")
        if address_of_public_key(self.public_key) != self.node:
            raise ValueError("public_key must be the key of node")
        return self

    @property
    def signer(self) -> str:
        """The node."""
        return self.node

    @property
    def profile_hash(self) -> bytes:
        """The keccak of the signed profile, as it stands on chain."""
        return keccak(self.canonical())

    @property
    def draining(self) -> bool:
        """Whether the node takes no new work, and leaves what it has once others take it."""
        offer = self.resources
        return not (offer.cpu_milli or offer.memory_mb or offer.storage_mb)


class ProvenLeaf(Body):
    """A leaf of a report with its proof, from the leaf up to the root."""

    escrow: Address
    job_id: Uint
    license_id: Uint
    units: Uint
    proof: Annotated[tuple[Hash, ...], Field(max_length=MAX_PROOF)]


class Proofs(Message):
    """Leaves of one final report with their proofs.

    A node answers with its own, an oracle with those of one (job, license), one for each escrow.
    """

    MAX_BYTES: ClassVar[int] = MAX_PROOFS_BYTES

    schema_: Literal["workdeed/proofs@1"] = Field(default="workdeed/proofs@1", alias="schema")
    window: Positive
    root: Hash
    leaves: Annotated[tuple[ProvenLeaf, ...], Field(max_length=MAX_PROVEN)]

    def check(self, root: bytes) -> None:
        """Raise `MerkleError` unless every leaf is proven against `root`, the report's on chain."""
        for leaf in self.leaves:
            node = leaf_hash(leaf.escrow, leaf.job_id, leaf.license_id, leaf.units)
            if not verify(root, node, leaf.proof):
                raise MerkleError(
                    f"leaves: job {leaf.job_id}, license {leaf.license_id} is not in this report"
                )


# --- Signing round ------------------------------------------------------------------------------


class ObservationRequest(EnvelopeMessage):
    """A leader's request for one member's observations.

    Attributes:
        window, turn: the round that the leader leads.
        windows: those to be observed, strictly ascending, `window` the last.
        member: the leader, who signs.
        recipient: the member asked, so that no other can use the request to copy its figures.

    """

    MAX_BYTES: ClassVar[int] = MAX_SMALL_BYTES

    schema_: Literal["workdeed/observation-request@1"] = Field(
        default="workdeed/observation-request@1", alias="schema"
    )
    window: Positive
    turn: Uint
    windows: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MAX_WINDOWS)]
    member: Address
    recipient: Address

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(a >= b for a, b in pairwise(self.windows)) or self.windows[-1] != self.window:
            raise ValueError("windows must ascend strictly and end with window")
        return self

    @property
    def signer(self) -> str:
        """The leader."""
        return self.member


class SignedObservation(SignedMessage):
    """What one member measured in one window, signed as `Observation` in the committee's domain.

    Attributes:
        snapshot_hash: the last block before the window's start, which gives the pairs.
        evidence_root: `evidence_root` of the answers counted as ok.
        pairs: strictly ascending.
        figures: one a pair, 0..10,000 or 65,535 (unknown).

    """

    MAX_BYTES: ClassVar[int] = MAX_PEER_BYTES

    schema_: Literal["workdeed/observation@1"] = Field(
        default="workdeed/observation@1", alias="schema"
    )
    window: Positive
    committee_epoch: Uint
    snapshot_hash: Hash
    evidence_root: Hash
    pairs: Annotated[tuple[Pair, ...], Field(max_length=MAX_PAIRS)]
    figures: Annotated[tuple[Figure, ...], Field(max_length=MAX_PAIRS)]
    member: Address

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.pairs) != len(self.figures):
            raise ValueError("figures must be as many as pairs")
        if any(a >= b for a, b in pairwise(pair.key for pair in self.pairs)):
            raise ValueError("pairs must ascend strictly by (escrow, job, license)")
        if any(UNIT < figure < UNKNOWN for figure in self.figures):
            raise ValueError(f"figures must lie in 0..{UNIT} or be {UNKNOWN}")
        if self.evidence_root == EMPTY_ROOT and any(0 < f <= UNIT for f in self.figures):
            raise ValueError("evidence_root must not be empty under a figure above 0")
        return self

    @property
    def signer(self) -> str:
        """The member."""
        return self.member

    def digest(self, domain: Domain) -> bytes:
        """Return the `Observation` digest, hashing pairs and figures anew."""
        return observation_digest(
            domain,
            self.window,
            self.committee_epoch,
            self.snapshot_hash,
            pairs_hash(self.pairs),
            figures_hash(self.figures),
            self.evidence_root,
        )


ObservationSet = Annotated[tuple[SignedObservation, ...], Field(max_length=MAX_OBSERVATIONS)]


class Observations(Message):
    """A member's observations for a leader, or after the round those of anyone for everyone."""

    MAX_BYTES: ClassVar[int] = MAX_PEER_BYTES

    schema_: Literal["workdeed/observations@1"] = Field(
        default="workdeed/observations@1", alias="schema"
    )
    observations: ObservationSet


class Proposal(EnvelopeMessage):
    """A leader's report with the observations that it follows from.

    The signature leaves out `leaves` and `observations`, which the header pins by hash: a member
    can tell a leader's proposal before it works through the rest, and then calls `check_pins`.

    Attributes:
        leaves: `leaves.bin`.
        observations: strictly ascending by (window, member): one a member and window.
        member: the leader, who signs.

    """

    MAX_BYTES: ClassVar[int] = MAX_PEER_BYTES
    UNSIGNED: ClassVar[frozenset[str]] = frozenset({"signature", "leaves", "observations"})

    schema_: Literal["workdeed/proposal@1"] = Field(default="workdeed/proposal@1", alias="schema")
    header: ReportHeader
    leaves: LeavesData
    observations: ObservationSet
    member: Address

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        keys = ((one.window, one.member.lower()) for one in self.observations)
        if any(a >= b for a, b in pairwise(keys)):
            raise ValueError("observations must ascend strictly by (window, member)")
        return self

    @property
    def signer(self) -> str:
        """The leader."""
        return self.member

    def check_pins(self, domain: Domain) -> None:
        """Raise `ReportError` unless the header pins these leaves and observations, in order."""
        if keccak(self.leaves) != self.header.leaves_hash:
            raise ReportError("leaves: the header's leaves_hash is that of others")
        digests = tuple(one.digest(domain) for one in self.observations)
        if digests != self.header.observations:
            raise ReportError("observations: the header lists the digests of others")


class ReportSignature(Message):
    """One member's signature of a report; its committee epoch is that of the moment."""

    MAX_BYTES: ClassVar[int] = MAX_SMALL_BYTES

    schema_: Literal["workdeed/report-signature@1"] = Field(
        default="workdeed/report-signature@1", alias="schema"
    )
    window: Positive
    turn: Uint
    root: Hash
    data_hash: Hash
    member: Address
    signature: Signature

    def digest(self, domain: Domain, committee_epoch: int) -> bytes:
        """Return the `Report` digest."""
        return report_digest(
            domain, self.window, self.turn, self.root, self.data_hash, committee_epoch
        )

    def verify(self, domain: Domain, committee_epoch: int) -> str:
        """Return the member's address; raises `SignatureError` if another or nobody signed."""
        digest = self.digest(domain, committee_epoch)
        return _expect(recover(digest, self.signature), self.member)


class Signatures(Message):
    """All that a member needs to submit a report: what it already holds, and who signed.

    Attributes:
        signatures: in strictly ascending order of their signers, as the contract wants them.

    """

    MAX_BYTES: ClassVar[int] = MAX_PEER_BYTES

    schema_: Literal["workdeed/signatures@1"] = Field(
        default="workdeed/signatures@1", alias="schema"
    )
    header: ReportHeader
    root: Hash
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=MAX_MEMBERS)]

    def signers(self, domain: Domain, committee_epoch: int) -> tuple[str, ...]:
        """Return who signed the report; raises `SignatureError` unless they ascend strictly."""
        head = self.header
        digest = report_digest(
            domain, head.window, head.turn, self.root, data_hash(head), committee_epoch
        )
        found = tuple(recover(digest, signature) for signature in self.signatures)
        if any(a >= b for a, b in pairwise(signer.lower() for signer in found)):
            raise SignatureError("signatures: their signers must ascend strictly")
        return found

    def packed(self) -> bytes:
        """Return the signatures as the contract takes them: 65 bytes each, joined."""
        return b"".join(self.signatures)


class Report(Message):
    """The data of a report, for anyone who checks it or builds on it."""

    MAX_BYTES: ClassVar[int] = MAX_PEER_BYTES

    schema_: Literal["workdeed/report@1"] = Field(default="workdeed/report@1", alias="schema")
    header: ReportHeader
    leaves: LeavesData

    def check_pins(self) -> None:
        """Raise `ReportError` unless the header pins these leaves."""
        if keccak(self.leaves) != self.header.leaves_hash:
            raise ReportError("leaves: the header's leaves_hash is that of others")


# --- Placement ----------------------------------------------------------------------------------


class PlacementProposal(SignedMessage):
    """A leader's choice of licenses for one job, signed as `Placement` in the escrow's domain.

    The signature is at the same time the leader's share of the quorum. It does not cover
    `block_hash` and `skipped`: followers recompute the choice from them, so false ones only make
    the proposal fail.

    Attributes:
        round: the job's placement round.
        window: the only window in which the placement counts; it takes effect in the next.
        release, assign: licenses, in the order in which the contract gets them.
        block_hash: the snapshot at which the choice is computed.
        skipped: eligible licenses that the leader could not reach, strictly ascending.
        member: the leader, who signs.

    """

    schema_: Literal["workdeed/placement@1"] = Field(default="workdeed/placement@1", alias="schema")
    escrow: Address
    job_id: Uint
    round: Uint
    window: Positive
    revision: Uint
    release: Licenses
    assign: Licenses
    committee_epoch: Uint
    block_hash: Hash
    skipped: Annotated[tuple[Positive, ...], Field(max_length=MAX_SKIPPED)]
    member: Address

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, licenses in (("release", self.release), ("assign", self.assign)):
            if len(set(licenses)) != len(licenses):
                raise ValueError(f"{name} must not name a license twice")
        if any(a >= b for a, b in pairwise(self.skipped)):
            raise ValueError("skipped must ascend strictly")
        if not self.release and not self.assign:
            raise ValueError("release and assign must not both be empty")
        return self

    @property
    def signer(self) -> str:
        """The leader."""
        return self.member

    def digest(self, domain: Domain) -> bytes:
        """Return the `Placement` digest; raises `EncodingError` in another escrow's domain."""
        if domain.contract != self.escrow:
            raise EncodingError(f"domain: the job is in the escrow {self.escrow}; use its domain")
        return placement_digest(
            domain,
            self.job_id,
            self.round,
            self.window,
            self.revision,
            self.release,
            self.assign,
            self.committee_epoch,
        )


class PlacementSignature(Message):
    """One member's signature of a placement that it was sent."""

    MAX_BYTES: ClassVar[int] = MAX_SMALL_BYTES

    schema_: Literal["workdeed/placement-signature@1"] = Field(
        default="workdeed/placement-signature@1", alias="schema"
    )
    escrow: Address
    job_id: Uint
    round: Uint
    window: Positive
    member: Address
    signature: Signature

    def verify(self, domain: Domain, proposal: PlacementProposal) -> str:
        """Return the member's address; raises `SignatureError` unless it signed `proposal`."""
        return _expect(recover(proposal.digest(domain), self.signature), self.member)


def evidence_root(answers: Iterable[Answer]) -> bytes:
    """Return the root over the answers that a member counted as ok, `EMPTY_ROOT` without any.

    A leaf is the keccak of an answer's canonical JSON, signature included; the tree is that of
    `merkle`. Raises `MerkleError` if an answer comes twice.
    """
    return MerkleTree(keccak(answer.canonical()) for answer in answers).root


def _expect(found: str, named: str) -> str:
    if found != named:
        raise SignatureError(f"signature: it is by {found}, the message names {named}")
    return found
