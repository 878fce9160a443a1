"""What follows from figures: leaves, open pairs, and that cutting windows changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.oracle.errors import SettlementError
from workdeed.oracle.ledger import JobLedger
from workdeed.oracle.settlement import (
    Base,
    PairWindow,
    Settlement,
    WindowFigures,
    settle_report,
    windows_asked,
)
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair
from workdeed.protocol.limits import MAX_WINDOWS
from workdeed.protocol.report import Leaf, OpenPair, report_tree

from .support import ESCROW

MEMBERS = 4
OTHER_ESCROW = "0x" + "11" * 20


def job(
    *licenses: int,
    end: int = 100,
    funded: int = 1_000 * UNIT,
    claimed: dict[int, int] | None = None,
    closed: bool = False,
    floor: int = 0,
) -> JobLedger:
    units = {one: (claimed or {}).get(one, 0) for one in licenses}
    return JobLedger(
        end=end,
        sla_floor_bps=floor,
        funded_units=funded,
        claimed_units=sum(units.values()),
        closed=closed,
        claimed=units,
    )


def observed(window: int, **rows: tuple[int, ...]) -> WindowFigures:
    """Return what was observed of pairs named like `j1l2`; each row is one pair's figures."""
    pairs = {Pair(ESCROW, *map(int, name[1:].split("l"))): row for name, row in rows.items()}
    ordered = tuple(sorted(pairs))
    members = zip(*(pairs[one] for one in ordered), strict=True) if pairs else ()
    return WindowFigures(window, ordered, tuple(tuple(row) for row in members))


def settle_at(
    window: int,
    *figures: WindowFigures,
    base: Base | None = None,
    jobs: dict[int, JobLedger],
    open_windows: int = 2,
) -> Settlement:
    ledger = {(ESCROW, number): one for number, one in jobs.items()}
    return settle_report(
        base or Base(),
        figures,
        ledger,
        window=window,
        open_windows=open_windows,
        members=MEMBERS,
    )


def base_of(settlement: Settlement, window: int) -> Base:
    leaves = {leaf[:3]: leaf.units for leaf in settlement.leaves}
    return Base(window, report_tree(settlement.leaves).root, leaves, settlement.open)


ALL = (UNIT,) * MEMBERS
NONE = (UNKNOWN,) * MEMBERS


def test_a_settled_pair_gets_a_leaf_with_its_units() -> None:
    found = settle_at(1, observed(1, j1l2=(9_000, 9_100, 9_200, UNKNOWN)), jobs={1: job(2)})
    assert found.leaves == (Leaf(ESCROW, 1, 2, 9_100),)
    assert found.open == ()
    assert found.figures == {PairWindow(1, Pair(ESCROW, 1, 2)): 9_100}
    assert found.earned == {Pair(ESCROW, 1, 2): 9_100}


def test_units_add_up_over_reports() -> None:
    first = settle_at(1, observed(1, j1l2=ALL), jobs={1: job(2)})
    second = settle_at(2, observed(2, j1l2=ALL), base=base_of(first, 1), jobs={1: job(2)})
    assert second.leaves == (Leaf(ESCROW, 1, 2, 2 * UNIT),)


def test_a_figure_below_the_floor_earns_nothing() -> None:
    jobs = {1: job(2, 3, floor=9_500)}
    found = settle_at(1, observed(1, j1l2=(9_499,) * 4, j1l3=(9_500,) * 4), jobs=jobs)
    assert found.leaves == (Leaf(ESCROW, 1, 3, 9_500),)


def test_too_few_known_figures_leave_a_pair_open() -> None:
    found = settle_at(1, observed(1, j1l2=(UNIT, UNIT, UNKNOWN, UNKNOWN)), jobs={1: job(2)})
    assert found.leaves == ()
    assert found.open == (OpenPair(1, ESCROW, 1, 2),)


def test_an_open_pair_is_settled_by_a_later_report() -> None:
    first = settle_at(1, observed(1, j1l2=NONE, j1l3=ALL), jobs={1: job(2, 3)})
    second = settle_at(
        2,
        # The pair that was settled before does not count again, whatever is said of it now.
        observed(1, j1l2=(8_000,) * 4, j1l3=ALL),
        observed(2, j1l2=ALL, j1l3=ALL),
        base=base_of(first, 1),
        jobs={1: job(2, 3)},
    )
    assert second.leaves == (Leaf(ESCROW, 1, 2, 8_000 + UNIT), Leaf(ESCROW, 1, 3, 2 * UNIT))
    assert second.open == ()


