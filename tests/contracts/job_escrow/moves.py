"""Every call that moves tokens, ready to be made in one and the same state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.contracts.job_desk.desk import Opening
from tests.contracts.system import CLOSE_GRACE, JOB_LEAF, UNIT, Report, System

PULLS = ("open_job", "open_job_for", "open_jobs", "extend_job", "scale_job up")
"""Deposits: from the payer to the escrow."""

REFUNDS = ("scale_job down", "cancel_job", "close_job", "close_unattested")
"""From the escrow to the payer."""

PAYMENTS = ("claim", "claim_many")
"""From the escrow to an operator."""

FEES = ("flush_fees",)
"""From the escrow to the vault."""

FORFEITS = ("forfeit",)
"""From the escrow to the payer and to the vault."""

ALL = (*PULLS, *REFUNDS, *PAYMENTS, *FEES, *FORFEITS)


@dataclass
class Scene:
    """Three jobs and what can be done with them.

    Attributes:
        ended: served by three licenses to its end and reported; one was paid, one is blacklisted.
        abandoned: ended without a leaf of its own; its payer asked for the close long ago.
        running: a job of two licenses in its first window.

    """

    system: System
    ended: int
    abandoned: int
    running: int
    paid: int
    unpaid: int
    outlaw: int
    report: Report

    def entry(self, license_id: int) -> tuple[int, int, int, list[bytes]]:
        """Return what a claim for a license takes."""
        units = self.report.units[self.ended, license_id]
        return self.ended, license_id, units, self.report.proof(self.ended, license_id)

    def moves(self) -> dict[str, Callable[[], Any]]:
        """Return the calls by name; `ALL` names them in the same order."""
        system, escrow, desk = self.system, self.system.escrow, self.system.desk
        payer = {"sender": system.payer}
        closing = self.entry(JOB_LEAF)
        seated = (self.paid, self.unpaid)
        return {
            "open_job": system.open_job,
            "open_job_for": partial(desk.open_job_for, system.payer, Opening(), **payer),
            "open_jobs": partial(desk.open_jobs, system.payer, [Opening()], **payer),
            "extend_job": partial(desk.extend_job, self.running, 1, **payer),
            "scale_job up": partial(desk.scale_job, self.running, 3, [], **payer),
            "scale_job down": partial(desk.scale_job, self.running, 1, seated[1:], **payer),
            "cancel_job": partial(desk.cancel_job, self.running, **payer),
            "close_job": partial(escrow.close_job, self.ended, closing[2], closing[3]),
            "close_unattested": partial(desk.close_unattested, self.abandoned),
            "claim": partial(escrow.claim, *self.entry(self.unpaid)),
            "claim_many": partial(
                escrow.claim_many, system.operators[1], [self.entry(self.unpaid)]
            ),
            "flush_fees": partial(escrow.flush_fees, 1),
            "forfeit": partial(escrow.forfeit, *self.entry(self.outlaw)),
        }


def scene(system: System) -> Scene:
    """Bring a fresh system to where every move can be made."""
    nodes = [system.issue_node(operator) for operator in system.operators[:3]]
    ended = system.open_job(slots=3, windows=2)
    abandoned = system.open_job(windows=2)
    system.place(ended, nodes)
    system.place(abandoned, nodes[:1])
    system.to_window(4)
    leaves = {(ended, license_id): 2 * UNIT - index for index, license_id in enumerate(nodes)}
    report = system.report(leaves | {(ended, JOB_LEAF): 5 * UNIT})
    system.claim(ended, nodes[0])
    system.blacklist(nodes[2])
    system.desk.request_close(abandoned, sender=system.payer)
    system.advance_windows(CLOSE_GRACE)
    running = system.start_job(nodes[:2])
    return Scene(system, ended, abandoned, running, *nodes, report)
