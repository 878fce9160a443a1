"""Who the other members are, and where they answer. Calls themselves are in `test_http`."""

from __future__ import annotations

from workdeed.chain.bindings import committee
from workdeed.oracle.peers import Peer, peers_of

from .support import Sim, oracle


def test_others_come_in_the_order_of_their_seats_with_their_endpoints() -> None:
    found = peers_of(Sim().books, {}, oracle(1).address)
    assert [one.member for one in found] == [oracle(index).address for index in (0, 2, 3)]
    assert found[0] == Peer(oracle(0).address, 1, "http://oracle0.test:8600", trusted=False)


def test_settings_override_endpoints_and_are_trusted() -> None:
    found = peers_of(Sim().books, {3: "http://10.0.0.3:1"}, oracle(1).address)
    assert found[1] == Peer(oracle(2).address, 3, "http://10.0.0.3:1", trusted=True)
    assert not found[2].trusted


def test_who_lost_its_seat_is_no_peer() -> None:
    sim = Sim()
    sim.log(committee.SeatRemoved(0, 1, oracle(0).address, 5))
    found = peers_of(sim.books, {}, oracle(1).address)
    assert [one.member for one in found] == [oracle(index).address for index in (2, 3)]