@pytest.mark.parametrize(("window", "is_open"), [(4, True), (5, False)])
def test_an_open_pair_earns_nothing_after_d_windows(window: int, is_open: bool) -> None:
    base = Base(3, bytes(32), {}, (OpenPair(3, ESCROW, 1, 2),))
    sets = [observed(one, j1l2=NONE if one == 3 else ALL) for one in windows_asked(base, window)]
    found = settle_at(window, *sets, base=base, jobs={1: job(2)})
    assert (OpenPair(3, ESCROW, 1, 2) in found.open) is is_open
    assert found.leaves == (Leaf(ESCROW, 1, 2, (window - 3) * UNIT),)


def test_the_last_report_in_which_a_pair_can_be_settled_settles_it() -> None:
    base = Base(3, bytes(32), {}, (OpenPair(3, ESCROW, 1, 2),))
    sets = [observed(one, j1l2=ALL) for one in (3, 4, 5)]
    found = settle_at(5, *sets, base=base, jobs={1: job(2)})
    assert found.leaves == (Leaf(ESCROW, 1, 2, 3 * UNIT),)


def test_a_claimed_leaf_leaves_the_tree_and_counts_on_from_the_chain() -> None:
    base = Base(1, bytes(32), {(ESCROW, 1, 2): UNIT})
    jobs = {1: job(2, claimed={2: UNIT})}
    idle = settle_at(2, observed(2, j1l2=(0,) * 4), base=base, jobs=jobs)
    assert idle.leaves == ()
    again = settle_at(3, observed(3, j1l2=ALL), base=base_of(idle, 2), jobs=jobs)
    assert again.leaves == (Leaf(ESCROW, 1, 2, 2 * UNIT),)


def test_a_job_with_nothing_left_has_no_license_leaves() -> None:
    jobs = {1: job(2, 3, funded=UNIT, claimed={2: UNIT})}
    assert settle_at(1, observed(1, j1l2=ALL, j1l3=ALL), jobs=jobs).leaves == ()


def test_a_released_license_keeps_its_leaf() -> None:
    base = Base(4, bytes(32), {(ESCROW, 1, 2): 3 * UNIT})
    found = settle_at(5, observed(5, j1l3=ALL), base=base, jobs={1: job(2, 3)})
    assert found.leaves == (Leaf(ESCROW, 1, 2, 3 * UNIT), Leaf(ESCROW, 1, 3, UNIT))


class TestJobLeaf:
    def test_it_comes_with_the_last_window(self) -> None:
        jobs = {1: job(2, end=3)}
        before = settle_at(1, observed(1, j1l2=ALL), jobs=jobs)
        assert all(leaf.license_id for leaf in before.leaves)
        after = settle_at(2, observed(2, j1l2=(500,) * 4), base=base_of(before, 1), jobs=jobs)
        assert Leaf(ESCROW, 1, 0, UNIT + 500) in after.leaves

    def test_it_may_be_of_zero_units(self) -> None:
        assert settle_at(1, observed(1, j1l2=(0,) * 4), jobs={1: job(2, end=2)}).leaves == (
            Leaf(ESCROW, 1, 0, 0),
        )

    def test_it_counts_what_was_claimed_and_left_the_tree(self) -> None:
        jobs = {1: job(2, 3, end=2, claimed={2: 7_000})}
        found = settle_at(1, observed(1, j1l2=(0,) * 4, j1l3=ALL), jobs=jobs)
        assert Leaf(ESCROW, 1, 0, 17_000) in found.leaves

    def test_there_is_none_while_a_pair_is_open(self) -> None:
        first = settle_at(1, observed(1, j1l2=NONE), jobs={1: job(2, end=2)})
        assert first.leaves == ()
        second = settle_at(
            2, observed(1, j1l2=ALL), observed(2), base=base_of(first, 1), jobs={1: job(2, end=2)}
        )
        assert second.leaves == (Leaf(ESCROW, 1, 0, UNIT), Leaf(ESCROW, 1, 2, UNIT))

    def test_there_is_none_before_the_start(self) -> None:
        assert settle_at(1, observed(1), jobs={1: job(end=0)}).leaves == ()

    def test_it_stays_until_the_job_is_closed_with_that_total(self) -> None:
        base = Base(1, bytes(32), {(ESCROW, 1, 2): 4_000})
        still = settle_at(2, observed(2), base=base, jobs={1: job(2, end=2, funded=UNIT)})
        assert Leaf(ESCROW, 1, 0, 4_000) in still.leaves
        closed = job(2, end=2, funded=4_000, closed=True)
        gone = settle_at(2, observed(2), base=base, jobs={1: closed})
        assert gone.leaves == (Leaf(ESCROW, 1, 2, 4_000),)

    def test_it_stays_while_a_lower_close_is_possible(self) -> None:
        base = Base(1, bytes(32), {(ESCROW, 1, 2): 4_000})
        found = settle_at(
            2, observed(2), base=base, jobs={1: job(2, end=2, funded=6_000, closed=True)}
        )
        assert Leaf(ESCROW, 1, 0, 4_000) in found.leaves

    def test_an_unattested_close_needs_none(self) -> None:
        base = Base(1, bytes(32), {(ESCROW, 1, 2): 4_000})
        jobs = {1: job(2, end=2, funded=1_000, claimed={2: 1_000}, closed=True)}
        assert settle_at(2, observed(2), base=base, jobs=jobs).leaves == ()


