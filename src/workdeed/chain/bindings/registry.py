"""TrustRegistry: standing of subjects, attestations of accounts, and who holds the roles."""

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
)
from workdeed.chain.bindings.ownership import OwnershipTransferred, OwnershipTransferStarted
from workdeed.protocol.signing import address_bytes, to_checksum

GOOD: Final = 0
FROZEN: Final = 1
SUSPENDED: Final = 2
BLACKLISTED: Final = 3
STANDINGS: Final = ("good", "frozen", "suspended", "blacklisted")

_LICENSE_SUBJECT: Final = 2**160


def license_subject(license_id: int) -> int:
    """Return the number that stands for a license in the registry."""
    return _LICENSE_SUBJECT + license_id


def account_subject(account: str) -> int:
    """Return the number that stands for an account in the registry."""
    return int.from_bytes(address_bytes(account), "big")


def subject_of(number: int) -> str | int:
    """Return the account, or the license id, that a number of the registry stands for."""
    if number < _LICENSE_SUBJECT:
        return to_checksum(number.to_bytes(20, "big"))
    return number - _LICENSE_SUBJECT


@dataclass(frozen=True, slots=True)
class GuardianSet(Event):
    """The guardian changed."""

    guardian: str


@dataclass(frozen=True, slots=True)
class IssuerSet(Event):
    """An issuer was added or dropped; a dropped one's attestations do not hold."""

    issuer: str
    active: bool


@dataclass(frozen=True, slots=True)
class LicensesBound(Event):
    """The registry learned the license contract."""

    licenses: str


@dataclass(frozen=True, slots=True)
class TreasurySet(Event):
    """The account that shares for the treasury go to changed."""

    treasury: str


@dataclass(frozen=True, slots=True)
class StandingSet(Event):
    """The standing of a subject changed; it reads as good from `until` (Unix seconds) on."""

    subject: int
    actor: str
    standing: int
    until: int
    reason: int
    evidence_hash: bytes


@dataclass(frozen=True, slots=True)
class Appealed(Event):
    """A subject put an appeal on record."""

    subject: int
    actor: str
    appeal_hash: bytes


@dataclass(frozen=True, slots=True)
class Attested(Event):
    """An issuer attested an account until `expires_at` (Unix seconds)."""

    account: str
    issuer: str
    level: int
    expires_at: int
    evidence_hash: bytes


