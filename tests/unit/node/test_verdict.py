"""What follows from the chain."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings.registry import BLACKLISTED, FROZEN, GOOD, SUSPENDED
from workdeed.node.chain_view import OPEN_END, LicenseView, PairView
from workdeed.node.verdict import Action, assignment_over, barred, decide, refusal

HASH, OTHER = b"h" * 32, b"o" * 32
SERVED = PairView(
    exists=True,
    payer="0x" + "aa" * 20,
    spec_hash=HASH,
    revision=2,
    start=11,
    end=21,
    cancelled=False,
    closed=False,
    first=11,
    until=OPEN_END,
    class_id=1,
)


@pytest.mark.parametrize("window", [0, 10, 11, 20])
def test_an_assignment_counts_before_and_while_it_runs(window: int):
    assert decide(SERVED, window, 2, HASH).action is Action.RUN
    assert refusal(SERVED, window, 2, HASH) is None


@pytest.mark.parametrize(
    ("change", "window", "reason"),
    [
        ({"exists": False}, 11, "no such job"),
        ({"first": 0, "until": 0}, 11, "not placed"),
        ({"until": 13}, 13, "released as of window 13"),
        ({"closed": True}, 11, "closed"),
        ({}, 21, "over as of window 21"),
        ({"cancelled": True, "end": 12}, 12, "cancelled as of window 12"),
        ({"cancelled": True, "closed": True, "start": 0, "end": 0}, 11, "closed"),
    ],
)
def test_an_end_stops_and_refuses(change: dict[str, object], window: int, reason: str):
    view = replace(SERVED, **change)
    verdict = decide(view, window, 2, HASH)
    assert verdict.action is Action.STOP
    assert reason in verdict.reason
    refused = refusal(view, window, 2, HASH)
    assert refused is not None
    assert refused[0] == "job_id"
    assert reason in refused[1]


@pytest.mark.parametrize(
    ("change", "window"),
    [({"until": 13}, 12), ({"cancelled": True, "end": 13}, 12), ({}, 20)],
)
def test_the_last_window_is_served_to_its_end(change: dict[str, object], window: int):
    assert decide(replace(SERVED, **change), window, 2, HASH).action is Action.RUN


def test_another_spec_on_chain_ends_nothing_and_lets_nothing_take_over():
    assert decide(SERVED, 11, 1, OTHER).action is Action.KEEP  # it may be due for long
    assert decide(SERVED, 11, 3, OTHER).action is Action.HOLD
    assert decide(SERVED, 11, 2, OTHER).action is Action.HOLD
    for revision, spec_hash, field in (
        (1, HASH, "revision"),
        (3, HASH, "revision"),
        (2, OTHER, "spec"),
    ):
        refused = refusal(SERVED, 11, revision, spec_hash)
        assert refused is not None
        assert refused[0] == field


views = st.builds(
    PairView,
    exists=st.booleans(),
    spec_hash=st.sampled_from([HASH, OTHER]),
    revision=st.integers(0, 3),
    start=st.integers(0, 30),
    end=st.integers(0, 30),
    cancelled=st.booleans(),
    closed=st.booleans(),
    first=st.integers(0, 30),
    until=st.integers(0, 30) | st.just(OPEN_END),
)


@given(view=views, window=st.integers(0, 40), revision=st.integers(0, 3))
def test_only_what_the_chain_confirms_is_run(view: PairView, window: int, revision: int):
    verdict = decide(view, window, revision, HASH)
    run = verdict.action is Action.RUN
    assert run == (refusal(view, window, revision, HASH) is None)
    if run:
        assert view.exists
        assert (view.revision, view.spec_hash) == (revision, HASH)
        assert view.first > 0
        assert window < view.until
        assert view.end == 0 or window < view.end
        assert verdict.reason == ""
    else:
        assert verdict.reason


@given(view=views, window=st.integers(0, 40), revision=st.integers(0, 3))
def test_an_end_is_for_good(view: PairView, window: int, revision: int):
    if decide(view, window, revision, HASH).action is Action.STOP:
        assert assignment_over(view, window + 1)


NODE = "0x" + "11" * 20


def test_a_linked_license_in_good_standing_bars_nothing():
    assert barred(LicenseView(NODE, GOOD), 7, NODE) == ""


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (LicenseView("0x" + "00" * 20, GOOD), "linked to 0x0000"),
        (LicenseView("0x" + "22" * 20, BLACKLISTED), "linked to 0x2222"),
        (LicenseView(NODE, FROZEN), "license 7, its owner or its node key is frozen"),
        (LicenseView(NODE, SUSPENDED), "suspended"),
        (LicenseView(NODE, BLACKLISTED), "blacklisted"),
    ],
)
def test_without_link_or_standing_the_reason_names_the_license(view: LicenseView, reason: str):
    told = barred(view, 7, NODE)
    assert told.startswith("license_id: ")
    assert reason in told