def test_leaves_of_an_escrow_that_drains_stay() -> None:
    base = Base(1, bytes(32), {(OTHER_ESCROW, 9, 2): 5, (OTHER_ESCROW, 9, 0): 5})
    found = settle_at(2, observed(2, j1l2=ALL), base=base, jobs={1: job(2)})
    assert set(found.leaves) == {
        Leaf(OTHER_ESCROW, 9, 0, 5),
        Leaf(OTHER_ESCROW, 9, 2, 5),
        Leaf(ESCROW, 1, 2, UNIT),
    }


class TestWindowsAsked:
    def test_all_since_the_base_and_those_open(self) -> None:
        base = Base(5, bytes(32), {}, (OpenPair(4, ESCROW, 1, 2), OpenPair(5, ESCROW, 1, 2)))
        assert windows_asked(base, 8) == (4, 5, 6, 7, 8)

    def test_never_more_than_the_limit(self) -> None:
        base = Base(5, bytes(32), {}, (OpenPair(4, ESCROW, 1, 2),))
        asked = windows_asked(base, 500)
        assert len(asked) == MAX_WINDOWS
        assert asked[-1] == 500


class TestRefusal:
    def test_a_window_that_is_not_later_than_the_base(self) -> None:
        with pytest.raises(SettlementError, match="not later"):
            settle_at(3, base=Base(3), jobs={})

    def test_other_windows_than_those_asked_for(self) -> None:
        with pytest.raises(SettlementError, match="windows must be"):
            settle_at(2, observed(2), jobs={})

    def test_a_row_that_does_not_fit(self) -> None:
        bad = WindowFigures(1, (Pair(ESCROW, 1, 2),), ((1, 2),))
        with pytest.raises(SettlementError, match="does not fit"):
            settle_at(1, bad, jobs={1: job(2)})

    def test_a_pair_of_no_job(self) -> None:
        with pytest.raises(SettlementError, match="lacks"):
            settle_at(1, observed(1, j7l2=ALL), jobs={1: job(2)})


# --- Properties -----------------------------------------------------------------------------------

figures = st.one_of(st.integers(0, UNIT), st.just(UNKNOWN))


@dataclass
class Story:
    """Jobs and what was observed of them, window by window, with claims in between."""

    jobs: dict[int, JobLedger]
    windows: list[WindowFigures]
    claims: list[dict[tuple[int, int], int]] = field(default_factory=list)

    def jobs_at(self, window: int) -> dict[int, JobLedger]:
        """Return the jobs after the claims of the windows up to `window`."""
        found = {}
        for number, one in self.jobs.items():
            units = dict(one.claimed)
            for claims in self.claims[:window]:
                for (job_id, license_id), claimed in claims.items():
                    if job_id == number:
                        units[license_id] = claimed
            found[number] = replace(one, claimed=units, claimed_units=sum(units.values()))
        return found


