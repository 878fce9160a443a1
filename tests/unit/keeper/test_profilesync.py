"""Profiles of nodes, as the chain names them."""

from __future__ import annotations

import asyncio
import time

import pytest
from books_support import ESCROW, MEMBERS, Chain
from http_support import FakeEndpoints

from workdeed.chain.bindings import licenses
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.profilesync import AT_ONCE, ProfileSync
from workdeed.placement import Profiles
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import NodeProfile, PlacementProposal, Resources, sign
from workdeed.protocol.signing import address_of, public_key_of

DOMAIN = Domain(COMMITTEE_DOMAIN, 31_337, ESCROW)
KEY = keccak(b"node")
DRAINING = "http://node/profile/draining"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def profile(cpu_milli: int = 1_000, memory_mb: int = 1, storage_mb: int = 1) -> NodeProfile:
    unsigned = NodeProfile(
        chain_id=31_337,
        license_id=1,
        node=address_of(KEY),
        resources=Resources(cpu_milli=cpu_milli, memory_mb=memory_mb, storage_mb=storage_mb),
        tags=(),
        runners=("war",),
        public_key=public_key_of(KEY),
    )
    return sign(unsigned, DOMAIN, KEY)


@pytest.fixture
def linked(chain: Chain) -> Chain:
    """License 1 announces the profile."""
    chain.log(licenses.LicenseIssued(1, ESCROW, licenses.NODE))
    chain.log(licenses.NodeLinked(1, address_of(KEY), ESCROW))
    chain.log(licenses.ProfileSet(1, profile().profile_hash, "http://node"))
    return chain


async def test_a_profile_is_fetched_once(linked: Chain, once: OnceLog) -> None:
    endpoints, profiles = FakeEndpoints(), Profiles(DOMAIN)
    endpoints.on("GET", "http://node/profile", profile().to_json())
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, patience=1)
    for _ in range(2):
        await sync.run(linked.view())
    assert profiles.of(linked.books.licenses[1]) == profile()
    assert len(endpoints.asked) == 1
    linked.log(licenses.ProfileSet(1, bytes(32), ""))
    await sync.run(linked.view())
    assert len(profiles) == 0


async def test_another_profile_is_not_taken_and_asked_for_with_pauses(
    linked: Chain, once: OnceLog, log_lines: list[dict[str, object]]
) -> None:
    endpoints, profiles, clock = FakeEndpoints(), Profiles(DOMAIN), Clock()
    endpoints.on("GET", "http://node/profile", profile(cpu_milli=9_000).to_json())
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, patience=1, now=clock)
    for _ in range(2):
        await sync.run(linked.view())
    assert len(profiles) == 0
    assert [url for _, url in endpoints.asked] == ["http://node/profile", DRAINING]
    assert "another profile" in str(log_lines[-1]["reason"])
    clock.now += 1
    endpoints.on("GET", "http://node/profile", profile().to_json())
    await sync.run(linked.view())
    assert len(profiles) == 1
    assert log_lines[-1]["event"] == "trouble_over"


async def test_a_fault_at_one_profile_leaves_the_others_alone(
    linked: Chain, once: OnceLog, log_lines: list[dict[str, object]]
) -> None:
    """It left fetches without an owner, and was met again in every round."""

    def broken(_: bytes) -> bytes:
        raise RuntimeError("no such thing")

    linked.log(licenses.LicenseIssued(2, ESCROW, licenses.NODE))
    linked.log(licenses.NodeLinked(2, address_of(keccak(b"broken")), ESCROW))
    linked.log(licenses.ProfileSet(2, keccak(b"profile"), "http://broken"))
    endpoints, profiles = FakeEndpoints(), Profiles(DOMAIN)
    endpoints.on("GET", "http://broken/profile", broken)
    endpoints.on("GET", "http://node/profile", profile().to_json())
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, patience=1)
    for _ in range(2):
        await sync.run(linked.view())
    assert profiles.of(linked.books.licenses[1]) == profile()
    assert endpoints.asked.count(("GET", "http://broken/profile")) == 1
    assert log_lines[-1]["reason"] == "RuntimeError: no such thing"


async def test_the_profile_of_a_node_that_drains_is_taken_once_the_chain_names_it(
    linked: Chain, once: OnceLog
) -> None:
    endpoints, profiles = FakeEndpoints(), Profiles(DOMAIN)
    endpoints.on("GET", "http://node/profile", profile().to_json())
    without_offer = profile(cpu_milli=0, memory_mb=0, storage_mb=0)
    endpoints.on("GET", DRAINING, without_offer.to_json())
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, patience=1)
    await sync.run(linked.view())
    assert profiles.of(linked.books.licenses[1]) == profile()
    linked.log(licenses.ProfileSet(1, without_offer.profile_hash, "http://node"))
    await sync.run(linked.view())
    assert profiles.of(linked.books.licenses[1]) == without_offer
    assert [url for _, url in endpoints.asked].count(DRAINING) == 1


