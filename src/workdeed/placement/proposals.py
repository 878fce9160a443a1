"""Tells whether a leader's proposal is the placement that follows from the chain."""

from collections.abc import Callable, Collection

from workdeed.chain.books import JobState
from workdeed.placement.choose import choose
from workdeed.placement.errors import PlacementRefusedError
from workdeed.placement.rules import ELIGIBLE, View, obstacle
from workdeed.protocol.messages import PlacementProposal


def relevant_skips(view: View, job_id: int, skipped: Collection[int]) -> tuple[int, ...]:
    """Return those of the skipped licenses that could have been chosen, ascending.

    Skipping one that may not be placed anyway changes nothing and counts for nothing.

    Raises:
        PlacementError: if there is no such job.

    """
    known = view.books.licenses
    return tuple(
        one for one in sorted(skipped) if one in known and obstacle(view, job_id, one) == ELIGIBLE
    )


def check_proposal(
    view: View,
    proposal: PlacementProposal,
    *,
    faults: int,
    unreachable: Callable[[int], bool],
) -> None:
    """Return if the proposal is what `choose` makes of the same block with the same skips.

    Leader, turn, committee epoch and signature are the caller's to check.

    Args:
        view: read at the block that the proposal names, for the window that the clock gives.
        proposal: the leader's.
        faults: how many members may be faulty: so many skips are taken on trust.
        unreachable: tells whether this member can't reach the node of a license either. It is
            asked only where there are more skips than that.

    Raises:
        PlacementRefusedError: naming the field at fault.
        PlacementError: if there is no such job.

    """
    _check_frame(view, view.job(proposal.job_id), proposal)
    skips = relevant_skips(view, proposal.job_id, proposal.skipped)
    if len(skips) > faults:
        reached = [one for one in skips if not unreachable(one)]
        if reached:
            raise PlacementRefusedError(
                "skipped",
                f"{len(skips)} are more than {faults}, and license {reached[0]} answers here",
            )
    expected = choose(view, proposal.job_id, skipped=proposal.skipped)
    if expected is None:
        raise PlacementRefusedError("job_id", "its placement needs no change at the snapshot block")
    for field in ("release", "assign"):
        found, wanted = getattr(proposal, field), getattr(expected, field)
        if found != wanted:
            raise PlacementRefusedError(
                field, f"{list(found)} is not what follows at the snapshot block, {list(wanted)}"
            )


def _check_frame(view: View, job: JobState, proposal: PlacementProposal) -> None:
    """Check what the message says of block, window and job."""
    expected: dict[str, object] = {
        "escrow": view.books.escrow,
        "block_hash": view.block_hash,
        "window": view.window,
        "round": job.round,
        "revision": job.revision,
    }
    for field, wanted in expected.items():
        if getattr(proposal, field) != wanted:
            shown = wanted.hex() if isinstance(wanted, bytes) else wanted
            raise PlacementRefusedError(field, f"it must be {shown}; read the chain anew")
