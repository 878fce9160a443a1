"""Complete reports on their way to the chain."""

from __future__ import annotations

from dataclasses import dataclass, field

from books_support import ESCROW, GENESIS, MEMBERS, Chain

from workdeed.chain.bindings import committee
from workdeed.chain.bindings.committee import OracleCommittee
from workdeed.keeper.effects import PlannedEffect
from workdeed.keeper.reports import Reports, report_effect
from workdeed.keeper.view import View
from workdeed.oracle.submission import Submission
from workdeed.protocol.hashing import keccak

CONTRACT = OracleCommittee(ESCROW)
FOUND = Submission(3, 1, keccak(b"root"), keccak(b"data"), b"s" * 65)


@dataclass
class Desk:
    effects: list[PlannedEffect] = field(default_factory=list)

    async def plan(self, view: View, effect: PlannedEffect) -> None:
        self.effects.append(effect)


async def test_what_is_due_is_planned(chain: Chain) -> None:
    desk = Desk()
    waiting: list[Submission | None] = [None, FOUND]
    duty = Reports(CONTRACT, lambda: waiting.pop(0), desk)  # type: ignore[arg-type]
    await duty.run(chain.view())
    assert desk.effects == []
    await duty.run(chain.view())
    (effect,) = desk.effects
    assert effect.call == CONTRACT.submit_report(*FOUND)
    assert "committee: report pending" in effect.transient


def test_any_report_of_the_window_or_later_is_enough(chain: Chain) -> None:
    effect = report_effect(CONTRACT, FOUND)
    chain.report(2)
    assert not effect.done(chain.books)
    chain.report(4)
    assert effect.done(chain.books)


def test_a_veto_that_used_the_window_up_ends_it(chain: Chain) -> None:
    effect = report_effect(CONTRACT, FOUND)
    chain.report(2)
    chain.log(committee.ReportVetoed(2, MEMBERS[0], 3, bytes(32)))
    assert effect.done(chain.books)
    assert chain.timestamp == GENESIS
