"""What follows from the chain for one revision of one job. Pure: no I/O, no clock."""

from enum import Enum
from typing import NamedTuple

from workdeed.chain.bindings.registry import GOOD, STANDINGS
from workdeed.node.chain_view import OPEN_END, LicenseView, PairView


class Action(Enum):
    """What the agent does."""

    RUN = "run"
    """Start it where it does not run, keep it where it does."""
    KEEP = "keep"
    """Keep it going where it serves, and let it take nothing over: a newer revision is due."""
    HOLD = "hold"
    """Keep it where it runs, and do not start it: the chain does not know it."""
    STOP = "stop"
    """End it."""


class Verdict(NamedTuple):
    """An action, with the reason where it is not simply to run."""

    action: Action
    reason: str = ""


def assignment_over(view: PairView, window: int) -> str:
    """Return why this node's license does not serve the job in `window` or later, "" if it does.

    An assignment whose first window is still to come counts: the workload is up when it begins.
    """
    if not view.exists:
        return "the escrow holds no such job"
    if view.first == 0:
        return "this license is not placed on the job"
    if view.until != OPEN_END and window >= view.until:
        return f"the license was released as of window {view.until}"
    if view.closed:
        return "the job is closed"
    if view.end and window >= view.end:
        how = "cancelled" if view.cancelled else "over"
        return f"the job is {how} as of window {view.end}"
    return ""


def decide(view: PairView, window: int, revision: int, spec_hash: bytes) -> Verdict:
    """Return what to do with a `revision` whose dispatch was accepted earlier.

    Args:
        view: the job and the license's service in it.
        window: the current one.
        revision: number of the spec in question.
        spec_hash: hash of the spec in question.

    """
    over = assignment_over(view, window)
    if over:
        return Verdict(Action.STOP, over)
    if view.revision != revision:
        # A newer one may be such that nobody can run it; an older one means a chain that went back.
        action = Action.KEEP if view.revision > revision else Action.HOLD
        return Verdict(action, f"revision {view.revision} stands on chain; waiting for it")
    if view.spec_hash != spec_hash:
        return Verdict(Action.HOLD, "another spec stands on chain; waiting for its dispatch")
    return Verdict(Action.RUN)


def refusal(view: PairView, window: int, revision: int, spec_hash: bytes) -> tuple[str, str] | None:
    """Return (field, sentence) if a dispatch contradicts the chain, None if it may be accepted."""
    over = assignment_over(view, window)
    if over:
        return "job_id", f"job_id: {over}"
    if view.revision != revision:
        text = f"revision: {view.revision} stands on chain, not {revision}; send that one"
        return "revision", text
    if view.spec_hash != spec_hash:
        return (
            "spec",
            "spec: its hash is not the one on chain for this revision; send the right one",
        )
    return None


def barred(view: LicenseView, license_id: int, node: str) -> str:
    """Return why a node may run nothing for its license, "" if it may.

    Without the link or good standing nothing is earned, and the oracles release the license.

    Args:
        view: the license.
        license_id: its number.
        node: the address of this node's key.

    """
    if view.node != node:
        return (
            f"license_id: license {license_id} is linked to {view.node}, and this node's key is "
            f"{node}; link it"
        )
    if view.standing != GOOD:
        standing = STANDINGS[view.standing]
        return (
            f"license_id: license {license_id}, its owner or its node key is {standing}; "
            "ask the governor, or appeal"
        )
    return ""
