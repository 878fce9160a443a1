"""Where nodes and keepers are."""

from __future__ import annotations

from books_support import MEMBERS, Chain

from workdeed.chain.bindings import licenses
from workdeed.keeper.peers import AddressBook


def test_endpoints_on_chain_and_overrides() -> None:
    chain = Chain()
    chain.found(members=3)
    for seat in range(2):
        chain.log(licenses.ProfileSet(1_001 + seat, bytes(32), f"http://oracle{seat}"))
    chain.license(7, endpoint="http://node7")
    book = AddressBook({1_002: "http://other"}, ["http://further", "http://oracle0"])
    assert book.of_license(chain.books, 7) == "http://node7"
    assert book.of_license(chain.books, 99) is None
    assert book.members(chain.books) == {
        MEMBERS[0]: "http://oracle0",
        MEMBERS[1]: "http://other",
    }
    assert book.members(chain.books, without=MEMBERS[0]) == {MEMBERS[1]: "http://other"}
    assert book.keepers(chain.books, without=MEMBERS[1]) == ["http://oracle0", "http://further"]
