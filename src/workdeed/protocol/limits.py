"""How long lists and how large bodies may be, and how long a caller waits.

A receiver stops reading at the limit.

The largest message that a model accepts fits its body; only sets of observations may have to stay
below the product of their list limits to fit `MAX_PEER_BYTES`.
"""

KIB = 1024
MIB = 1024 * KIB

MAX_ENDPOINT = 128
"""Bytes of a license's endpoint on chain."""

MAX_MEMBERS = 32
"""Seats of the committee, as in the contract."""

MAX_WORKLOADS = 192
"""Workloads of one node; their answer then fits the 64 KiB read from an address of the chain."""

MAX_PAIRS = 131_072
"""Pairs (job, license) of one window."""

MAX_LEAVES = 1_048_576
"""Leaves of one report."""

MAX_WINDOWS = 64
"""Windows that one report may settle; anything older is past its time to be settled."""

MAX_OBSERVATIONS = MAX_MEMBERS * MAX_WINDOWS
"""Observations of one proposal."""

MAX_PLACEMENT = 32
"""Licenses that one placement releases, and that it assigns, as in the contract."""

MAX_SKIPPED = 1024
"""Licenses that a placement proposal lists as unreachable."""

MAX_PROOF = 32
"""Hashes of one Merkle proof, as in the contract."""

MAX_PROVEN = 1024
"""Leaves with proofs in one body."""

MAX_ANSWERS = 64
"""Answers of a node in one body of evidence."""

MAX_TAGS = 64
"""Tags of a node profile."""

MAX_RUNNERS = 32
"""Runners of a node profile."""

MAX_SERVICES = 9
"""Services of one job: the main one and its siblings."""

MAX_REPLICAS = 1024
"""Replicas of a job in one list of them."""

MAX_TEXT = 1024
"""Characters of a reason or an error."""

MAX_SMALL_BYTES = 4 * KIB
"""Body of a probe, a request for observations, a lone signature."""

MAX_BODY = 64 * KIB
"""Body of anything that has no limit of its own, read from an address of the chain."""

MAX_SPEC_BYTES = 256 * KIB
"""Canonical bytes of a spec."""

MAX_DISPATCH_BYTES = 384 * KIB
"""Body of a dispatch: a spec in base64 and its names."""

MAX_STATUS_BYTES = 2 * MIB
"""Body of a node's status."""

MAX_REPLICAS_BYTES = 8 * MIB
"""Body of a list of replicas."""

MAX_PROOFS_BYTES = 4 * MIB
"""Body of leaves with their proofs."""

MAX_EVIDENCE_BYTES = 8 * MIB
"""Body of answers with their proofs."""

MAX_PEER_BYTES = 128 * MIB
"""Body between members: observations, proposals, reports."""

REQUEST_SECONDS = 10
"""How long an oracle waits for leaves with their proofs."""

TRANSFER_SECONDS = 60
"""How long an oracle waits for the data of a report."""
