"""The answers that an oracle keeps as evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from workdeed.oracle.errors import StoreError
from workdeed.oracle.evidence import EvidenceLog
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MIB
from workdeed.protocol.messages import Answer, sign

from .support import CHAIN_ID, DOMAIN, account, key_of


def answer(nonce: int) -> Answer:
    unsigned = Answer(
        chain_id=CHAIN_ID,
        license_id=101,
        node=account("node"),
        nonce=keccak(b"%d" % nonce),
        window=3,
        instance_id=bytes(16),
        workloads=(),
    )
    return sign(unsigned, DOMAIN, key_of("node"))


def test_answers_are_kept_by_window_with_the_hash_that_stands_for_them(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path)
    assert log.add(3, answer(1)) == keccak(answer(1).canonical())
    log.add(3, answer(2))
    log.add(4, answer(3))
    assert list(log.answers(3)) == [answer(1).canonical(), answer(2).canonical()]
    log.close(3)
    log.close(3)
    assert list(log.answers(3)) == [answer(1).canonical(), answer(2).canonical()]
    assert list(log.answers(4)) == [answer(3).canonical()]
    assert list(log.answers(5)) == []
    log.shut()


def test_they_last_over_a_restart_but_for_a_torn_line(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path)
    log.add(3, answer(1))
    log.shut()
    with (tmp_path / "3.jsonl").open("ab") as file:
        file.write(b'{"torn')
    assert list(EvidenceLog(tmp_path).answers(3)) == [answer(1).canonical()]


def test_answers_are_counted_and_found_where_they_begin(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path)
    lines = [answer(number).canonical() for number in range(4)]
    for number in range(4):
        log.add(3, answer(number))
    assert log.size(3) == sum(map(len, lines)) + 4
    assert (log.count(3, 10), log.count(5, 10), log.size(5)) == (4, 0, 0)
    places = [0, 2 * (len(lines[0]) + 1)]
    assert list(log.answers_at(3, places)) == [lines[0], lines[2]]
    assert list(log.answers_at(5, [])) == []
    log.shut()


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path)
    with pytest.raises(StoreError, match="window 3 can't be read"):
        list(log.answers_at(3, [0]))
    with (tmp_path / "3.jsonl").open("wb") as file:
        file.truncate(64 * MIB)  # as a loss of power may leave it
    with pytest.raises(StoreError, match="window 3 are damaged"):
        list(log.answers(3))
    with pytest.raises(StoreError, match="window 3 are damaged"):
        list(log.answers_at(3, [64 * MIB]))


def test_old_windows_are_deleted(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path)
    for window in (1, 2, 3):
        log.add(window, answer(window))
    log.close(1)
    (tmp_path / "notes.txt").write_text("not ours")
    log.prune(3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.jsonl", "notes.txt"]
    assert list(log.answers(1)) == []
    assert list(log.answers(2)) == []  # nobody closed it
    assert list(log.answers(3)) == [answer(3).canonical()]
    assert (tmp_path / "notes.txt").exists()
    log.shut()
