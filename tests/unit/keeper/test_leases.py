"""What a keeper tells of its leases: in its log, its metrics and at `/readyz`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from workdeed.chain.leases import Lease
from workdeed.chain.store import Store
from workdeed.keeper.leases import Leases
from workdeed.keeper.logs import get_log
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.settings import LeaseSettings

ACCOUNT = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


class Party:
    """One keeper's leases."""

    def __init__(self, database: str, *, standby: bool) -> None:
        self.store = Store.open(database)
        self.metrics = Metrics()
        settings = LeaseSettings(ttl_seconds=3_600, standby=standby)
        self.leases = Leases(self.store, settings, 31_337, get_log(), self.metrics)

    def sender(self) -> Lease:
        made = self.leases.sender(ACCOUNT)
        assert made is not None
        return made

    def member(self) -> Lease:
        made = self.leases.member(ACCOUNT)
        assert made is not None
        return made

    @property
    def troubles(self) -> list[str]:
        return [one.trouble() for one in self.leases.readiness]

    @property
    def notes(self) -> list[str]:
        return [one.note() for one in self.leases.readiness]

    def sample(self, name: str, kind: str = "sender") -> float | None:
        return self.metrics.registry.get_sample_value(name, {"lease": kind})


@pytest.fixture
async def parties(postgres: str) -> AsyncIterator[list[Party]]:
    """A keeper that must send, one that may stand by, and one more that must send."""
    made = [Party(postgres, standby=standby) for standby in (False, True, False)]
    yield made
    for party in made:
        await party.store.close()


async def test_a_database_of_ones_own_needs_no_lease() -> None:
    party = Party("sqlite://", standby=False)
    assert party.leases.sender(ACCOUNT) is None
    assert party.leases.follower() is None
    assert party.leases.member(ACCOUNT) is None
    assert party.leases.readiness == ()
    await party.store.close()


@pytest.mark.postgres
async def test_a_standby_is_ready_only_where_it_is_meant_to_be_one(parties: list[Party]) -> None:
    one, standby, surplus = parties
    async with one.sender(), standby.sender(), surplus.sender():
        assert (one.troubles, one.notes) == ([""], [""])
        assert standby.troubles == [""]
        assert "standby: " in standby.notes[0]
        assert "stop one of the two, or set lease.standby = true" in surplus.troubles[0]


@pytest.mark.postgres
async def test_anybody_may_read_the_chain(parties: list[Party]) -> None:
    leases = [party.leases.follower() for party in parties]
    async with leases[0], leases[1], leases[2]:  # type: ignore[union-attr]
        assert [party.troubles for party in parties] == [[""]] * 3
        assert ["reads the chain" in party.notes[0] for party in parties] == [False, True, True]


@pytest.mark.postgres
async def test_a_takeover_is_counted_and_logged(
    parties: list[Party], postgres: str, log_lines: list[dict[str, object]]
) -> None:
    one, standby, _ = parties
    held, taken = "workdeed_lease_held", "workdeed_lease_takeovers_total"
    async with one.sender() as first, standby.sender() as second:
        assert [party.sample(held) for party in (one, standby)] == [1, 0]
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute("UPDATE leases SET expires_at = clock_timestamp()")
        await second.keep()
        await first.keep()
        assert [party.sample(held) for party in (one, standby)] == [0, 1]
        assert [party.sample(taken) for party in (one, standby)] == [0, 1]
    told = [line["event"] for line in log_lines]
    assert told == ["lease_taken", "lease_taken", "lease_lost", "lease_released"]


@pytest.mark.postgres
async def test_a_lease_that_was_given_back_is_no_takeover(parties: list[Party]) -> None:
    one, standby, _ = parties
    async with standby.sender() as second:
        await second.__aexit__()
        async with one.sender():
            pass
    assert one.sample("workdeed_lease_takeovers_total") == 0


@pytest.mark.postgres
async def test_one_keeper_of_a_pair_acts_for_the_member_and_the_other_says_so(
    parties: list[Party],
) -> None:
    one, standby, surplus = parties
    async with one.member(), standby.member(), surplus.member():
        assert (one.troubles, one.notes) == ([""], [""])
        assert standby.troubles == [""]
        assert "acts for this member" in standby.notes[0]
        assert standby.notes[0].startswith("standby: ")
        assert "acts for this member; stop one of the two" in surplus.troubles[0]
        assert [party.sample("workdeed_lease_held", "member") for party in parties] == [1, 0, 0]


@pytest.mark.postgres
async def test_who_does_not_send_does_not_act_for_the_member(parties: list[Party]) -> None:
    one, standby, _ = parties
    async with one.sender(), standby.sender(), standby.member() as waiting:
        assert not waiting.held
        async with one.member() as acting:
            assert acting.held
