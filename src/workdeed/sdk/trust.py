"""Operations of issuers, the guardian and the governor on who is verified and in good standing.

A subject is an account's address or a license id. Times are Unix seconds.
"""

from dataclasses import dataclass
from typing import Any

from workdeed.chain.bindings.registry import (
    STANDINGS,
    Attestation,
    Standing,
    account_subject,
    license_subject,
)
from workdeed.sdk.session import Session

NO_EVIDENCE = bytes(32)


@dataclass(frozen=True, slots=True)
class TrustView:
    """Standing of a subject, and for an account what is attested of it."""

    subject: str | int
    standing: Standing
    level: int | None
    attestation: Attestation | None

    def to_json(self) -> dict[str, Any]:
        """Return the view for JSON."""
        content: dict[str, Any] = {
            "subject": self.subject,
            "standing": STANDINGS[self.standing.standing],
            "until": self.standing.until,
            "reason": self.standing.reason,
            "freeze_cooldown": self.standing.cooldown,
        }
        if self.attestation is not None:
            content |= {
                "level": self.level,
                "issuer": self.attestation.issuer,
                "expires_at": self.attestation.expires_at,
            }
        return content


class Trust:
    """What role holders do; reading needs no key."""

    session: Session

    async def attest(
        self, account: str, level: int, expires_at: int, evidence_hash: bytes = NO_EVIDENCE
    ) -> None:
        """Attest that an account was verified, until a time; for issuers."""
        await self.session.sender.send(
            self.session.suite.registry.attest(account, level, expires_at, evidence_hash)
        )

    async def revoke(self, account: str) -> None:
        """Take an attestation back; for its issuer and the governor."""
        await self.session.sender.send(self.session.suite.registry.revoke(account))

    async def freeze(
        self, subject: str | int, reason: int, evidence_hash: bytes = NO_EVIDENCE
    ) -> None:
        """Freeze a subject for the freeze period; for the guardian."""
        await self.session.sender.send(
            self.session.suite.registry.freeze(subject_number(subject), reason, evidence_hash)
        )

    async def suspend(
        self, subject: str | int, until: int, reason: int, evidence_hash: bytes = NO_EVIDENCE
    ) -> None:
        """Suspend a subject until a time; for the governor."""
        await self.session.sender.send(
            self.session.suite.registry.suspend(
                subject_number(subject), until, reason, evidence_hash
            )
        )

    async def blacklist(
        self, subject: str | int, reason: int, evidence_hash: bytes = NO_EVIDENCE
    ) -> None:
        """Blacklist a subject until it is reinstated; for the governor."""
        await self.session.sender.send(
            self.session.suite.registry.blacklist(subject_number(subject), reason, evidence_hash)
        )

    async def reinstate(
        self, subject: str | int, reason: int, evidence_hash: bytes = NO_EVIDENCE
    ) -> None:
        """Bring a subject back to good standing; for the governor."""
        await self.session.sender.send(
            self.session.suite.registry.reinstate(subject_number(subject), reason, evidence_hash)
        )

    async def standing(self, subject: str | int) -> TrustView:
        """Return the standing of a subject, and of an account what is attested."""
        registry = self.session.suite.registry
        standing = await self.session.read(registry.standing_of(subject_number(subject)))
        if isinstance(subject, int):
            return TrustView(subject, standing, None, None)
        level = await self.session.read(registry.attested_level(subject))
        attestation = await self.session.read(registry.attestation_of(subject))
        return TrustView(subject, standing, level, attestation)


def subject_number(subject: str | int) -> int:
    """Return the registry's number for an address or a license id."""
    return license_subject(subject) if isinstance(subject, int) else account_subject(subject)
