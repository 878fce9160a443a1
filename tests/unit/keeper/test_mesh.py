"""Whether a quorum of members can be reached."""

from __future__ import annotations

import pytest
from books_support import MEMBERS, Chain
from http_support import FakeEndpoints

from workdeed.chain.bindings import licenses
from workdeed.keeper.mesh import Mesh
from workdeed.keeper.peers import AddressBook


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def committee() -> Chain:
    chain = Chain()
    chain.found(members=4)
    for seat in range(4):
        chain.log(licenses.ProfileSet(1_001 + seat, bytes(32), f"http://oracle{seat}"))
    return chain


async def test_a_quorum_must_answer(committee: Chain) -> None:
    endpoints, clock = FakeEndpoints(), Clock()
    mesh = Mesh(endpoints, AddressBook({}), MEMBERS[0], pause=10, now=clock)
    view = committee.view()
    assert mesh.trouble(view) == "0 of 3 other members answer, 2 are needed"
    endpoints.on("GET", "http://oracle1/healthz", b"{}")
    await mesh.run(view)
    assert mesh.trouble(view) == "1 of 3 other members answer, 2 are needed"
    endpoints.on("GET", "http://oracle3/healthz", b"{}")
    await mesh.run(view)
    assert len(endpoints.asked) == 3
    clock.now += 1
    await mesh.run(view)
    assert mesh.trouble(view) == ""
    endpoints.on("GET", "http://oracle2/healthz", b"{}")
    clock.now += 1
    await mesh.run(view)
    asked = len(endpoints.asked)
    clock.now += 9
    await mesh.run(view)
    assert len(endpoints.asked) == asked
    clock.now += 1
    await mesh.run(view)
    assert len(endpoints.asked) == asked + 3


async def test_a_member_without_a_seat_is_told(committee: Chain, chain: Chain) -> None:
    mesh = Mesh(FakeEndpoints(), AddressBook({}), "0xstranger", pause=10)
    assert "has no seat" in mesh.trouble(committee.view())
    alone = Mesh(FakeEndpoints(), AddressBook({}), MEMBERS[0], pause=10)
    assert alone.trouble(chain.view()) == ""
