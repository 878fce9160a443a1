"""Report data comes from anywhere, and only if it is that of the chain."""

from __future__ import annotations

import pytest
from books_support import Chain, leaf, report_data
from http_support import FakeEndpoints

from workdeed.keeper.peers import AddressBook
from workdeed.keeper.reportdata import ReportData, ReportSource
from workdeed.protocol.merkle import leaf_hash, verify
from workdeed.protocol.messages import Report
from workdeed.protocol.report import encode_leaves
from workdeed.sdk.errors import NoProofError

LEAVES = [leaf(1, 1, 5), leaf(1, 2, 7), leaf(1, 0, 12)]


def message(data: ReportData) -> Report:
    return Report(header=data.header, leaves=encode_leaves(data.leaves))


@pytest.fixture
def endpoints() -> FakeEndpoints:
    return FakeEndpoints()


async def test_own_data_comes_first_and_is_kept(chain: Chain, endpoints: FakeEndpoints) -> None:
    data = chain.report(2, LEAVES)
    (state,) = chain.books.reports.values()
    asked: list[int] = []

    async def own(window: int) -> Report | None:
        asked.append(window)
        return message(data)

    source = ReportSource(endpoints, AddressBook({}), own)
    for _ in range(2):
        found = await source.get(chain.view(), state)
    assert found.leaves == data.leaves
    assert asked == [2]
    assert verify(state.root, leaf_hash(*LEAVES[0]), found.proof(LEAVES[0]))


async def test_peers_are_asked_until_one_has_the_right_data(
    chain: Chain, endpoints: FakeEndpoints
) -> None:
    data = chain.report(2, LEAVES)
    (state,) = chain.books.reports.values()
    forged = message(report_data(2, LEAVES[:2]))
    other_header = message(data).model_copy(
        update={"header": data.header.model_copy(update={"turn": 9})}
    )
    endpoints.on("GET", "http://forged/reports/2", forged.to_json())
    endpoints.on("GET", "http://header/reports/2", other_header.to_json())
    endpoints.on("GET", "http://garbage/reports/2", b"{")
    endpoints.on("GET", "http://good/reports/2", message(data).to_json())
    bad = ["http://down", "http://forged", "http://header", "http://garbage"]
    with pytest.raises(NoProofError, match="report of window 2"):
        await ReportSource(endpoints, AddressBook({}, bad)).get(chain.view(), state)
    source = ReportSource(endpoints, AddressBook({}, [*bad, "http://good"]))
    assert (await source.get(chain.view(), state)).leaves == data.leaves


async def test_own_data_of_another_report_is_not_taken(
    chain: Chain, endpoints: FakeEndpoints
) -> None:
    chain.report(2, LEAVES)
    (state,) = chain.books.reports.values()

    async def own(_: int) -> Report | None:
        return message(report_data(2, LEAVES[:1]))

    source = ReportSource(endpoints, AddressBook({}), own)
    with pytest.raises(NoProofError):
        await source.get(chain.view(), state)
