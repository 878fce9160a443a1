"""EIP-712 digests of every typed message: what members and nodes sign and the contracts check.

Arrays hash as their concatenated 32-byte words, as EIP-712 rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from workdeed.protocol.errors import EncodingError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_bytes

LICENSE_DOMAIN = "NodeLicense"
COMMITTEE_DOMAIN = "OracleCommittee"
ESCROW_DOMAIN = "JobEscrow"
DESK_DOMAIN = "JobDesk"

DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
LINK_NODE_TYPE = (
    "LinkNode(uint256 licenseId,address node,address owner,uint256 nonce,uint256 deadline)"
)
PLACEMENT_TYPE = (
    "Placement(uint256 jobId,uint256 round,uint256 window,uint256 revision,"
    "uint256[] release,uint256[] assign,uint256 committeeEpoch)"
)
REPORT_TYPE = (
    "Report(uint256 window,uint256 turn,bytes32 root,bytes32 dataHash,uint256 committeeEpoch)"
)
RESULT_TYPE = "Result(uint256 jobId,bytes32 resultHash,uint256 committeeEpoch)"
OBSERVATION_TYPE = (
    "Observation(uint256 window,uint256 committeeEpoch,bytes32 snapshotHash,"
    "bytes32 pairsHash,bytes32 figuresHash,bytes32 evidenceRoot)"
)
ENVELOPE_TYPE = "Envelope(string schema,bytes32 contentHash)"

_DOMAIN, _LINK_NODE, _PLACEMENT, _REPORT, _RESULT, _OBSERVATION, _ENVELOPE = (
    keccak(text.encode())
    for text in (
        DOMAIN_TYPE,
        LINK_NODE_TYPE,
        PLACEMENT_TYPE,
        REPORT_TYPE,
        RESULT_TYPE,
        OBSERVATION_TYPE,
        ENVELOPE_TYPE,
    )
)


@dataclass(frozen=True)
class Domain:
    """Where a signature counts: one contract, on one chain.

    Attributes:
        name: the contract's name; each message type has one.
        chain_id: EIP-155 chain id.
        contract: address of the contract.
        version: always "1".

    """

    name: str
    chain_id: int
    contract: str
    version: str = "1"

    @cached_property
    def separator(self) -> bytes:
        """The 32-byte domain separator; raises on a bad address or chain id."""
        return keccak(
            _DOMAIN
            + keccak(self.name.encode())
            + keccak(self.version.encode())
            + _uint(self.chain_id, "chain_id")
            + _address(self.contract)
        )


def link_node_digest(
    domain: Domain, license_id: int, node: str, owner: str, nonce: int, deadline: int
) -> bytes:
    """Return what a node key signs to belong to `owner`'s license until `deadline` (timestamp)."""
    words = (
        _uint(license_id, "license_id"),
        _address(node),
        _address(owner),
        _uint(nonce, "nonce"),
        _uint(deadline, "deadline"),
    )
    return _digest(domain, LICENSE_DOMAIN, _LINK_NODE, *words)


def placement_digest(
    domain: Domain,
    job_id: int,
    round: int,  # noqa: A002 - its name in the signed type
    window: int,
    revision: int,
    release: Sequence[int],
    assign: Sequence[int],
    committee_epoch: int,
) -> bytes:
    """Return what members sign to release and assign licenses of a job in one window and round."""
    words = (
        _uint(job_id, "job_id"),
        _uint(round, "round"),
        _uint(window, "window"),
        _uint(revision, "revision"),
        _uints(release, "release"),
        _uints(assign, "assign"),
        _uint(committee_epoch, "committee_epoch"),
    )
    return _digest(domain, ESCROW_DOMAIN, _PLACEMENT, *words)


def report_digest(
    domain: Domain, window: int, turn: int, root: bytes, data_hash: bytes, committee_epoch: int
) -> bytes:
    """Return what members sign to settle everything up to and including `window`."""
    words = (
        _uint(window, "window"),
        _uint(turn, "turn"),
        _bytes32(root, "root"),
        _bytes32(data_hash, "data_hash"),
        _uint(committee_epoch, "committee_epoch"),
    )
    return _digest(domain, COMMITTEE_DOMAIN, _REPORT, *words)


def result_digest(domain: Domain, job_id: int, result_hash: bytes, committee_epoch: int) -> bytes:
    """Return what members sign to complete a batch job."""
    words = (
        _uint(job_id, "job_id"),
        _bytes32(result_hash, "result_hash"),
        _uint(committee_epoch, "committee_epoch"),
    )
    return _digest(domain, DESK_DOMAIN, _RESULT, *words)


def observation_digest(
    domain: Domain,
    window: int,
    committee_epoch: int,
    snapshot_hash: bytes,
    pairs_hash: bytes,
    figures_hash: bytes,
    evidence_root: bytes,
) -> bytes:
    """Return what one member signs about what it measured in `window`."""
    words = (
        _uint(window, "window"),
        _uint(committee_epoch, "committee_epoch"),
        _bytes32(snapshot_hash, "snapshot_hash"),
        _bytes32(pairs_hash, "pairs_hash"),
        _bytes32(figures_hash, "figures_hash"),
        _bytes32(evidence_root, "evidence_root"),
    )
    return _digest(domain, COMMITTEE_DOMAIN, _OBSERVATION, *words)


def envelope_digest(domain: Domain, schema: str, content_hash: bytes) -> bytes:
    """Return what is signed of a message that has no type of its own.

    `schema` names the message, `content_hash` is the keccak of its canonical JSON without the
    key "signature".
    """
    words = (keccak(schema.encode()), _bytes32(content_hash, "content_hash"))
    return _digest(domain, COMMITTEE_DOMAIN, _ENVELOPE, *words)


def _digest(domain: Domain, name: str, type_hash: bytes, *words: bytes) -> bytes:
    # A digest in the wrong contract's domain verifies nowhere: better told here than by a revert.
    if domain.name != name:
        raise EncodingError(f"domain: this message is signed in {name}, not in {domain.name}")
    return keccak(b"\x19\x01" + domain.separator + keccak(type_hash + b"".join(words)))


def _uint(value: int, field: str) -> bytes:
    if not 0 <= value < 2**256:
        raise EncodingError(f"{field}: {value} does not fit a uint256")
    return value.to_bytes(32, "big")


def _uints(values: Sequence[int], field: str) -> bytes:
    return keccak(b"".join(_uint(value, field) for value in values))


def _address(value: str) -> bytes:
    return bytes(12) + address_bytes(value)


def _bytes32(value: bytes, field: str) -> bytes:
    if len(value) != 32:
        raise EncodingError(f"{field}: it has {len(value)} bytes, and must have 32")
    return value
