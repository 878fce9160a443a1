"""What keepers and nodes are asked for: to hold a spec, to prove a leaf, to show a profile."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from workdeed.chain.rpc import origin_of
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.fields import to_hex
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_PEER_BYTES, MAX_PROOFS_BYTES, MAX_SPEC_BYTES
from workdeed.protocol.messages import NodeProfile, Proofs, ProvenLeaf, Report
from workdeed.protocol.report import Leaf, decode_leaves, report_tree
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError, NoProofError, SdkError

T = TypeVar("T")


async def put_spec(endpoints: Endpoints, keepers: Sequence[str], data: bytes) -> list[str]:
    """Hand the canonical bytes of a spec to every keeper; return those that took it.

    Raises:
        SdkError: if none did.

    """
    path = f"/specs/{to_hex(keccak(data))}"
    taken, troubles = [], []
    for keeper in keepers:
        try:
            await endpoints.send("PUT", keeper, path, data)
            taken.append(keeper)
        except EndpointError as error:
            troubles.append(str(error))
    if not taken:
        reason = troubles[0] if troubles else "none is known"
        raise SdkError(f"keepers: none took the spec ({reason}); name one that runs")
    return taken


async def get_spec(endpoints: Endpoints, keepers: Sequence[str], spec_hash: bytes) -> bytes:
    """Return the canonical bytes of a spec from the first keeper that has it.

    Raises:
        EndpointError: if none has.

    """

    async def fetch(keeper: str) -> bytes:
        data = await endpoints.get(keeper, f"/specs/{to_hex(spec_hash)}", MAX_SPEC_BYTES)
        if keccak(data) != spec_hash:
            raise EndpointError(f"{origin_of(keeper)}: it sent another spec")
        return data

    return await _first(keepers, fetch, f"spec {to_hex(spec_hash)}")


async def prove_leaf(
    endpoints: Endpoints,
    keepers: Sequence[str],
    window: int,
    root: bytes,
    key: tuple[str, int, int],
) -> ProvenLeaf:
    """Return the leaf of `key` (escrow, job, license) in the report with this root, with proof.

    The proof is checked, so it does not matter who answers.

    Raises:
        NoProofError: if no keeper has it.

    """
    escrow, job_id, license_id = key

    async def fetch(keeper: str) -> ProvenLeaf:
        path = f"/reports/{window}/proofs/{job_id}/{license_id}"
        proofs = Proofs.parse(await endpoints.get(keeper, path, MAX_PROOFS_BYTES))
        proofs.check(root)
        for leaf in proofs.leaves:
            if (leaf.escrow, leaf.job_id, leaf.license_id) == key:
                return leaf
        raise EndpointError(f"{origin_of(keeper)}: its answer lacks the leaf")

    name = f"job {job_id}" if license_id == 0 else f"license {license_id} in job {job_id}"
    try:
        return await _first(keepers, fetch, f"{escrow} {name}")
    except EndpointError as error:
        raise NoProofError(
            f"{name}: no keeper proves a leaf in the final report of window {window} ({error})"
        ) from error


async def fetch_report(
    endpoints: Endpoints, keepers: Sequence[str], window: int, root: bytes
) -> tuple[Report, list[Leaf]]:
    """Return a report with its leaves, which are those behind `root`; the header is not checked.

    Raises:
        NoProofError: if no keeper has it.

    """

    async def fetch(keeper: str) -> tuple[Report, list[Leaf]]:
        report = Report.parse(await endpoints.get(keeper, f"/reports/{window}", MAX_PEER_BYTES))
        leaves = decode_leaves(report.leaves)
        if report_tree(leaves).root != root:
            raise EndpointError(f"{origin_of(keeper)}: its leaves are not those of the chain")
        return report, leaves

    try:
        return await _first(keepers, fetch, f"report {window}")
    except EndpointError as error:
        raise NoProofError(f"report of window {window}: no keeper has it ({error})") from error


async def get_profile(endpoints: Endpoints, node: str, *, draining: bool = False) -> NodeProfile:
    """Return the profile that the node at the address `node` serves; its signature is not checked.

    Args:
        endpoints: the HTTP client.
        node: where the node answers.
        draining: ask for the one with which it takes no new work.

    Raises:
        EndpointError: if it does not answer with one.

    """
    data = await endpoints.get(node, "/profile/draining" if draining else "/profile")
    try:
        return NodeProfile.parse(data)
    except ProtocolError as error:
        raise EndpointError(f"{origin_of(node)}: its profile is malformed ({error})") from error


async def _first(keepers: Sequence[str], fetch: Callable[[str], Awaitable[T]], wanted: str) -> T:
    """Return the first good answer; raises `EndpointError` with the first trouble."""
    troubles = []
    for keeper in keepers:
        try:
            return await fetch(keeper)
        except (EndpointError, ProtocolError) as error:
            troubles.append(str(error))
    raise EndpointError(troubles[0] if troubles else f"{wanted}: no keeper is known; name one")
