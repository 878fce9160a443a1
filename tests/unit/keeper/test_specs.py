"""The spec store: what it takes, keeps and drops."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workdeed.keeper.errors import SpecRefusedError
from workdeed.keeper.specs import SpecStore
from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_SPEC_BYTES


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> SpecStore:
    return SpecStore(tmp_path / "specs", max_waiting=2, waiting_seconds=60, now=clock)


def spec(name: str) -> tuple[bytes, bytes]:
    data = canonical_bytes({"name": name})
    return keccak(data), data


def test_a_spec_comes_back_also_after_a_restart(
    store: SpecStore, tmp_path: Path, clock: Clock
) -> None:
    digest, data = spec("one")
    assert store.get(digest) is None
    store.put(digest, data)
    store.put(digest, data)
    assert store.get(digest) == data
    assert SpecStore(tmp_path / "specs", now=clock).get(digest) == data


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'{"b":1,"a":2}', "spec: "),
        (b"[1]", "no JSON object"),
        (b"\xff", "spec: "),
        (b'"' + b"x" * MAX_SPEC_BYTES + b'"', "at most"),
    ],
)
def test_other_bytes_are_refused(store: SpecStore, data: bytes, sentence: str) -> None:
    with pytest.raises(SpecRefusedError, match=sentence):
        store.put(keccak(data), data)
    assert len(store) == 0


def test_a_wrong_hash_is_refused(store: SpecStore) -> None:
    with pytest.raises(SpecRefusedError, match="hash: "):
        store.put(keccak(b"other"), spec("one")[1])


def test_what_is_not_on_chain_waits_for_a_while_only(store: SpecStore, clock: Clock) -> None:
    (kept, kept_data), (waiting, waiting_data) = spec("kept"), spec("waiting")
    store.put(kept, kept_data)
    store.put(waiting, waiting_data)
    clock.now += 59
    assert store.keep({kept}) == 0
    clock.now += 2
    assert store.keep({kept}) == 1
    assert store.get(kept) == kept_data
    assert store.get(waiting) is None


def test_only_so_many_wait_and_the_oldest_goes(store: SpecStore, clock: Clock) -> None:
    on_chain, data = spec("on chain")
    store.put(on_chain, data)
    store.keep({on_chain})
    digests = []
    for name in ("a", "b", "c"):
        clock.now += 1
        digest, data = spec(name)
        store.put(digest, data)
        digests.append(digest)
    assert [store.get(one) is not None for one in (*digests, on_chain)] == [
        False,
        True,
        True,
        True,
    ]


def test_a_damaged_file_is_dropped_and_missing(store: SpecStore, tmp_path: Path) -> None:
    digest, data = spec("one")
    store.put(digest, data)
    (path,) = (tmp_path / "specs").iterdir()
    path.write_bytes(b"{}")
    assert store.get(digest) is None
    assert store.missing({digest}) == {digest}
    store.put(digest, data)
    os.unlink(path)  # noqa: PTH108 - as an operator would
    assert store.get(digest) is None


def test_leftovers_and_foreign_files_are_no_specs(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "0x12.part").write_bytes(b"half")
    (folder / "README").write_text("mine")
    assert len(SpecStore(folder)) == 0
    assert [path.name for path in folder.iterdir()] == ["README"]
