"""What a campaign did to how many worlds, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """What a campaign did, and what came of it.

    Attributes:
        faults: how many faults of each kind.
        points: how many processes died at each crash point; "random" at any other moment.
        depths: how many reorgs replaced so many blocks.
        members: what faulty members of committees did, by kind.
        databases: what was done to keepers that share PostgreSQL, and to its server, by kind.
        skipped: a sentence for each part that could not be played here.
        slashed: equivocations that the contract slashed for.
        dropped: transactions that reorgs took out of the chain.
        requests: how many requests a bad node spoiled, by how.
        nonces: what was done to the sender's transactions, by kind.
        nodes: how nodes lied, by kind, a license and window each.
        wanted: effects that had to happen.
        lost, doubled, differences, broken: a sentence for each that went wrong.

    """

    faults: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    depths: Counter[int] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    nonces: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    nodes: Counter[str] = field(default_factory=Counter)
    databases: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    slashed: int = 0
    dropped: int = 0
    wanted: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.lost or self.doubled or self.differences or self.broken)

    def add(self, other: Tally) -> None:
        """Add what another world came to."""
        self.faults += other.faults
        self.points += other.points
        self.depths += other.depths
        self.requests += other.requests
        self.nonces += other.nonces
        self.members += other.members
        self.nodes += other.nodes
        self.databases += other.databases
        self.skipped += other.skipped
        self.slashed += other.slashed
        self.dropped += other.dropped
        self.wanted += other.wanted
        self.lost += other.lost
        self.doubled += other.doubled
        self.differences += other.differences
        self.broken += other.broken

    def to_json(self) -> dict[str, Any]:
        """Return what `build/chaos.json` holds."""
        return {
            "faults": dict(sorted(self.faults.items())),
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "books_balance": not self.differences,
            "wanted": self.wanted,
            "points": dict(sorted(self.points.items())),
            "depths": {str(depth): count for depth, count in sorted(self.depths.items())},
            "databases": dict(sorted(self.databases.items())),
            "slashed": self.slashed,
            "dropped": self.dropped,
            "requests": dict(sorted(self.requests.items())),
            "nonces": dict(sorted(self.nonces.items())),
            "members": dict(sorted(self.members.items())),
            "nodes": dict(sorted(self.nodes.items())),
            "skipped": self.skipped,
            "complaints": [*self.lost, *self.doubled, *self.differences, *self.broken],
        }