@dataclass(frozen=True, slots=True)
class AttestationRevoked(Event):
    """The attestation of an account was taken back."""

    account: str
    actor: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing in force: one of the module's numbers, its end, reason and freeze cooldown.

    Times are Unix seconds; `until` is 0 in good standing.
    """

    standing: int
    until: int
    reason: int
    cooldown: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """Who attested an account, how much, until when (Unix seconds), whether or not it holds."""

    issuer: str
    level: int
    expires_at: int


class TrustRegistry(Contract):
    """The trust registry."""

    NAME = "TrustRegistry"
    EVENTS = (
        GuardianSet,
        IssuerSet,
        LicensesBound,
        TreasurySet,
        StandingSet,
        Appealed,
        Attested,
        AttestationRevoked,
        OwnershipTransferred,
        OwnershipTransferStarted,
    )

    def governor(self) -> Call[str]:
        """Read who may suspend, blacklist, reinstate and set policy."""
        return self._call(text, "governor")

    def pending_governor(self) -> Call[str]:
        """Read who may accept the governor's role."""
        return self._call(text, "pending_owner")

    def guardian(self) -> Call[str]:
        """Read who may freeze."""
        return self._call(text, "guardian")

    def treasury(self) -> Call[str]:
        """Read who gets the treasury's shares."""
        return self._call(text, "treasury")

    def is_issuer(self, account: str) -> Call[bool]:
        """Read whether an account is an active issuer."""
        return self._call(flag, "is_issuer", account)

    def licenses(self) -> Call[str]:
        """Read the address of the license contract."""
        return self._call(text, "licenses")

    def freeze_period(self) -> Call[int]:
        """Read how many seconds a freeze lasts."""
        return self._call(integer, "FREEZE_PERIOD")

    def freeze_cooldown(self) -> Call[int]:
        """Read how many seconds from a freeze on none follows."""
        return self._call(integer, "FREEZE_COOLDOWN")

    def standing_of(self, subject: int) -> Call[Standing]:
        """Read the standing of a subject."""
        return self._call(_standing, "standing_of", subject)

    def worst_standing(self, license_id: int, owner: str, node: str) -> Call[int]:
        """Read the worst standing of a license, its owner and its node (zero: none)."""
        return self._call(integer, "worst_standing", license_id, owner, node)

    def account_standing(self, account: str) -> Call[int]:
        """Read the standing of an account."""
        return self._call(integer, "account_standing", account)

    def attested_level(self, account: str) -> Call[int]:
        """Read how much of an account is verified; 0 without an attestation that holds."""
        return self._call(integer, "attested_level", account)

    def admits(self, license_id: int, owner: str, node: str, level: int) -> Call[bool]:
        """Read whether all three are in good standing and the owner is verified to a level."""
        return self._call(flag, "admits", license_id, owner, node, level)

    def admits_payer(self, payer: str, level: int) -> Call[tuple[bool, bool]]:
        """Read whether an account is in good standing, and whether it is verified to a level."""
        return self._call(_flags, "admits_payer", payer, level)

    def attestation_of(self, account: str) -> Call[Attestation]:
        """Read the attestation of an account, whether or not it holds."""
        return self._call(_attestation, "attestation_of", account)

    def set_guardian(self, guardian: str) -> Call[None]:
        """Name the guardian; for the governor."""
        return self._call(nothing, "set_guardian", guardian)

    def set_treasury(self, treasury: str) -> Call[None]:
        """Name who gets the treasury's shares; for the governor."""
        return self._call(nothing, "set_treasury", treasury)

    def set_issuer(self, issuer: str, active: bool) -> Call[None]:
        """Add or drop an issuer; for the governor."""
        return self._call(nothing, "set_issuer", issuer, active)

    def bind_licenses(self, licenses: str) -> Call[None]:
        """Name the license contract, once; for the deployer."""
        return self._call(nothing, "bind_licenses", licenses)

    def transfer_governor(self, governor: str) -> Call[None]:
        """Name who may take the governor's role over; for the governor."""
        return self._call(nothing, "transfer_ownership", governor)

    def accept_governor(self) -> Call[None]:
        """Take the governor's role over."""
        return self._call(nothing, "accept_ownership")

    def freeze(self, subject: int, reason: int, evidence_hash: bytes) -> Call[None]:
        """Freeze a subject for the freeze period; for the guardian."""
        return self._call(nothing, "freeze", subject, reason, evidence_hash)

    def suspend(self, subject: int, until: int, reason: int, evidence_hash: bytes) -> Call[None]:
        """Suspend a subject until a time in Unix seconds; for the governor."""
        return self._call(nothing, "suspend", subject, until, reason, evidence_hash)

    def blacklist(self, subject: int, reason: int, evidence_hash: bytes) -> Call[None]:
        """Blacklist a subject; for the governor."""
        return self._call(nothing, "blacklist", subject, reason, evidence_hash)

    def reinstate(self, subject: int, reason: int, evidence_hash: bytes) -> Call[None]:
        """Bring a subject back to good standing; for the governor."""
        return self._call(nothing, "reinstate", subject, reason, evidence_hash)

    def appeal(self, subject: int, appeal_hash: bytes) -> Call[None]:
        """Put an appeal on record; for the subject."""
        return self._call(nothing, "appeal", subject, appeal_hash)

    def attest(self, account: str, level: int, expires_at: int, evidence_hash: bytes) -> Call[None]:
        """Attest an account until a time in Unix seconds; for issuers."""
        return self._call(nothing, "attest", account, level, expires_at, evidence_hash)

    def revoke(self, account: str) -> Call[None]:
        """Take an attestation back; for its issuer and the governor."""
        return self._call(nothing, "revoke", account)


def _standing(values: Values) -> Standing:
    return Standing(*values)


def _attestation(values: Values) -> Attestation:
    return Attestation(*values)


def _flags(values: Values) -> tuple[bool, bool]:
    return bool(values[0]), bool(values[1])
