"""What a rollout's next steps are: pure, from the spec and what nodes say now.

Nothing is remembered between two decisions, so any number of keepers may make them, each with
looks at the nodes that are somewhat old. Two rules keep them harmless to each other:

- Replicas take turns in the order of their licenses. Only the first `max_unavailable` of those that
  are not through may be told to take the new revision. Whoever has an older look sees more of them
  at the front, and so tells no other than those that are on their way already. Those that are ill
  may begin out of turn: they take nothing from callers, unless they got well since the look.
- The way back takes turns in the opposite order, so that it begins with those under way.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from workdeed.intent import Canary, Recreate, Rolling, Rollout
from workdeed.intent.pacing import canaries
from workdeed.protocol.limits import MAX_TEXT
from workdeed.protocol.messages import WorkloadStatus
from workdeed.protocol.rollouts import Phase, ReplicaState

RUNNING: Final = "running"

_TOLD: Final = re.compile(r"license \d+: ")

NODES_PROVE_MS: Final = 2_000
"""For how long nodes want a new revision to be well at least, unless they are set otherwise."""

_BEGUN: Final = ("starting", "running", "unhealthy", "stopping")

Action = Literal["take", "abandon", "settle"]


@dataclass(frozen=True, slots=True)
class Replica:
    """A placed license with what its node says of the job.

    Attributes:
        current: the revision that stands on chain, None if the node does not have it.
        older: the one that the node keeps to go back to, None without one.
        unreachable: why nothing is known of it, "" if its node said what can be so.

    """

    license_id: int
    current: WorkloadStatus | None = None
    older: WorkloadStatus | None = None
    unreachable: str = ""

    @property
    def serving(self) -> WorkloadStatus | None:
        """The revision that answers callers well, the newer of two; None if none does."""
        return next((one for one in (self.current, self.older) if one and is_serving(one)), None)

    @property
    def has_way_back(self) -> bool:
        """Whether it keeps an older revision, or may keep one."""
        return bool(self.unreachable) or self.older is not None

    @property
    def is_absent(self) -> bool:
        """Whether the older revision is there and the new one is not: nothing is to be given up."""
        return self.current is None and self.older is not None

    @property
    def failed(self) -> str:
        """Why the new revision was given up here, "" if it was not.

        Without an older revision there is nothing that it was given up for.
        """
        return self.current.failed if self.current and self.older else ""

    @property
    def has_taken(self) -> bool:
        """Whether the new revision replaces the older one, or has done so."""
        if self.current is None or self.failed:
            return False
        leaving = self.older is not None and self.older.draining
        return leaving or self.current.state in _BEGUN

    def is_through(self, settle_ms: int) -> bool:
        """Tell whether it has served the new revision for as long as it has to settle."""
        return (
            self.current is not None
            and is_serving(self.current)
            and self.current.well_ms >= settle_ms
        )

    def is_back(self, settle_ms: int) -> bool:
        """Tell whether it gave the new revision up and has served the older one as long."""
        return (
            bool(self.failed)
            and self.older is not None
            and is_serving(self.older)
            and self.older.well_ms >= settle_ms
        )

    @property
    def answers_callers(self) -> bool:
        """Whether it serves and does not leave."""
        return self.serving is not None and not self.serving.draining

    def is_available(self, settle_ms: int) -> bool:
        """Tell whether callers can count on it: well, and neither leaving nor just begun."""
        work = self.serving
        if work is None or not self.answers_callers:
            return False
        untouched = work is self.older and not self.failed
        return untouched or work.well_ms >= settle_ms

    def state(self, settle_ms: int) -> ReplicaState:
        """Return where it stands."""
        current, older = self.current, self.older
        if self.unreachable:
            return "unreachable"
        if current is None:
            return "absent"
        if self.failed:
            return "failed"
        if self.is_through(settle_ms):
            return "well"
        if is_serving(current):
            return "settling"
        if older is not None and is_serving(older) and older.draining:
            return "draining"
        if self.has_taken:
            return "ill" if older is None and current.state == "unhealthy" else "starting"
        if current.state == "pending" or older is not None:
            return "ready" if current.ready and older is not None else "building"
        return "ill"


@dataclass(frozen=True, slots=True)
class Step:
    """What one replica is to be told; `argument` is the reason for `abandon`."""

    license_id: int
    action: Action
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a rollout stands, what it waits for or why it was given up, and what is next."""

    phase: Phase
    reason: str = ""
    steps: tuple[Step, ...] = ()


def is_serving(work: WorkloadStatus) -> bool:
    """Tell whether a revision answers callers and is well."""
    return work.state == RUNNING and work.well_ms > 0


