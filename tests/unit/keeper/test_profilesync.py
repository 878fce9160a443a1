"""Profiles of nodes, as the chain names them."""

from __future__ import annotations

import pytest
from books_support import ESCROW, Chain
from http_support import FakeEndpoints

from workdeed.chain.bindings import licenses
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.profilesync import ProfileSync
from workdeed.placement import Profiles
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import NodeProfile, Resources, sign
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
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once)
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
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once, now=clock)
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
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once)
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
    sync = ProfileSync(profiles, AddressBook({}), endpoints, once)
    await sync.run(linked.view())
    assert profiles.of(linked.books.licenses[1]) == profile()
    linked.log(licenses.ProfileSet(1, without_offer.profile_hash, "http://node"))
    await sync.run(linked.view())
    assert profiles.of(linked.books.licenses[1]) == without_offer
    assert [url for _, url in endpoints.asked].count(DRAINING) == 1