def announce(chain: Chain, license_id: int, profile_hash: bytes, endpoint: str) -> None:
    """Issue and link a license that announces a profile."""
    chain.log(licenses.LicenseIssued(license_id, ESCROW, licenses.NODE))
    chain.log(licenses.NodeLinked(license_id, address_of(keccak(b"%d" % license_id)), ESCROW))
    chain.log(licenses.ProfileSet(license_id, profile_hash, endpoint))


def naming(
    assign: tuple[int, ...] = (), release: tuple[int, ...] = (), skipped: tuple[int, ...] = ()
) -> PlacementProposal:
    """Return a proposal that names some licenses."""
    return PlacementProposal(
        escrow=ESCROW,
        job_id=1,
        round=0,
        window=1,
        revision=0,
        release=release,
        assign=assign,
        committee_epoch=1,
        block_hash=bytes(32),
        skipped=skipped,
        member=MEMBERS[0],
    )


async def test_for_a_proposal_only_the_nodes_that_it_rests_on_are_asked(
    linked: Chain, once: OnceLog
) -> None:
    """All nodes were asked that had not given their profile yet, also those that are long gone."""
    for license_id in range(2, 9):
        announce(linked, license_id, keccak(b"%d" % license_id), f"http://node{license_id}")
    linked.open_job(1, slots=2)
    linked.place(1, [7])
    endpoints, profiles = FakeEndpoints(), Profiles(DOMAIN)
    endpoints.on("GET", "http://node/profile", profile().to_json())
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, patience=1)
    proposal = naming(assign=(1, 99), release=(4,), skipped=(5, 6))
    await sync.prepare(linked.books, proposal)
    assert profiles.of(linked.books.licenses[1]) == profile()
    asked = {url for _, url in endpoints.asked}
    assert asked == {f"http://node{one}/profile" for one in ("", 4, 5, 6, 7)}


async def test_a_proposal_waits_for_profiles_for_a_short_while_only(
    linked: Chain, once: OnceLog, log_lines: list[dict[str, object]]
) -> None:
    async def mute(_: bytes) -> bytes:
        await asyncio.sleep(60)
        raise AssertionError

    endpoints, profiles = FakeEndpoints(), Profiles(DOMAIN)
    for license_id in range(2, 100):
        announce(linked, license_id, keccak(b"%d" % license_id), f"http://node{license_id}")
        endpoints.on("GET", f"http://node{license_id}/profile", mute)
    endpoints.on("GET", "http://node/profile", profile().to_json())
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, patience=0.05)
    proposal = naming(assign=(1,), skipped=tuple(range(2, 100)))
    started = time.monotonic()
    await sync.prepare(linked.books, proposal)
    assert time.monotonic() - started < 5
    assert len(profiles) == 1
    assert len(endpoints.asked) == AT_ONCE
    assert {line["reason"] for line in log_lines} == {"no answer within 0.05 s"}


async def test_skipped_nodes_that_gave_none_are_not_asked_by_every_proposal(
    linked: Chain, once: OnceLog
) -> None:
    announce(linked, 2, keccak(b"2"), "http://node2")
    endpoints = FakeEndpoints()
    sync = ProfileSync(Profiles(DOMAIN), AddressBook({}), endpoints, once, patience=1, now=Clock())
    for _ in range(2):
        await sync.prepare(linked.books, naming(assign=(1,), skipped=(2,)))
    asked = [url for _, url in endpoints.asked]
    # Who shall be assigned answered the leader just now, and is asked all the same.
    assert asked.count("http://node/profile") == 2
    assert asked.count("http://node2/profile") == 1


async def test_many_nodes_that_are_gone_keep_no_new_one_waiting(
    linked: Chain, once: OnceLog
) -> None:
    """One look asked all of them again, some at a time, and took minutes."""
    endpoints, profiles, clock = FakeEndpoints(), Profiles(DOMAIN), Clock()
    gone = range(10, 10 + 3 * AT_ONCE)
    for license_id in gone:
        announce(linked, license_id, keccak(b"%d" % license_id), f"http://gone{license_id}")
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, patience=1, now=clock)
    await sync.run(linked.view())
    asked: list[str] = []
    for _ in range(3):
        endpoints.asked.clear()
        clock.now += 100
        await sync.run(linked.view())
        assert len(endpoints.asked) <= AT_ONCE + 1
        asked += [url for _, url in endpoints.asked]
    # In turns: none is asked a second time before all others were.
    assert {url for url in asked if "gone" in url} >= {
        f"http://gone{one}/profile" for one in gone[:-1]
    }
    endpoints.asked.clear()
    announce(linked, 2, profile().profile_hash, "http://node2")
    await sync.run(linked.view())
    assert endpoints.asked[0] == ("GET", "http://node2/profile")


async def test_who_announces_the_profile_of_another_does_not_keep_it_away(
    linked: Chain, once: OnceLog
) -> None:
    announce(linked, 2, profile().profile_hash, "http://thief")
    endpoints, profiles, clock = FakeEndpoints(), Profiles(DOMAIN), Clock()
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, patience=1, now=clock)
    await sync.run(linked.view())
    assert len(endpoints.asked) == 2
    endpoints.on("GET", "http://node/profile", profile().to_json())
    clock.now += 1
    await sync.run(linked.view())
    assert profiles.of(linked.books.licenses[1]) == profile()
