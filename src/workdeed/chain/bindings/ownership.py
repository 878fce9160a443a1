"""The events of the ownable modules that the contracts rest on."""

from dataclasses import dataclass

from workdeed.chain.bindings.codec import Event


@dataclass(frozen=True, slots=True)
class OwnershipTransferred(Event):
    """An owner handed over; of the trust registry that is the governor."""

    previous_owner: str
    new_owner: str


@dataclass(frozen=True, slots=True)
class OwnershipTransferStarted(Event):
    """An owner named who may take over."""

    previous_owner: str
    new_owner: str


@dataclass(frozen=True, slots=True)
class RoleMinterChanged(Event):
    """A minter was added or dropped."""

    minter: str
    status: bool