def replica_of(license_id: int, revision: int, works: Iterable[WorkloadStatus]) -> Replica:
    """Return the replica whose node says `works` of the job, while `revision` stands on chain.

    One that claims a later revision counts as unreachable. If it lies, it holds up no more than if
    it were away. If this keeper is behind, others move only replicas that have the later one, and
    all of these count as unavailable here: what is begun here is within what is left.
    """
    found = {one.revision: one for one in works}
    newest = max(found, default=0)
    if newest > revision:
        reason = (
            f"it claims revision {newest}, and this keeper has read no later one than {revision}"
        )
        return Replica(license_id, unreachable=reason)
    older = max((number for number in found if number < revision), default=-1)
    return Replica(license_id, found.get(revision), found.get(older))


def decide(rollout: Rollout, replicas: Sequence[Replica]) -> Decision:
    """Return where the rollout of the current revision stands, and the next steps.

    Args:
        rollout: its policy.
        replicas: one for each placed license, in any order.

    """
    ordered = sorted(replicas, key=lambda one: one.license_id)
    if isinstance(rollout, Recreate):
        return _recreating(ordered)
    return _Turns(rollout, ordered).decision()


def settle_ms_of(rollout: Rollout) -> int:
    """Return for how many milliseconds a replica has to be well until it counts as through."""
    return 0 if isinstance(rollout, Recreate) else rollout.settle_ms


def _recreating(replicas: Sequence[Replica]) -> Decision:
    """Tell how it goes where each node replaces its own, and goes back alone."""
    failed = next((one for one in replicas if one.failed), None)
    waiting = next((one for one in replicas if not one.is_through(0)), None)
    if not any(one.has_way_back for one in replicas):
        return _without_older(replicas, waiting)
    if failed is not None:
        over = all(one.failed or one.is_through(0) for one in replicas)
        return Decision("reverted" if over else "recreating", _failure(failed))
    if waiting is None:
        return Decision("settling")
    return Decision("recreating", _obstacle(waiting, 0))


def _without_older(replicas: Sequence[Replica], waiting: Replica | None) -> Decision:
    """Tell how it goes where no replica has anything to go back to: nothing is rolled out."""
    if waiting is not None:
        return Decision("starting", _obstacle(waiting, 0))
    return Decision(
        "steady" if replicas else "starting", "" if replicas else "no license is placed"
    )


