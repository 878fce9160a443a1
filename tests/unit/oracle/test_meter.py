"""What a committee's oracles tell of turns, signatures and refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from workdeed.oracle.errors import NotYetError, StoreError
from workdeed.oracle.meter import Meter
from workdeed.protocol.hashing import keccak

from .cluster import Cluster
from .meters import RecordingMeter
from .support import Sim, with_job

LEADER = 2
"""Leads turn 0 of window 2."""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path, sim=with_job(Sim()))
    made.meters = {index: RecordingMeter() for index in range(made.n)}
    made.open_all()
    yield made
    await made.close()


def meter(cluster: Cluster, index: int) -> RecordingMeter:
    found = cluster.meters[index]
    assert isinstance(found, RecordingMeter)
    return found


async def test_a_round_is_led_once_and_signed_by_all(cluster: Cluster) -> None:
    await cluster.settle(2)
    for index in range(cluster.n):
        found = meter(cluster, index)
        assert found.of("led") == (["report"] if index == LEADER else [])
        assert found.count("signed") == 1
        assert found.of("refused") == []


async def test_a_turn_without_a_quorum_failed(cluster: Cluster) -> None:
    cluster.wire.silent = {cluster.member(0), cluster.member(1)}
    await cluster.to_window(3)
    await cluster.round(2, turns=1)
    assert meter(cluster, LEADER).of("led") == ["failed"]
    assert meter(cluster, LEADER).count("signed") == 0


async def test_nothing_to_report_is_no_failure(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, n=1, sim=Sim(members=1))
    cluster.meters = {0: RecordingMeter()}
    cluster.open_all()
    await cluster.to_window(3)
    await cluster.round(2, turns=1)
    assert set(meter(cluster, 0).of("led")) == {"idle"}
    await cluster.close()


async def test_what_is_missing_only_delays_a_turn(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_yet(window: int) -> None:
        raise NotYetError("the chain is not read so far")

    await cluster.to_window(3)
    monkeypatch.setattr(cluster.seats[LEADER].service._facts, "round", not_yet)
    await cluster.round(2, turns=1)
    assert set(meter(cluster, LEADER).of("led")) == {"delayed"}


async def test_a_report_that_others_compute_differently_is_refused_by_its_field(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader drops a license: all others compute other leaves."""
    await cluster.to_window(3)
    member = cluster.seats[LEADER].service._member
    honest = member.draft

    def without_leaves(*args: object) -> object:
        draft = honest(*args)  # type: ignore[arg-type]
        half = draft.leaves[: len(draft.leaves) // 2]
        header = draft.header.model_copy(update={"leaves_hash": keccak(half)})
        return replace(draft, header=header, leaves=half)

    monkeypatch.setattr(member, "draft", without_leaves)
    await cluster.round(2, turns=1)
    for index in set(range(cluster.n)) - {LEADER}:
        assert meter(cluster, index).of("refused") == ["leaves"]
        assert meter(cluster, index).count("signed") == 0


async def test_a_store_that_fails_is_told_by_who_follows(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = StoreError("database: it can't be written (disk I/O error)")

    def fail(*_: object) -> None:
        raise broken

    await cluster.to_window(3)
    monkeypatch.setattr(cluster.seats[0].store, "put_report", fail)
    await cluster.round(2, turns=1)
    assert meter(cluster, 0).of("fault") == [broken]


def test_the_base_takes_no_note() -> None:
    """So that an oracle without a keeper needs no meter."""
    base = Meter()
    base.watching([1])
    base.probed(1, 0.1, answered=True)
    base.judged(["ok"])
    base.kept()
    base.led("idle")
    base.signed()
    base.refused("leaves")
    base.fault(ValueError("broken"))
    assert vars(base) == {}
