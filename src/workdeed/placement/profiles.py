"""Node profiles that were checked, by the hash that stands on chain."""

from typing import Final

from workdeed.chain.books import LicenseState
from workdeed.placement.errors import PlacementError
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import SignatureError
from workdeed.protocol.messages import NodeProfile

NO_PROFILE: Final = bytes(32)


class Profiles:
    """Profiles that their node key signed.

    A profile is looked up by its hash, so that a license has one only while the chain names it.

    Args:
        domain: the committee's, in which profiles are signed.

    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._held: dict[bytes, NodeProfile] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, profile: NodeProfile) -> bytes:
        """Take a profile and return its hash.

        Raises:
            PlacementError: if it is of another chain, or its node key did not sign it.

        """
        if profile.chain_id != self._domain.chain_id:
            raise PlacementError(f"chain_id: the profile is of the chain {profile.chain_id}")
        try:
            profile.verify(self._domain)
        except SignatureError as error:
            raise PlacementError(f"signature: the profile is not its node's: {error}") from error
        found = profile.profile_hash
        self._held[found] = profile
        return found

    def of(self, item: LicenseState) -> NodeProfile | None:
        """Return the profile that a license announces on chain; None if it is not held.

        A profile of another license or node key, which anyone may announce, is none either.
        """
        profile = self._held.get(item.profile_hash)
        if profile is None or profile.license_id != item.license_id or profile.node != item.node:
            return None
        return profile

    def lacks(self, item: LicenseState) -> bool:
        """Tell whether a license announces a profile that is still to be fetched from its node."""
        return item.profile_hash not in (NO_PROFILE, *self._held)

    def keep(self, hashes: set[bytes]) -> None:
        """Drop every profile whose hash is not in `hashes`: those that still stand on chain."""
        for stale in self._held.keys() - hashes:
            del self._held[stale]
