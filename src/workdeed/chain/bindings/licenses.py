"""NodeLicense: deeds of nodes and oracles, linked node keys, profiles, payout addresses and bonds.

Amounts are base units of the settlement token.
"""

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


@dataclass(frozen=True, slots=True)
class BondPosted(Event):
    """`payer` added to the bond of a license."""

    license_id: int
    payer: str
    amount: int


@dataclass(frozen=True, slots=True)
class UnbondRequested(Event):
    """The owner asked for a part of the bond, which stops counting."""

    license_id: int
    owner: str
    amount: int


@dataclass(frozen=True, slots=True)
class UnbondCancelled(Event):
    """All that was requested counts again."""

    license_id: int
    amount: int


@dataclass(frozen=True, slots=True)
class BondWithdrawn(Event):
    """The owner got what was requested."""

    license_id: int
    owner: str
    amount: int


@dataclass(frozen=True, slots=True)
class BondedSet(Event):
    """Whether the bond of a license reaches the minimum of its kind changed; false until then."""

    license_id: int
    bonded: bool


@dataclass(frozen=True, slots=True)
class Slashed(Event):
    """An offence cost a part of the bond, of which `unbonding` had been requested back."""

    license_id: int
    evidence_hash: bytes
    payer: str
    actor: str
    unbonding: int
    to_payer: int
    to_burn: int
    to_treasury: int


@dataclass(frozen=True, slots=True)
class SlashSplitSet(Event):
    """Who gets what is slashed changed; the treasury gets the rest."""

    payer_bps: int
    burn_bps: int


@dataclass(frozen=True, slots=True)
class Bond:
    """The bond of a license: what counts, what was requested back, when (Unix seconds, or 0)."""

    bond: int
    unbonding: int
    requested_at: int


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
        BondPosted,
        UnbondRequested,
        UnbondCancelled,
        BondWithdrawn,
        BondedSet,
        Slashed,
        SlashSplitSet,
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

    def bond_of(self, license_id: int) -> Call[Bond]:
        """Read the bond of a license."""
        return self._call(_bond, "bond_of", license_id)

    def is_bonded(self, license_id: int) -> Call[bool]:
        """Read whether the bond of a license reaches the minimum of its kind."""
        return self._call(flag, "is_bonded", license_id)

    def min_node_bond(self) -> Call[int]:
        """Read the least bond of a node license that counts as bonded; 0 asks for none."""
        return self._call(integer, "MIN_NODE_BOND")

    def min_oracle_bond(self) -> Call[int]:
        """Read the least bond of an oracle license that counts as bonded; 0 asks for none."""
        return self._call(integer, "MIN_ORACLE_BOND")

    def unbond_delay(self) -> Call[int]:
        """Read how many seconds what was requested back stays slashable."""
        return self._call(integer, "UNBOND_DELAY")

    def slash_cap_bps(self) -> Call[int]:
        """Read the most that one offence takes of the bond, in basis points."""
        return self._call(integer, "SLASH_CAP_BPS")

    def slash_payer_bps(self) -> Call[int]:
        """Read the share of the harmed payer in what is slashed, in basis points."""
        return self._call(integer, "slash_payer_bps")

    def slash_burn_bps(self) -> Call[int]:
        """Read the share that is burned of what is slashed, in basis points."""
        return self._call(integer, "slash_burn_bps")

    def is_slashed(self, evidence_hash: bytes) -> Call[bool]:
        """Read whether an evidence hash was used."""
        return self._call(flag, "is_slashed", evidence_hash)

    def bonds_held(self) -> Call[int]:
        """Read what all bonds come to, requested back or not."""
        return self._call(integer, "bonds_held")

    def oracle_licenses_of(self, owner: str) -> Call[int]:
        """Read how many oracle licenses an account owns."""
        return self._call(integer, "oracle_licenses_of", owner)

    def vault(self) -> Call[str]:
        """Read the address of the fee vault, which gets what is slashed."""
        return self._call(text, "VAULT")

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

    def post_bond(self, license_id: int, amount: int) -> Call[None]:
        """Add to the bond of a license; the sender approved the amount for this contract."""
        return self._call(nothing, "post_bond", license_id, amount)

    def request_unbond(self, license_id: int, amount: int) -> Call[None]:
        """Ask for a part of the bond, which stops counting; for the owner."""
        return self._call(nothing, "request_unbond", license_id, amount)

    def cancel_unbond(self, license_id: int) -> Call[None]:
        """Let all that was requested count again; for the owner."""
        return self._call(nothing, "cancel_unbond", license_id)

    def withdraw_bond(self, license_id: int) -> Call[int]:
        """Pay out what was requested, after the delay; for the owner.

        A simulation returns the amount.
        """
        return self._call(integer, "withdraw_bond", license_id)

    def slash(self, license_id: int, amount: int, evidence_hash: bytes, payer: str) -> Call[int]:
        """Take of a bond for an offence; for the governor. `payer` is the harmed one or zero."""
        return self._call(integer, "slash", license_id, amount, evidence_hash, payer)

    def set_slash_split(self, payer_bps: int, burn_bps: int) -> Call[None]:
        """Set who gets what is slashed; for the governor."""
        return self._call(nothing, "set_slash_split", payer_bps, burn_bps)


def _payee(values: Values) -> tuple[str, int]:
    return str(values[0]), int(values[1])


def _bond(values: Values) -> Bond:
    return Bond(*values)
