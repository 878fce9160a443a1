"""NodeLicense: deeds of nodes and oracles, linked node keys, profiles and payout addresses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workdeed.chain.bindings.codec import (
    Call,
    Contract,
    Event,
    Values,
    flag,
    integer,
    nothing,
    text,
    word,
)
from workdeed.chain.bindings.ownership import OwnershipTransferred, RoleMinterChanged

NODE: Final = 1
ORACLE: Final = 2
ZERO_ADDRESS: Final = "0x0000000000000000000000000000000000000000"


@dataclass(frozen=True, slots=True)
class Transfer(Event):
    """A license moved; from the zero address it was issued."""

    sender: str
    receiver: str
    token_id: int


@dataclass(frozen=True, slots=True)
class Approval(Event):
    """`approved` may move a license."""

    owner: str
    approved: str
    token_id: int


@dataclass(frozen=True, slots=True)
class ApprovalForAll(Event):
    """`operator` may, or may no longer, move every license of an owner."""

    owner: str
    operator: str
    approved: bool


@dataclass(frozen=True, slots=True)
class LicenseIssued(Event):
    """A license was issued."""

    license_id: int
    owner: str
    kind: int


@dataclass(frozen=True, slots=True)
class NodeLinked(Event):
    """A node key was linked to a license."""

    license_id: int
    node: str
    owner: str


@dataclass(frozen=True, slots=True)
class NodeUnlinked(Event):
    """A license lost its node key."""

    license_id: int
    node: str


@dataclass(frozen=True, slots=True)
class ProfileSet(Event):
    """A license announced where it answers and the hash of what it offers."""

    license_id: int
    profile_hash: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class PayoutSet(Event):
    """The payout address of a license changed; zero stands for the owner."""

    license_id: int
    payout: str


@dataclass(frozen=True, slots=True)
class EligibilitySet(Event):
    """How much the owner of a placed license must be verified; said at the deployment."""

    owner_level: int


@dataclass(frozen=True, slots=True)
class CommitteeBound(Event):
    """The licenses learned the committee."""

    committee: str


class NodeLicense(Contract):
    """The license contract."""

    NAME = "NodeLicense"
    EVENTS = (
        OwnershipTransferred,
        RoleMinterChanged,
        Transfer,
        Approval,
        ApprovalForAll,
        LicenseIssued,
        NodeLinked,
        NodeUnlinked,
        ProfileSet,
        PayoutSet,
        EligibilitySet,
        CommitteeBound,
    )

    def owner_of(self, license_id: int) -> Call[str]:
        """Read the owner; reverts if there is no such license."""
        return self._call(text, "ownerOf", license_id)

    def balance_of(self, owner: str) -> Call[int]:
        """Read how many licenses an account owns."""
        return self._call(integer, "balanceOf", owner)

    def token_of_owner_by_index(self, owner: str, index: int) -> Call[int]:
        """Read one of the licenses of an owner, counted from 0."""
        return self._call(integer, "tokenOfOwnerByIndex", owner, index)

    def total_supply(self) -> Call[int]:
        """Read how many licenses were issued."""
        return self._call(integer, "totalSupply")

    def kind_of(self, license_id: int) -> Call[int]:
        """Read whether a license is of a node (1) or an oracle (2); 0 for none."""
        return self._call(integer, "kind_of", license_id)

    def node_of(self, license_id: int) -> Call[str]:
        """Read the linked node key; zero for none."""
        return self._call(text, "node_of", license_id)

    def license_of(self, node: str) -> Call[int]:
        """Read the license that a node key is linked to; 0 for none."""
        return self._call(integer, "license_of", node)

    def link_nonce(self, node: str) -> Call[int]:
        """Read the nonce that a node key signs its next link with."""
        return self._call(integer, "link_nonce", node)

    def relink_at(self, license_id: int) -> Call[int]:
        """Read from when (Unix seconds) a node may be linked; 0 for at once."""
        return self._call(integer, "relink_at", license_id)

    def relink_delay(self) -> Call[int]:
        """Read how many seconds after an unlink no node may be linked."""
        return self._call(integer, "RELINK_DELAY")

    def endpoint_of(self, license_id: int) -> Call[str]:
        """Read where the node or oracle of a license answers."""
        return self._call(text, "endpoint_of", license_id)

    def profile_hash_of(self, license_id: int) -> Call[bytes]:
        """Read the hash of the profile."""
        return self._call(word, "profile_hash_of", license_id)

    def payee_of(self, license_id: int) -> Call[tuple[str, int]]:
        """Read the payout address, and the worst standing of license, owner and node."""
        return self._call(_payee, "payee_of", license_id)

    def eligible(self, license_id: int) -> Call[bool]:
        """Read whether a license can be placed."""
        return self._call(flag, "eligible", license_id)

    def all_eligible(self, license_ids: Sequence[int]) -> Call[bool]:
        """Read whether every one of at most 32 licenses can be placed."""
        return self._call(flag, "all_eligible", list(license_ids))

    def owner_level(self) -> Call[int]:
        """Read the attested level that the owner of a placed license needs."""
        return self._call(integer, "OWNER_LEVEL")

    def committee(self) -> Call[str]:
        """Read the address of the committee."""
        return self._call(text, "committee")

    def bind_committee(self, committee: str) -> Call[None]:
        """Name the committee, once; for the deployer."""
        return self._call(nothing, "bind_committee", committee)

    def issue(self, owner: str, kind: int) -> Call[int]:
        """Issue a license; for issuers. The result of a simulation is its id."""
        return self._call(integer, "issue", owner, kind)

    def transfer_from(self, owner: str, to: str, license_id: int) -> Call[None]:
        """Transfer a license, which unlinks its node and clears its profile and payout."""
        return self._call(nothing, "transferFrom", owner, to, license_id)

    def link_node(
        self, license_id: int, node: str, deadline: int, node_signature: bytes
    ) -> Call[None]:
        """Link a node key by its `LinkNode` signature, good until `deadline` (Unix seconds)."""
        return self._call(nothing, "link_node", license_id, node, deadline, node_signature)

    def unlink_node(self, license_id: int) -> Call[None]:
        """Unlink the node key; for the owner."""
        return self._call(nothing, "unlink_node", license_id)

    def set_profile(self, license_id: int, endpoint: str, profile_hash: bytes) -> Call[None]:
        """Announce endpoint and profile; for the owner."""
        return self._call(nothing, "set_profile", license_id, endpoint, profile_hash)

    def set_payout(self, license_id: int, payout: str) -> Call[None]:
        """Set who is paid, zero for the owner; for the owner."""
        return self._call(nothing, "set_payout", license_id, payout)


def _payee(values: Values) -> tuple[str, int]:
    return str(values[0]), int(values[1])
