"""The table of a workload's states."""

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.node.errors import LifecycleError
from workdeed.node.lifecycle import TRANSITIONS, Event, Lifecycle, State
from workdeed.protocol.limits import MAX_TEXT
from workdeed.protocol.messages import State as WireState

S, E = State, Event

ALLOWED = {
    S.PENDING: {S.STARTING, S.FAILED, S.STOPPED},
    S.STARTING: {S.RUNNING, S.FAILED, S.LOST, S.STOPPING, S.STOPPED},
    S.RUNNING: {S.UNHEALTHY, S.RUNNING, S.FAILED, S.LOST, S.STOPPING, S.STOPPED},
    S.UNHEALTHY: {S.RUNNING, S.UNHEALTHY, S.FAILED, S.LOST, S.STOPPING, S.STOPPED},
    S.STOPPING: {S.STOPPED, S.FAILED, S.LOST},
    S.STOPPED: {S.PENDING},
    S.FAILED: {S.PENDING, S.STOPPING},
    S.LOST: {S.PENDING, S.STOPPED},
}


def test_the_words_are_those_of_the_protocol():
    assert {state.value for state in State} == set(get_args(WireState))


@pytest.mark.parametrize("state", State)
def test_each_state_leads_where_the_table_says_and_nowhere_else(state: State):
    assert {to for (source, _), to in TRANSITIONS.items() if source is state} == ALLOWED[state]


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_an_event_moves_or_is_refused(state: State, event: Event):
    lifecycle = Lifecycle()
    lifecycle.state = state
    target = TRANSITIONS.get((state, event))
    if target is None:
        with pytest.raises(LifecycleError, match=f"{event} cannot happen"):
            lifecycle.on(event, "why")
        assert (lifecycle.state, lifecycle.reason) == (state, "")
    else:
        assert lifecycle.on(event, "why") is target
        assert (lifecycle.state, lifecycle.reason) == (target, "why")


def test_a_move_by_plan_clears_the_reason():
    lifecycle = Lifecycle()
    lifecycle.on(E.REFUSED, "the build failed")
    lifecycle.on(E.RETRIED, "the build failed")
    lifecycle.on(E.LAUNCHED)
    assert lifecycle.reason == ""


def test_a_reason_fits_the_protocol():
    lifecycle = Lifecycle()
    lifecycle.on(E.REFUSED, "x" * 5_000)
    assert len(lifecycle.reason) == MAX_TEXT


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_nothing_runs_that_was_not_launched(events: list[Event]):
    lifecycle = Lifecycle()
    launched = False
    for event in events:
        if (lifecycle.state, event) not in TRANSITIONS:
            continue
        lifecycle.on(event)
        launched = event is E.LAUNCHED or (launched and event is not E.RETRIED)
        if lifecycle.state in (S.STARTING, S.RUNNING, S.UNHEALTHY):
            assert launched


def test_every_state_can_be_withdrawn_and_every_end_tried_again():
    for state in (S.PENDING, S.STARTING, S.RUNNING, S.UNHEALTHY, S.FAILED, S.LOST):
        assert TRANSITIONS[state, E.WITHDRAWN] in (S.STOPPING, S.STOPPED)
    for state in (S.STOPPED, S.FAILED, S.LOST):
        assert TRANSITIONS[state, E.RETRIED] is S.PENDING
