# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Merkle
@custom:contract-name merkle
@notice Membership of a leaf in a sorted-pair tree, as built by OpenZeppelin's `StandardMerkleTree`
        over `(address escrow, uint256 jobId, uint256 licenseId, uint256 cumulativeUnits)`.
@custom:security Leaves are hashed twice, so no inner node can pass for a leaf.
"""


# @dev The longest proof: a tree of 2**32 leaves.
MAX_DEPTH: constant(uint256) = 32


@internal
@pure
def _leaf(escrow: address, job_id: uint256, license_id: uint256, units: uint256) -> bytes32:
    """
    @dev Returns the leaf of cumulative units.
    @param escrow The escrow that the leaf pays in.
    @param job_id The job.
    @param license_id The license, or 0 for the job's total.
    @param units The cumulative units.
    @return bytes32 The leaf.
    """
    return keccak256(abi_encode(keccak256(abi_encode(escrow, job_id, license_id, units))))


@internal
@pure
def _is_member(proof: DynArray[bytes32, MAX_DEPTH], root: bytes32, leaf: bytes32) -> bool:
    """
    @dev Walks from the leaf to the root. `abi_encode` of two words costs less than `concat`.
    @param proof The siblings, from the leaf upwards.
    @param root The root of the tree; zero stands for a tree without leaves.
    @param leaf The leaf.
    @return bool Whether the leaf belongs to the tree.
    """
    node: bytes32 = leaf
    for sibling: bytes32 in proof:
        if convert(node, uint256) < convert(sibling, uint256):
            node = keccak256(abi_encode(node, sibling))
        else:
            node = keccak256(abi_encode(sibling, node))
    return node == root
