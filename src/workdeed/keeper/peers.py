"""Where nodes and other keepers are: as their licenses announce, or as a setting says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workdeed.chain.books import Books


@dataclass(frozen=True)
class AddressBook:
    """Addresses by license.

    Attributes:
        overrides: license id -> address, from the settings.
        further: keepers without a seat that specs may be fetched from.

    """

    overrides: Mapping[int, str]
    further: Sequence[str] = ()

    def of_license(self, books: Books, license_id: int) -> str | None:
        """Return where the node or oracle of a license answers, None if nowhere."""
        if license_id in self.overrides:
            return self.overrides[license_id]
        state = books.licenses.get(license_id)
        return (state.endpoint or None) if state is not None else None

    def members(self, books: Books, without: str | None = None) -> dict[str, str]:
        """Return the addresses of committee members by signer, leaving out one signer."""
        found = {
            seat.signer: self.of_license(books, seat.license_id)
            for seat in books.members
            if seat.signer != without
        }
        return {signer: address for signer, address in found.items() if address}

    def keepers(self, books: Books, without: str | None = None) -> list[str]:
        """Return every other keeper that is known, members first."""
        return list(dict.fromkeys([*self.members(books, without).values(), *self.further]))