class _Turns:
    """A rollout in which replicas take turns.

    Args:
        rollout: its policy.
        replicas: by license, ascending.

    """

    def __init__(self, rollout: Rolling | Canary, replicas: Sequence[Replica]) -> None:
        self._rollout = rollout
        self._replicas = replicas
        self._settle = rollout.settle_ms
        wait = rollout.wait_ms if isinstance(rollout, Canary) else 0
        self._proof = max(rollout.settle_ms, wait, NODES_PROVE_MS)
        self._down = {one.license_id for one in replicas if not one.is_available(rollout.settle_ms)}

    def decision(self) -> Decision:
        """Return where it stands, and the next steps."""
        replicas = self._replicas
        failed = next((one for one in replicas if one.failed), None)
        if failed is not None:
            return self._back(failed)
        waiting = next((one for one in replicas if not one.is_through(self._settle)), None)
        if not any(one.has_way_back for one in replicas):
            return _without_older(replicas, waiting)
        return self._settling() if waiting is None else self._forth(waiting)

    def _settling(self) -> Decision:
        """Drop the older revision once no node would give the new one up by itself any more.

        Or one could go back alone, where the others have nothing left to go back to.
        """
        older = [one for one in self._replicas if one.older is not None]
        for one in older:
            if not one.is_through(self._proof):
                left = self._left(one, self._proof)
                reason = f"license {one.license_id} has to stay well for {left} more"
                return Decision("settling", reason)
        return Decision("settling", "", tuple(Step(one.license_id, "settle") for one in older))

    # --- Forth ----------------------------------------------------------------------------------

    def _forth(self, waiting: Replica) -> Decision:
        first = self._canaries()
        holding = next((one for one in first if not self._has_proven(one)), None)
        phase: Phase = "canary" if holding is not None else "rolling"
        front = self._front(one for one in self._replicas if not one.is_through(self._settle))
        able = [one for one in front if one.state(self._settle) == "ready"]
        if holding is not None:
            able = [one for one in able if one in first]
        chosen = self._within_budget(able)
        if holding is None:
            chosen = (*chosen, *self._out_of_turn(front, len(chosen)))
        steps = tuple(Step(one.license_id, "take") for one in chosen)
        return Decision(phase, self._why(holding or waiting, able, steps), steps)

    def _out_of_turn(self, front: Sequence[Replica], chosen: int) -> Sequence[Replica]:
        """Return those that may begin although others come first, since they serve nobody.

        Or one that is ill behind others would hold up what mends it. Not more are on their way at a
        time than in turn: were all ill for a moment, all would begin at once.
        """
        begun = [one for one in self._replicas if one.older and one.has_taken]
        under_way = sum(not one.is_through(self._settle) for one in begun)
        ill = [
            one
            for one in self._replicas
            if one not in front and one.state(self._settle) == "ready" and not one.answers_callers
        ]
        return ill[: max(0, self._rollout.max_unavailable - under_way - chosen)]

    def _canaries(self) -> Sequence[Replica]:
        """Return the replicas that come first: a share of all, whichever are reachable."""
        return self._replicas[: canaries(self._rollout, len(self._replicas))]

    def _has_proven(self, one: Replica) -> bool:
        """Tell whether a canary has been well for as long as it is waited for."""
        assert isinstance(self._rollout, Canary)  # noqa: S101 - nobody else has canaries
        return one.is_through(max(self._settle, self._rollout.wait_ms))

    def _why(self, waiting: Replica, able: Sequence[Replica], steps: Sequence[Step]) -> str:
        if steps:
            return ""
        if able:
            names = ", ".join(str(one) for one in sorted(self._down))
            return f"at most {self._rollout.max_unavailable} may be unavailable, and {names} are"
        if waiting.is_through(self._settle) and isinstance(self._rollout, Canary):
            left = self._left(waiting, self._rollout.wait_ms)
            return f"the canaries have to stay well for {left} more"
        return _obstacle(waiting, self._settle)

    # --- Back -----------------------------------------------------------------------------------

    def _back(self, failed: Replica) -> Decision:
        reason = _failure(failed)
        going = [
            one
            for one in reversed(self._replicas)
            if one.has_way_back and not one.is_absent and not one.is_back(self._settle)
        ]
        # Their service does not change: they only have to know that their turn never comes.
        untouched = [one for one in going if self._waits(one)]
        able = [one for one in self._front(going) if one.has_taken]
        if untouched or self._may_begin_unseen():
            # Until all know, somebody with an older look might still let one of them begin.
            able = [one for one in able if not one.answers_callers]
        chosen = (*untouched, *self._within_budget(able))
        steps = tuple(Step(one.license_id, "abandon", reason) for one in chosen)
        return Decision("reverting" if going else "reverted", reason, steps)

    def _may_begin_unseen(self) -> bool:
        """Tell whether a node that gets the revision just now may be let begin by an older look.

        It can't be told before it has it. No look is older than the failure any more once whoever
        failed has served the older revision for as long as it has to settle, or was replaced.
        """
        if not any(one.is_absent for one in self._replicas):
            return False
        first = [one for one in self._replicas if one.failed and not _TOLD.match(one.failed)]
        if first:
            return not any(one.is_back(self._settle) for one in first)
        return any(one.unreachable for one in self._replicas)

    @staticmethod
    def _waits(one: Replica) -> bool:
        """Tell whether a replica has the new revision, and the older one serves on."""
        return one.current is not None and not one.has_taken and not one.failed

    # --- Both -----------------------------------------------------------------------------------

    @staticmethod
    def _left(one: Replica, proof_ms: int) -> str:
        """Return for how long a replica still has to be well."""
        well = one.current.well_ms if one.current is not None else 0
        return f"{(proof_ms - well) / 1_000:.0f} s"

    def _front(self, replicas: Iterable[Replica]) -> Sequence[Replica]:
        """Return those whose turn it is: of a replica without a way back nothing is to be taken."""
        inside = [one for one in replicas if one.has_way_back]
        return inside[: self._rollout.max_unavailable]

    def _within_budget(self, able: Iterable[Replica]) -> Sequence[Replica]:
        """Return those that may change without more being unavailable than may be.

        One that answers no callers costs nothing. One that does counts although it has yet to
        settle: where this look is old, others may take it for available by now.
        """
        left = self._rollout.max_unavailable - len(self._down)
        chosen = []
        for one in able:
            if one.answers_callers:
                if left <= 0:
                    continue
                left -= 1
            chosen.append(one)
        return chosen


def _failure(one: Replica) -> str:
    """Return why the revision failed first: one that was told to give it up has that from us."""
    told = _TOLD.match(one.failed)
    return (one.failed if told else f"license {one.license_id}: {one.failed}")[:MAX_TEXT]


def _obstacle(one: Replica, settle_ms: int) -> str:
    """Return why a replica is not through."""
    state = one.state(settle_ms)
    reason = one.unreachable or (one.current.reason if one.current is not None else "")
    said = f" ({reason})" if reason else ""
    return f"license {one.license_id} is {state}{said}"[:MAX_TEXT]
