"""Whether a quorum of members can be reached."""

from __future__ import annotations

import pytest
from books_support import MEMBERS, Chain
from http_support import RULES, FakeEndpoints

from workdeed.chain.bindings import licenses
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.mesh import Mesh
from workdeed.keeper.peers import AddressBook

SAME = RULES.to_json()


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


async def test_a_quorum_must_answer(committee: Chain, once: OnceLog) -> None:
    endpoints, clock = FakeEndpoints(), Clock()
    mesh = Mesh(endpoints, AddressBook({}), MEMBERS[0], RULES, once, pause=10, now=clock)
    view = committee.view()
    assert (
        mesh.trouble(view) == "0 of 3 other members answer and go by the same rules, 2 are needed"
    )
    endpoints.on("GET", "http://oracle1/rules", SAME)
    await mesh.run(view)
    assert (
        mesh.trouble(view) == "1 of 3 other members answer and go by the same rules, 2 are needed"
    )
    endpoints.on("GET", "http://oracle3/rules", SAME)
    await mesh.run(view)
    assert len(endpoints.asked) == 3
    clock.now += 1
    await mesh.run(view)
    assert mesh.trouble(view) == ""
    endpoints.on("GET", "http://oracle2/rules", SAME)
    clock.now += 1
    await mesh.run(view)
    asked = len(endpoints.asked)
    clock.now += 9
    await mesh.run(view)
    assert len(endpoints.asked) == asked
    clock.now += 1
    await mesh.run(view)
    assert len(endpoints.asked) == asked + 3


async def test_a_member_without_a_seat_is_told(
    committee: Chain, chain: Chain, once: OnceLog
) -> None:
    mesh = Mesh(FakeEndpoints(), AddressBook({}), "0xstranger", RULES, once, pause=10)
    assert "has no seat" in mesh.trouble(committee.view())
    alone = Mesh(FakeEndpoints(), AddressBook({}), MEMBERS[0], RULES, once, pause=10)
    assert alone.trouble(chain.view()) == ""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            RULES.model_copy(update={"turn_seconds": 60.0, "k": 3}).to_json(),
            "it goes by other rules: turn_seconds 120.0 here and 60.0 there, k 2 here and 3 there",
        ),
        (SAME.replace(b"rules@1", b"rules@2"), "it speaks another version of the protocol"),
        (b"<html>", "it speaks another version of the protocol"),
    ],
)
async def test_a_member_with_other_rules_is_told_and_not_counted(
    committee: Chain, once: OnceLog, log_lines: list[dict[str, object]], answer: bytes, reason: str
) -> None:
    endpoints, clock = FakeEndpoints(), Clock()
    mesh = Mesh(endpoints, AddressBook({}), MEMBERS[0], RULES, once, pause=10, now=clock)
    endpoints.on("GET", "http://oracle1/rules", answer)
    for seat in (2, 3):
        endpoints.on("GET", f"http://oracle{seat}/rules", SAME)
    await mesh.run(committee.view())
    assert mesh.trouble(committee.view()) == ""  # the other two are a quorum with this one
    (told,) = [line for line in log_lines if line["event"] == "trouble"]
    assert told["where"] == f"member {MEMBERS[1]}"
    assert str(told["reason"]).startswith(reason)
    endpoints.on("GET", "http://oracle1/rules", SAME)
    clock.now += 1
    await mesh.run(committee.view())
    assert log_lines[-1]["event"] == "trouble_over"
