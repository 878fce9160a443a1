"""What an oracle keeps on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from workdeed.oracle.errors import StoreError
from workdeed.oracle.store import OracleStore
from workdeed.protocol.figures import Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import ProvenLeaf, SignedObservation
from workdeed.protocol.report import Leaf, ReportHeader, data_hash, encode_leaves

from .support import ESCROW, oracle

LEAVES = [Leaf(ESCROW, 1, 2, 30)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OracleStore]:
    opened = OracleStore.open(tmp_path / "deep" / "oracle.db")
    yield opened
    opened.close()


def observation(window: int, member: int, *, epoch: int = 1, figure: int = 0) -> SignedObservation:
    return SignedObservation(
        window=window,
        committee_epoch=epoch,
        snapshot_hash=keccak(b"start"),
        evidence_root=keccak(b"evidence"),
        pairs=(Pair(ESCROW, 1, 2),),
        figures=(figure,),
        member=oracle(member).address,
        signature=bytes(65),
    )


def header(window: int, turn: int = 0) -> ReportHeader:
    return ReportHeader(
        window=window,
        turn=turn,
        base_window=0,
        base_root=bytes(32),
        snapshot_hash=keccak(b"end"),
        observations=(),
        open=(),
        leaves_hash=keccak(encode_leaves(LEAVES)),
    )


def proven(license_id: int, window: int = 3) -> ProvenLeaf:
    return ProvenLeaf(
        escrow=ESCROW, job_id=1, license_id=license_id, units=window, proof=(bytes(32),)
    )


class TestObservations:
    def test_what_is_kept_comes_back(self, store: OracleStore) -> None:
        one = observation(3, 0)
        store.put_observations([one])
        assert store.observation(3, one.member) == one
        assert store.observation(4, one.member) is None
        assert store.observation(3, oracle(1).address) is None

    def test_the_first_one_stays(self, store: OracleStore) -> None:
        store.put_observations([observation(3, 0, figure=1)])
        store.put_observations([observation(3, 0, figure=2)])
        assert store.observations(3) == (observation(3, 0, figure=1),)

    def test_it_can_be_replaced_on_purpose(self, store: OracleStore) -> None:
        store.put_observations([observation(3, 0, figure=1)])
        store.put_observations([observation(3, 0, figure=2)], replace=True)
        assert store.observations(3) == (observation(3, 0, figure=2),)

    def test_the_latest_epoch_counts(self, store: OracleStore) -> None:
        for epoch in (2, 3, 1):
            store.put_observations([observation(3, 0, epoch=epoch)])
        assert store.observation(3, oracle(0).address) == observation(3, 0, epoch=3)
        assert store.observations(3) == (observation(3, 0, epoch=3),)

    def test_they_come_by_member(self, store: OracleStore) -> None:
        store.put_observations(observation(3, index) for index in range(4))
        found = [one.member.lower() for one in store.observations(3)]
        assert found == sorted(found)
        assert len(found) == 4


class TestReports:
    def test_what_is_kept_comes_back(self, store: OracleStore) -> None:
        store.put_report(header(3), keccak(b"root"), encode_leaves(LEAVES))
        found = store.report(data_hash(header(3)))
        assert found is not None
        assert found.header == header(3)
        assert found.root == keccak(b"root")
        assert found.decoded() == LEAVES
        assert store.report(bytes(32)) is None

    def test_a_window_may_have_several_until_one_is_accepted(self, store: OracleStore) -> None:
        for turn in (0, 1):
            store.put_report(header(3, turn), bytes(32), encode_leaves(LEAVES))
        for turn in (0, 1):
            found = store.report(data_hash(header(3, turn)))
            assert found is not None
            assert found.header.turn == turn

    def test_it_is_kept_over_a_restart(self, tmp_path: Path) -> None:
        path = tmp_path / "oracle.db"
        store = OracleStore.open(path)
        store.put_report(header(3), bytes(32), b"")
        store.close()
        again = OracleStore.open(path)
        assert again.report(data_hash(header(3))) is not None
        again.close()


class TestRecovered:
    def test_leaves_add_up_and_come_in_pages(self, store: OracleStore) -> None:
        store.put_recovered(3, [proven(5), proven(2)])
        store.put_recovered(3, [proven(5), proven(7)])
        store.put_recovered(4, [proven(9)])
        assert [one.license_id for one in store.recovered(3)] == [2, 5, 7]
        assert [one.license_id for one in store.recovered(3, offset=1, limit=1)] == [5]
        assert store.recovered(3, offset=3, limit=9) == ()


def test_old_windows_are_forgotten(store: OracleStore) -> None:
    for window in (2, 3):
        store.put_observations([observation(window, 0)])
        store.put_report(header(window), bytes(32), b"")
        store.put_recovered(window, [proven(5)])
    store.prune(3)
    assert store.observations(2) == ()
    assert store.report(data_hash(header(2))) is None
    assert store.recovered(2) == ()
    assert len(store.observations(3)) == len(store.recovered(3)) == 1
    assert store.report(data_hash(header(3))) is not None


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_batch_is_kept_as_a_whole_or_not_at_all(store: OracleStore) -> None:
    bad = observation(3, 1).model_copy(update={"member": ["nobody"]})
    with pytest.raises(StoreError, match="can't be written"):
        store.put_observations([observation(3, 0), bad])
    assert store.observations(3) == ()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    store = OracleStore.open(tmp_path / "oracle.db")
    (level,) = store._read("PRAGMA synchronous", ())[0]
    assert level == 2
    store.close()


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "oracle.db"
    OracleStore.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="version 99"):
        OracleStore.open(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "oracle.db"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="can't be opened"):
        OracleStore.open(path)


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    store = OracleStore.open(tmp_path / "oracle.db")
    store.close()
    with pytest.raises(StoreError, match="can't be read"):
        store.observations(3)
