"""Which complete report is submitted, by whom, and when."""

from __future__ import annotations

import pytest

from workdeed.oracle.committee import Committee
from workdeed.oracle.submission import ReadyReport, fits, is_my_time, merged
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Signatures
from workdeed.protocol.report import ReportHeader, data_hash

from .support import Sim, oracle


def ready(
    window: int = 5,
    *,
    turn: int = 0,
    count: int = 3,
    epoch: int = 4,
    base: int = 0,
    since: float = 100.0,
) -> ReadyReport:
    header = ReportHeader(
        window=window,
        turn=turn,
        base_window=0,
        base_root=bytes(32),
        snapshot_hash=keccak(b"end"),
        observations=(),
        open=(),
        leaves_hash=keccak(b""),
    )
    one = tuple(bytes([index]) * 65 for index in range(count))
    signatures = Signatures(header=header, root=keccak(b"root"), signatures=one)
    return ReadyReport(signatures, epoch, base, since)


def test_it_is_the_contracts_arguments() -> None:
    found = ready(turn=2).submission()
    assert (found.window, found.turn, found.root) == (5, 2, keccak(b"root"))
    assert found.data_hash == data_hash(ready(turn=2).signatures.header)
    assert found.signatures == b"".join(bytes([index]) * 65 for index in range(3))


@pytest.mark.parametrize(
    ("known", "found", "kept"),
    [
        (None, ready(), "found"),
        (ready(5), ready(6), "found"),
        (ready(6), ready(5), "known"),
        (ready(turn=1), ready(turn=0), "found"),
        (ready(turn=0), ready(turn=1), "known"),
        (ready(epoch=3), ready(epoch=4), "found"),
    ],
)
def test_members_come_to_submit_the_same(
    known: ReadyReport | None, found: ReadyReport, kept: str
) -> None:
    assert merged(known, found) == {"known": known, "found": found}[kept]


def test_more_signatures_are_taken_over_and_the_time_stays() -> None:
    known, found = ready(count=3, since=100.0), ready(count=4, since=200.0)
    assert merged(known, found) == found._replace(since=100.0)
    assert merged(found, known) == found


class TestFits:
    def test_it_builds_on_the_latest_report(self) -> None:
        sim = Sim()
        assert fits(ready(5, base=0), sim.books)
        sim.to_window(5)
        sim.report(4)
        assert not fits(ready(5, base=0), sim.books)
        assert fits(ready(5, base=4), sim.books)
        sim.report(5)
        assert not fits(ready(5, base=4), sim.books)

    def test_a_veto_uses_windows_up(self) -> None:
        sim = Sim()
        sim.to_window(5)
        sim.report(4)
        sim.veto(4)
        assert not fits(ready(5, base=0), sim.books)
        assert fits(ready(6, base=0), sim.books)

    def test_its_epoch_is_the_current_one(self) -> None:
        assert not fits(ready(epoch=3), Sim().books)


def test_the_leader_comes_first_then_the_others_in_turn() -> None:
    committee = Committee.of(Sim().books)
    report = ready(5, turn=2, since=100.0)  # led by (5 + 2) mod 4
    for index, waits in ((3, 0), (0, 2), (1, 4), (2, 6)):
        member = oracle(index).address
        assert is_my_time(report, committee, member, 100.0 + waits, 2.0)
        assert waits == 0 or not is_my_time(report, committee, member, 99.9 + waits, 2.0)
    assert not is_my_time(report, committee, oracle(9).address, 1_000.0, 2.0)
