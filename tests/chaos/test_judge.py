"""The judge finds what is wrong in the records that it is given."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from scripts._demo.ledger import Account
from tests.chaos.judge import (
    ChainLedger,
    _counted_twice,
    _repeated,
    _uncounted,
    _unfinished,
    _unpaid,
    merkle_root,
    overpaid,
    signed_twice,
    underpaid,
)
from tests.chaos.wire import SignatureLog
from workdeed.chain.rpc import RpcClient
from workdeed.protocol.report import Leaf, encode_leaves, report_tree
from workdeed.protocol.signing import to_checksum

ESCROW = to_checksum(bytes(range(20)))
LEAVES = [Leaf(ESCROW, job, license_id, 7 * job) for job in (1, 2) for license_id in (0, 5, 6)]


@pytest.fixture
def ledger() -> ChainLedger:
    return ChainLedger(RpcClient("http://127.0.0.1:1"), {}, 0)


def account(**changes: object) -> Account:
    content = {"job_id": 1, "price": 10_000, "policy": 1, "fee_bps": 0, "slots": 1, "windows": 2}
    return Account(**(content | {"deposited": 20_000, "funded_units": 20_000} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", range(7))
def test_its_root_is_the_one_that_oracles_sign(count: int) -> None:
    leaves = LEAVES[:count]
    assert merkle_root(encode_leaves(leaves)) == report_tree(leaves).root


def test_it_finds_a_member_that_signed_two_roots(tmp_path: Path) -> None:
    log = SignatureLog(tmp_path / "signatures.jsonl")
    log.add("member", ("report", 3, 1, 0), b"root")
    log.add("member", ("report", 3, 1, 0), b"root")
    log.add("member", ("report", 3, 2, 0), b"other root")
    log.add("other member", ("report", 3, 1, 0), b"other root")
    assert signed_twice([tmp_path]) == []
    log.add("member", ("report", 3, 1, 0), b"other root")
    (found,) = signed_twice([tmp_path])
    assert "member" in found


def test_it_finds_two_signatures_over_the_folders_of_two_processes(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        log = SignatureLog(folder / "signatures.jsonl")
        log.add("member", ("placement", 1, 0, 4), folder.name.encode())
    assert len(signed_twice(folders)) == 1


def test_it_finds_what_was_counted_twice_or_never() -> None:
    assert len(list(_uncounted([1, 0, 2]))) == 1
    assert len(list(_counted_twice([1, 0, 2]))) == 1


def test_it_finds_jobs_that_were_not_finished(ledger: ChainLedger) -> None:
    placed = [(1, (), (5,))]
    ledger.jobs = {
        1: account(placed=placed),
        2: account(state="closed", placed=placed),
        3: account(),
        4: account(state="closed", placed=placed, refunded=20_000),
    }
    found = list(_unfinished(ledger, [1, 2, 3, 4, 5]))
    assert [text.split(":")[0] for text in found] == ["job 1", "job 2", "job 3", "job 5"]


def test_it_finds_units_that_were_not_paid(ledger: ChainLedger) -> None:
    ledger.jobs = {1: account(units={5: 10_000})}
    assert list(_unpaid(ledger, {(1, 5): 10_000})) == []
    assert len(list(_unpaid(ledger, {(1, 5): 10_001, (1, 6): 1, (2, 5): 1}))) == 3


def test_it_finds_what_is_on_chain_twice(ledger: ChainLedger) -> None:
    ledger.reports = [1, 2]
    ledger.placed.update([(1, 0), (1, 1)])
    assert list(_repeated(ledger)) == []
    ledger.reports.append(2)
    ledger.placed.update([(1, 1)])
    ledger.closed.update([(1, 5)] * 2)
    ledger.credits.update([(1, 5, 7)] * 2)
    assert len(list(_repeated(ledger))) == 4


LIED = {(5, 12), (6, 13)}
"""License and window."""


def caught(license_id: int, window: int, serving: Collection[int]) -> bool:
    assert license_id in serving
    return (license_id, window) in LIED


@pytest.fixture
def served(ledger: ChainLedger) -> ChainLedger:
    """A job from 11 to 14: license 5 for all of it, 6 until its release in 12, then 7."""
    placed = [(10, (), (5, 6)), (12, (6,), (7,))]
    units = {5: 30_000, 6: 20_000, 7: 20_000}
    ledger.jobs = {1: account(placed=placed, end=15, units=units)}
    return ledger


def test_who_lied_is_to_be_paid_for_the_windows_in_which_it_did_not(served: ChainLedger) -> None:
    assert list(underpaid(served, caught)) == []
    assert list(overpaid(served, caught)) == []


def test_it_finds_who_was_paid_less_or_more_than_it_earned(served: ChainLedger) -> None:
    served.jobs[1].units |= {5: 30_001, 6: 19_999}
    del served.jobs[1].units[7]
    assert [text.split()[3] for text in underpaid(served, caught)] == ["6", "7"]
    assert [text.split()[3] for text in overpaid(served, caught)] == ["5"]


def test_lines_of_the_log_are_json(tmp_path: Path) -> None:
    log = SignatureLog(tmp_path / "signatures.jsonl")
    log.add("member", ("report", 1, 2, 3), b"\1")
    (line,) = (tmp_path / "signatures.jsonl").read_text().splitlines()
    assert json.loads(line) == {"member": "member", "about": ["report", 1, 2, 3], "content": "01"}
