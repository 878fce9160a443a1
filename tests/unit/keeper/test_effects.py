"""The desk between duties and the outbox."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from books_support import ESCROW, Chain

from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.books import Books
from workdeed.chain.effects import Effect, EffectError, EffectState, OutboxEntry, OutboxTally
from workdeed.chain.transactions import Intent
from workdeed.keeper import effects
from workdeed.keeper.effects import (
    FAILURE_WINDOWS,
    FINISH_STEPS,
    KINDS,
    EffectDesk,
    PlannedEffect,
)
from workdeed.keeper.logs import OnceLog, get_log
from workdeed.keeper.metrics import Metrics


@dataclass
class FakeOutbox:
    """Keeps effects; a test says what becomes of them."""

    submitted: list[str] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    effects: dict[str, Effect] = field(default_factory=dict)
    entries: dict[str, OutboxEntry] = field(default_factory=dict)
    settles: list[OutboxEntry] = field(default_factory=list)
    steps: int = 0
    token: int | None = 1
    forgets: bool = False

    async def submit(self, effect: Effect) -> OutboxEntry:
        self.submitted.append(effect.key)
        self.effects[effect.key] = effect
        return self.entries.setdefault(effect.key, entry(effect.key, EffectState.INTENT))

    async def retry(self, key: str) -> None:
        self.retried.append(key)
        if self.forgets:
            raise EffectError("there is none")

    async def tally(self) -> OutboxTally:
        pending = [one for one in self.entries.values() if not one.settled]
        waiting = [(one.key, one.reason) for one in pending if one.reason]
        return OutboxTally(Counter(one.state for one in pending), next(iter(waiting), None))

    async def step(self) -> tuple[OutboxEntry, ...]:
        self.steps += 1
        found, self.settles = self.settles, []
        self.entries |= {one.key: one for one in found}
        return tuple(found)


def entry(key: str, state: EffectState, reason: str = "") -> OutboxEntry:
    intent = Intent(sender=ESCROW, to=ESCROW, data=b"")
    return OutboxEntry(key, state, intent, frozenset(), None, (), None, None, reason)


def planned(key: str = "close:1") -> PlannedEffect:
    def done(books: Books) -> bool:
        return books.jobs[1].closed

    return PlannedEffect(key, JobDesk(ESCROW).close_unattested(1), done)


@pytest.fixture
def opened(chain: Chain) -> Chain:
    chain.open_job(1)
    return chain


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def desk(outbox: FakeOutbox, opened: Chain, once: OnceLog, metrics: Metrics) -> EffectDesk:
    return EffectDesk(outbox, lambda: opened.books, get_log(), once, metrics)


async def test_an_effect_is_passed_on_once(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    for _ in range(3):
        await desk.plan(opened.view(), planned())
    assert outbox.submitted == ["close:1"]
    desk.forget()
    await desk.plan(opened.view(), planned())
    assert outbox.submitted == ["close:1", "close:1"]


async def test_a_payload_that_changed_while_it_waited_is_passed_on(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    """A proof against an older report would be refused once the fee spike is over."""
    await desk.plan(opened.view(), planned())
    newer = replace(planned(), call=JobDesk(ESCROW).request_close(1))
    for _ in range(2):
        await desk.plan(opened.view(), newer)
    assert outbox.submitted == ["close:1", "close:1"]
    assert outbox.effects["close:1"].call == newer.call


async def test_what_is_done_is_left_alone(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    await desk.plan(opened.view(), planned())
    is_done = outbox.effects["close:1"].is_done
    assert is_done is not None
    assert not await is_done()
    opened.close(1, 0)
    assert await is_done()
    desk.forget()
    await desk.plan(opened.view(), planned())
    assert outbox.submitted == ["close:1"]


async def test_a_success_that_a_reorg_undid_before_the_books_showed_it_is_passed_on_again(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    """The outbox saw a later head than the books, which then had nothing to rewind."""
    await desk.plan(opened.view(), planned())
    outbox.settles = [entry("close:1", EffectState.FINAL)]
    await desk.step(opened.view())
    await desk.plan(opened.view(), planned())
    assert outbox.submitted == ["close:1", "close:1"]
    opened.close(1, 0)
    await desk.plan(opened.view(), planned())
    assert outbox.submitted == ["close:1", "close:1"]


async def test_a_failure_is_tried_again_once_a_window(
    desk: EffectDesk,
    outbox: FakeOutbox,
    opened: Chain,
    log_lines: list[dict[str, object]],
) -> None:
    await desk.plan(opened.view(), planned())
    outbox.settles = [entry("close:1", EffectState.FAILED, "escrow: close grace")]
    await desk.step(opened.view())
    assert log_lines[-1]["reason"] == "escrow: close grace"
    await desk.plan(opened.view(), planned())
    assert outbox.retried == []
    opened.to_window(2)
    for _ in range(2):
        await desk.plan(opened.view(), planned())
    assert outbox.retried == ["close:1"]
    opened.to_window(3)
    outbox.settles = [entry("close:1", EffectState.FINAL)]
    await desk.step(opened.view())
    await desk.plan(opened.view(), planned())
    assert outbox.retried == ["close:1"]


async def test_bug_a_failure_that_the_outbox_has_forgotten_is_passed_on_anew(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    outbox.settles = [entry("close:1", EffectState.FAILED, "escrow: close grace")]
    await desk.step(opened.view())
    outbox.forgets = True
    opened.to_window(2)
    await desk.plan(opened.view(), planned())
    assert (outbox.retried, outbox.submitted) == (["close:1"], ["close:1"])


async def test_bug_the_desk_keeps_nothing_of_what_settled(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    for window in range(2, 2 + 3 * FAILURE_WINDOWS):
        opened.to_window(window)
        for kind, state in (("close", EffectState.FAILED), ("claim", EffectState.FINAL)):
            key = f"{kind}:{window}"
            await desk.plan(opened.view(), planned(key))
            outbox.settles.append(entry(key, state, "" if state.value == "final" else "no"))
        await desk.step(opened.view())
    assert len(desk._passed) == 0
    assert len(desk._failed) <= FAILURE_WINDOWS + 1


async def test_what_waits_is_counted_and_told_once(
    desk: EffectDesk,
    outbox: FakeOutbox,
    opened: Chain,
    metrics: Metrics,
    log_lines: list[dict[str, object]],
) -> None:
    await desk.plan(opened.view(), planned())
    waiting = replace(outbox.entries["close:1"], reason="the base fee is above the cap")
    outbox.entries["close:1"] = waiting
    for _ in range(2):
        await desk.step(opened.view())
    value = metrics.registry.get_sample_value("workdeed_effects", {"state": "intent"})
    assert value == 1
    assert [line["event"] for line in log_lines] == ["trouble", "trouble_goes_on"]


async def test_what_settles_is_counted_by_kind_and_state(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain, metrics: Metrics
) -> None:
    outbox.settles = [
        entry("claim:0a", EffectState.FINAL),
        entry("claim:0b", EffectState.FINAL),
        entry("claim:0c", EffectState.SUPERSEDED),
        entry("request-close:1:9:final", EffectState.FAILED, "desk: no payer"),
    ]
    for _ in range(2):  # each settles once
        await desk.step(opened.view())
    found = {
        (sample.labels["kind"], sample.labels["state"]): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "workdeed_effects_settled_total"
    }
    assert {key for key, count in found.items() if not count} == {
        (kind, "failed") for kind in KINDS if kind != "request-close"
    }
    assert {key: count for key, count in found.items() if count} == {
        ("claim", "final"): 2,
        ("claim", "superseded"): 1,
        ("request-close", "failed"): 1,
    }


async def test_a_stop_hands_over_what_is_signed_only(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    await desk.plan(opened.view(), planned())
    await desk.finish()
    assert outbox.steps == 0
    outbox.entries["close:1"] = entry("close:1", EffectState.SIGNED)
    outbox.settles = [entry("close:1", EffectState.SENT)]
    await desk.finish()
    assert outbox.steps == 1
    outbox.entries["close:1"] = entry("close:1", EffectState.SIGNED)
    await desk.finish()
    assert outbox.steps == 1 + FINISH_STEPS


async def test_without_a_sender_nothing_happens(
    opened: Chain, once: OnceLog, metrics: Metrics
) -> None:
    desk = EffectDesk(None, lambda: opened.books, get_log(), once, metrics)
    assert not desk.sends
    await desk.plan(opened.view(), planned())
    await desk.step(opened.view())
    await desk.finish()


def test_every_key_begins_with_a_kind_that_is_counted() -> None:
    """A kind that is not listed would be counted from its second failure on only."""
    source = "".join(
        path.read_text() for path in sorted(Path(effects.__file__).parent.glob("*.py"))
    )
    begins = set(re.findall(r'key ?= ?f"([a-z-]+):', source))
    assert begins == set(KINDS)


async def test_a_standby_passes_nothing_on_until_it_is_its_turn(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    outbox.token = None
    outbox.entries["close:1"] = entry("close:1", EffectState.SIGNED)
    await desk.plan(opened.view(), planned())
    await desk.step(opened.view())
    await desk.finish()
    assert (outbox.submitted, outbox.steps) == ([], 0)
    outbox.token = 2
    await desk.plan(opened.view(), planned())
    await desk.step(opened.view())
    assert (outbox.submitted, outbox.steps) == (["close:1"], 1)


async def test_what_was_passed_on_is_passed_on_again_after_another_sent(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    await desk.plan(opened.view(), planned())
    outbox.token = 3  # lost and won again between two rounds
    for _ in range(2):
        await desk.plan(opened.view(), planned())
    assert outbox.submitted == ["close:1", "close:1"]


async def test_a_keeper_that_loses_its_turn_counts_nothing_as_under_way(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain, metrics: Metrics
) -> None:
    await desk.plan(opened.view(), planned())
    await desk.step(opened.view())
    sample = "workdeed_effects", {"state": "intent"}
    assert metrics.registry.get_sample_value(*sample) == 1
    outbox.token = None
    await desk.step(opened.view())
    assert metrics.registry.get_sample_value(*sample) == 0


async def test_what_failed_before_a_restart_is_tried_again_in_the_next_window(
    desk: EffectDesk, outbox: FakeOutbox, opened: Chain
) -> None:
    """It used to stay failed for good: only failures of the same process were remembered."""
    outbox.entries["close:1"] = entry("close:1", EffectState.FAILED, "escrow: close grace")
    await desk.plan(opened.view(), planned())
    assert outbox.retried == []
    opened.to_window(2)
    await desk.plan(opened.view(), planned())
    assert outbox.retried == ["close:1"]