@st.composite
def stories(draw: st.DrawFn) -> Story:
    count = draw(st.integers(1, 7))
    licenses = {1: (2, 3), 2: (2, 5)}
    ends = {number: draw(st.integers(2, count + 2)) for number in licenses}
    jobs = {
        number: job(*held, end=ends[number], floor=draw(st.sampled_from([0, 5_000])))
        for number, held in licenses.items()
    }
    windows = []
    for window in range(1, count + 1):
        pairs = tuple(
            Pair(ESCROW, number, one)
            for number, held in licenses.items()
            for one in held
            if window < ends[number]
        )
        row = st.tuples(*[figures] * len(pairs))
        rows = draw(st.lists(row, min_size=0, max_size=MEMBERS))
        windows.append(WindowFigures(window, pairs, tuple(rows)))
    return Story(jobs, windows)


def run(story: Story, cuts: list[int]) -> list[Settlement]:
    """Settle the windows in reports that end with each of `cuts`."""
    base, reports = Base(), []
    for window in cuts:
        asked = windows_asked(base, window)
        sets = [story.windows[one - 1] for one in asked]
        found = settle_at(window, *sets, base=base, jobs=story.jobs_at(window - 1))
        reports.append(found)
        base = base_of(found, window)
    return reports


@given(stories(), st.data())
def test_cutting_windows_into_reports_changes_nothing(story: Story, data: st.DataObject) -> None:
    last = len(story.windows)
    cuts = sorted(data.draw(st.sets(st.integers(1, last))) | {last})
    assert run(story, cuts)[-1].leaves == run(story, [last])[-1].leaves
    assert run(story, cuts)[-1].open == run(story, [last])[-1].open


@given(stories(), st.data())
def test_claims_between_reports_change_no_total(story: Story, data: st.DataObject) -> None:
    last = len(story.windows)
    plain = run(story, list(range(1, last + 1)))
    claimed = Story(story.jobs, story.windows)
    standing: dict[tuple[int, int], int] = {}
    for report in plain:
        for leaf in report.leaves:
            if leaf.license_id and data.draw(st.booleans()):
                standing[leaf.job_id, leaf.license_id] = leaf.units
        claimed.claims.append(dict(standing))
    found = run(claimed, list(range(1, last + 1)))[-1]
    before = claimed.claims[last - 2] if last > 1 else {}
    expected = {
        leaf
        for leaf in plain[-1].leaves
        if not leaf.license_id or leaf.units > before.get((leaf.job_id, leaf.license_id), 0)
    }
    assert set(found.leaves) == expected


@given(stories())
def test_leaves_never_fall(story: Story) -> None:
    reports = run(story, list(range(1, len(story.windows) + 1)))
    for earlier, later in pairwise(reports):
        units = {leaf[:3]: leaf.units for leaf in later.leaves}
        assert all(units[leaf[:3]] >= leaf.units for leaf in earlier.leaves)


@given(stories(), st.data())
def test_a_higher_figure_never_lowers_a_leaf(story: Story, data: st.DataObject) -> None:
    last = len(story.windows)
    raised = Story(story.jobs, [_raised(one, data) for one in story.windows])
    before = {leaf[:3]: leaf.units for leaf in run(story, [last])[-1].leaves}
    after = {leaf[:3]: leaf.units for leaf in run(raised, [last])[-1].leaves}
    assert all(after[key] >= units for key, units in before.items())


def _raised(one: WindowFigures, data: st.DataObject) -> WindowFigures:
    """Return the figures, some known ones raised; what is unknown stays so."""
    rows = tuple(
        tuple(value if value == UNKNOWN else data.draw(st.integers(value, UNIT)) for value in row)
        for row in one.rows
    )
    return replace(one, rows=rows)


@given(stories())
def test_no_job_earns_more_than_its_windows_allow(story: Story) -> None:
    found = run(story, list(range(1, len(story.windows) + 1)))[-1]
    served: dict[Pair, int] = {}
    for one in story.windows:
        for pair in one.pairs:
            served[pair] = served.get(pair, 0) + UNIT
    for leaf in found.leaves:
        if leaf.license_id:
            assert leaf.units <= served[Pair(*leaf[:3])]
        else:
            assert leaf.units <= sum(u for p, u in served.items() if p.job_id == leaf.job_id)
