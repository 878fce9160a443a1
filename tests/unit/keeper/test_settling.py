"""What follows from a final report."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from books_support import CHALLENGE, ESCROW, MEMBERS, PAYER, Chain, leaf
from http_support import FakeEndpoints

from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.bindings.escrow import JobEscrow
from workdeed.keeper.claims import ClaimRule
from workdeed.keeper.effects import PlannedEffect
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.reportdata import ReportSource
from workdeed.keeper.settling import OwnCloses, Settling
from workdeed.keeper.stagger import Stagger
from workdeed.keeper.view import View
from workdeed.protocol.figures import UNIT
from workdeed.protocol.messages import Report
from workdeed.protocol.report import encode_leaves
from workdeed.sdk.errors import NoProofError

CONTRACT = JobEscrow(ESCROW)
ALONE = Stagger(MEMBERS[0], 5)
LEAVES = [leaf(1, 1, 3 * UNIT), leaf(1, 0, 3 * UNIT)]


@dataclass
class Desk:
    effects: list[PlannedEffect] = field(default_factory=list)

    async def plan(self, view: View, effect: PlannedEffect) -> None:
        self.effects.append(effect)


@pytest.fixture
def ended(chain: Chain) -> Chain:
    """Job 1 served in windows 2 to 4, which are reported."""
    chain.license(1)
    chain.open_job(1, windows=3)
    chain.place(1, [1], windows=3)
    chain.to_window(5)
    return chain


def settling(
    desk: Desk, source: ReportSource, *, claims: bool = True, closes: bool = True
) -> Settling:
    rule = ClaimRule("all", 0, ALONE) if claims else None
    return Settling(CONTRACT, source, desk, rule, ALONE if closes else None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("claims", "closes", "expected"),
    [
        (True, True, ["claim", "close_job"]),
        (True, False, ["claim"]),
        (False, True, ["close_job"]),
        (False, False, []),
    ],
)
async def test_claims_then_closes_as_set(
    ended: Chain, claims: bool, closes: bool, expected: list[str]
) -> None:
    data = ended.report(4, LEAVES)

    async def own(_: int) -> Report:
        return Report(header=data.header, leaves=encode_leaves(data.leaves))

    desk = Desk()
    duty = settling(
        desk,
        ReportSource(FakeEndpoints(), AddressBook({}), own),
        claims=claims,
        closes=closes,
    )
    await duty.run(ended.view())
    assert desk.effects == []
    ended.timestamp += CHALLENGE
    await duty.run(ended.view())
    assert [one.call.name for one in desk.effects] == [f"JobEscrow.{one}" for one in expected]


async def test_a_blacklisted_license_is_not_paid_but_forfeits(ended: Chain) -> None:
    data = ended.report(4, LEAVES)
    ended.blacklist(1)

    async def own(_: int) -> Report:
        return Report(header=data.header, leaves=encode_leaves(data.leaves))

    desk = Desk()
    duty = settling(desk, ReportSource(FakeEndpoints(), AddressBook({}), own), closes=False)
    ended.timestamp += CHALLENGE
    await duty.run(ended.view())
    assert [one.call.name for one in desk.effects] == ["JobEscrow.forfeit"]


async def test_what_rests_on_an_older_report_is_given_up(chain: Chain) -> None:
    """Its proof is worth nothing then; what is still due comes with the next one's."""
    chain.license(1)
    chain.open_job(1)
    chain.place(1, [1])
    reports: dict[int, Report] = {}

    async def own(window: int) -> Report | None:
        return reports.get(window)

    desk = Desk()
    duty = settling(desk, ReportSource(FakeEndpoints(), AddressBook({}), own), closes=False)
    for window in (2, 3):
        chain.to_window(window + 1)
        data = chain.report(window, [leaf(1, 1, (window - 1) * UNIT)])
        reports[window] = Report(header=data.header, leaves=encode_leaves(data.leaves))
        await duty.run(chain.view())
        assert not any(one.done(chain.books) for one in desk.effects[window - 2 :])
        chain.timestamp += CHALLENGE
        duty._next = 0.0
        await duty.run(chain.view())
    first, *_, second = desk.effects
    assert first.key == second.key
    assert first.done(chain.books)
    assert not second.done(chain.books)


async def test_data_that_nobody_has_is_not_asked_for_all_the_time(ended: Chain) -> None:
    ended.report(4, LEAVES)
    ended.timestamp += CHALLENGE
    endpoints = FakeEndpoints()
    source = ReportSource(endpoints, AddressBook({}, ["http://other"]))
    for _ in range(3):
        with pytest.raises(NoProofError):
            await settling(Desk(), source).run(ended.view())
    assert len(endpoints.asked) == 1


async def test_own_jobs_close_without_a_report(ended: Chain) -> None:
    desk = Desk()
    await OwnCloses(JobDesk(ESCROW), desk, PAYER, 12).run(ended.view())  # type: ignore[arg-type]
    assert [one.call.name for one in desk.effects] == ["JobDesk.request_close"]
