"""A simulated replica that does what nodes do in a rollout, one second a tick."""

from __future__ import annotations

from dataclasses import dataclass, field

from workdeed.keeper.rollout import Replica, Step, replica_of
from workdeed.protocol.messages import State, WorkloadStatus
from workdeed.protocol.signing import to_checksum

ESCROW = to_checksum(b"\xee" * 20)
OLD, NEW = 3, 4
"""Revisions: the one that serves, and the one that replaces it."""
TICK_MS = 1_000
STALE = 1
"""Ticks for which a keeper goes by an old look."""


@dataclass
class SimReplica:
    """Moves from the old revision to the new one, or back.

    Attributes:
        stage: `absent`, `building`, `ready`, `draining`, `starting`, `new`, `returning` or `old`.
        left: ticks until the next stage.
        never: whether the node takes no dispatch, so that `absent` lasts.
        drain, start, deadline: ticks.
        proof: ticks for which the new revision has to be well, or it is given up.
        patience: ticks for which it may be ill again until then.
        is_bad: whether the new revision never gets well here.
        ill: whether what runs is not well, by a fault of the node.
        cut_off: whether the node answers nobody.
        well: ticks for which what runs has been well.
        in_way: whether the rollout took it down, and it is not yet well for long enough.
        longest: ticks for which the new revision has been well at most.
    """

    license_id: int
    stage: str = "building"
    left: int = 1
    drain: int = 1
    start: int = 1
    deadline: int = 4
    settle: int = 2
    proof: int = 2
    patience: int = 0
    never: bool = False
    is_bad: bool = False
    ill: bool = False
    cut_off: bool = False
    well: int = 100
    failed: str = ""
    settled: bool = False
    in_way: bool = False
    longest: int = 0
    told: list[str] = field(default_factory=list)

    def tick(self) -> None:
        """Let a second pass."""
        self.left -= 1
        if self.stage == "absent":
            self._receive()
        elif self.stage == "building" and self.left <= 0:
            self.stage = "ready"
        elif self.stage == "draining" and self.left <= 0:
            self.stage, self.left, self.well = "starting", self.deadline, 0
        elif self.stage == "starting":
            self._start()
        elif self.stage == "new" and self.ill and self.longest < self.proof:
            self._suffer()
        elif self.stage == "returning" and self.left <= 0:
            self.stage = "old"
        self._age()

    def _receive(self) -> None:
        """Take the dispatch, if it ever does; it may be built before anybody looks."""
        if self.left <= 0 and not self.never:
            self.stage = "ready"

    def _start(self) -> None:
        lasted = self.deadline - self.left
        if lasted >= self.start and not self.is_bad and not self.ill:
            self.stage, self.well = "new", 0
        elif self.left <= 0:
            self._give_up("it was not well in time")

    def _suffer(self) -> None:
        """Bear with a new revision that falls ill before it has proven itself, for a while."""
        self.well = 0
        self.patience -= 1
        if self.patience < 0:
            self._give_up("it fell ill again")

    def _age(self) -> None:
        running = self.stage not in ("starting", "returning")
        self.well = self.well + 1 if running and not self.ill else 0
        if self.stage == "new":
            self.longest = max(self.longest, self.well)
        if self.stage in ("new", "old") and self.well >= self.settle:
            self.in_way = False

    def do(self, action: str, argument: str = "") -> None:
        """Do as a keeper asks; what does not fit is left alone."""
        self.told.append(action)
        if action == "take" and self.stage == "ready":
            # One that got well since a keeper looked may be taken for ill.
            self.in_way = self.well > STALE
            self.stage, self.left = "draining", self.drain
        elif action == "abandon" and self.can_abandon:
            self._give_up(argument)
        elif action == "settle" and self.stage == "new" and self.well >= self.settle:
            self.settled, self.proof = True, 0

    @property
    def can_abandon(self) -> bool:
        """Whether it has the new revision and something to go back to."""
        return not (self.failed or self.settled or self.stage == "absent")

    def _give_up(self, reason: str) -> None:
        self.failed = reason
        if self.stage in ("starting", "new"):
            self.in_way = self.in_way or self.well >= self.settle
            self.stage, self.left, self.well = "returning", self.start, 0
        else:  # the old one never stopped
            self.stage = "old"
            self.in_way = self.in_way and self.well < self.settle

    def works(self) -> list[WorkloadStatus]:
        """Return what the node's status says of the job."""
        old = [] if self.settled else [self._old()]
        new = [] if self.stage == "absent" else [self._new()]
        return [*old, *new]

    def look(self) -> Replica:
        """Return what a keeper sees."""
        if self.cut_off:
            return Replica(self.license_id, unreachable="no answer in time")
        return replica_of(self.license_id, NEW, self.works())

    def _old(self) -> WorkloadStatus:
        serves = self.stage not in ("starting", "new", "returning")
        return status(
            OLD,
            self._state(serves),
            well=self.well if serves else 0,
            draining=self.stage in ("draining", "starting", "new"),
        )

    def _new(self) -> WorkloadStatus:
        state: State = "pending"
        if self.failed:
            state = "stopped"
        elif self.stage == "starting":
            state = "starting"
        elif self.stage == "new":
            state = self._state(True)
        return status(
            NEW,
            state,
            well=self.well if self.stage == "new" else 0,
            ready=self.stage != "building",
            failed=self.failed,
        )

    def _state(self, serves: bool) -> State:
        if not serves:
            return "stopped"
        return "unhealthy" if self.ill else "running"


def status(
    revision: int,
    state: State = "running",
    *,
    well: int = 0,
    ready: bool = False,
    draining: bool = False,
    failed: str = "",
    reason: str = "",
    port: int | None = 8_000,
    job_id: int = 1,
) -> WorkloadStatus:
    """Return the status of a revision that has been well for `well` ticks."""
    return WorkloadStatus(
        escrow=ESCROW,
        job_id=job_id,
        revision=revision,
        state=state,
        reason=reason,
        pid=None,
        port=port,
        ready=ready,
        draining=draining,
        well_ms=well * TICK_MS,
        failed=failed,
    )


def tell(replicas: dict[int, SimReplica], steps: tuple[Step, ...]) -> None:
    """Ask replicas for the steps; one that is cut off hears nothing."""
    for step in steps:
        if not replicas[step.license_id].cut_off:
            replicas[step.license_id].do(step.action, step.argument)
