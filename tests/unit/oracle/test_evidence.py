"""The answers that an oracle keeps as evidence."""

from __future__ import annotations

from pathlib import Path

from workdeed.oracle.evidence import EvidenceLog
from workdeed.protocol.hashing import keccak
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
    assert log.answers(3) == [answer(1).canonical(), answer(2).canonical()]
    log.close(3)
    log.close(3)
    assert log.answers(3) == [answer(1).canonical(), answer(2).canonical()]
    assert log.answers(4) == [answer(3).canonical()]
    assert log.answers(5) == []
    log.shut()


def test_they_last_over_a_restart_but_for_a_torn_line(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path)
    log.add(3, answer(1))
    log.shut()
    with (tmp_path / "3.jsonl").open("ab") as file:
        file.write(b'{"torn')
    assert EvidenceLog(tmp_path).answers(3) == [answer(1).canonical()]


def test_old_windows_are_deleted(tmp_path: Path) -> None:
    log = EvidenceLog(tmp_path)
    for window in (1, 2, 3):
        log.add(window, answer(window))
    log.close(1)
    (tmp_path / "notes.txt").write_text("not ours")
    log.prune(3)
    assert log.answers(1) == []
    assert log.answers(2) == [answer(2).canonical()]  # still being written
    assert (tmp_path / "notes.txt").exists()
    log.shut()
