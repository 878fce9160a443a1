"""The spec store follows the chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from books_support import Chain
from http_support import FakeEndpoints

from workdeed.chain.books import Books
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.specs import SpecStore
from workdeed.keeper.specsync import SpecSync, specs_on_chain
from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.fields import to_hex
from workdeed.protocol.hashing import keccak

SPEC = canonical_bytes({"name": "one"})
PATH = f"/specs/{to_hex(keccak(SPEC))}"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def specs(tmp_path: Path) -> SpecStore:
    return SpecStore(tmp_path / "specs")


@pytest.fixture
def endpoints() -> FakeEndpoints:
    return FakeEndpoints()


@pytest.fixture
def sync(
    specs: SpecStore, endpoints: FakeEndpoints, once: OnceLog, metrics: Metrics, clock: Clock
) -> SpecSync:
    book = AddressBook({}, ["http://one", "http://two"])
    return SpecSync(specs, book, endpoints, once, metrics, None, now=clock)


def test_the_measured_spec_stays_beside_the_current_one(chain: Chain) -> None:
    chain.open_job(1, spec=b"old")
    assert specs_on_chain(chain.books, 1) == {keccak(b"old")}
    chain.to_window(3)
    chain.revise(1, b"new")
    assert specs_on_chain(chain.books, 3) == {keccak(b"old"), keccak(b"new")}
    assert specs_on_chain(chain.books, 4) == {keccak(b"new")}
    chain.close(1, 0)
    assert specs_on_chain(chain.books, 4) == set()


async def test_a_missing_spec_is_fetched_from_the_first_that_has_it(
    sync: SpecSync, specs: SpecStore, endpoints: FakeEndpoints, chain: Chain, metrics: Metrics
) -> None:
    endpoints.on("GET", f"http://one{PATH}", canonical_bytes({"name": "forged"}))
    endpoints.on("GET", f"http://two{PATH}", SPEC)
    chain.open_job(1, spec=SPEC)
    await sync.run(chain.view())
    assert specs.get(keccak(SPEC)) == SPEC
    assert metrics.registry.get_sample_value("workdeed_missing_specs") == 0


async def test_keepers_are_not_asked_all_the_time(
    sync: SpecSync, endpoints: FakeEndpoints, chain: Chain, metrics: Metrics, clock: Clock
) -> None:
    chain.open_job(1, spec=SPEC)
    for _ in range(3):
        await sync.run(chain.view())
    assert len(endpoints.asked) == 2
    assert metrics.registry.get_sample_value("workdeed_missing_specs") == 1
    clock.now += 1
    await sync.run(chain.view())
    assert len(endpoints.asked) == 4


async def test_an_own_find_needs_no_keeper(
    sync: SpecSync, specs: SpecStore, endpoints: FakeEndpoints, chain: Chain
) -> None:
    specs.put(keccak(SPEC), SPEC)
    chain.open_job(1, spec=SPEC)
    await sync.run(chain.view())
    assert endpoints.asked == []


async def test_books_that_did_not_change_are_not_searched_again(
    sync: SpecSync, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With thousands of jobs the search held up a dispatch at every poll."""
    searched: list[int] = []

    def search(_: Books, window: int) -> set[bytes]:
        searched.append(window)
        return set()

    monkeypatch.setattr("workdeed.keeper.specsync.specs_on_chain", search)
    view = chain.view()
    for _ in range(3):
        await sync.run(view)
    assert searched == [view.window]
    await sync.run(replace(view, version=view.version + 1))
    chain.to_window(view.window + 1)
    await sync.run(chain.view())
    assert searched == [view.window, view.window, view.window + 1]
