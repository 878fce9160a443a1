"""The evidence of a long window: the root over the hashes of all answers that counted as ok."""

from __future__ import annotations

import os

from scripts._bench.process import Figures, answer
from scripts._bench.stages import Stages
from workdeed.oracle.tallies import evidence_root

HASH_BYTES = 32
A_DAY = 1_440
"""Answers of one node in a window of a day, probed once a minute."""


def root(answers: int) -> Figures:
    """Compute the root over so many answers; random bytes stand for their hashes."""
    hashes = os.urandom(answers * HASH_BYTES)
    stages = Stages()
    with stages.stage("root"):
        evidence_root(hashes)
    return {
        "answers": answers,
        "seconds": round(stages.wall["root"], 2),
        "root_cpu_seconds": round(stages.cpu["root"], 2),
    }


if __name__ == "__main__":
    answer(root)
