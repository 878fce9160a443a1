"""Operations of issuers, the guardian and the governor on who is verified and in good standing.

A subject is an account's address or a license id. Times are Unix seconds. What the governor does
waits for the timelock's delay where there is one.
"""

from dataclasses import dataclass
from typing import Any

from workdeed.chain.bindings.licenses import ZERO_ADDRESS
from workdeed.chain.bindings.registry import (
    STANDINGS,
    Attestation,
    Standing,
    account_subject,
    license_subject,
)
from workdeed.sdk.errors import NotPermittedError, SdkError
from workdeed.sdk.governance import Decision, Governance
from workdeed.sdk.session import Session
from workdeed.sdk.words import utc

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

    async def revoke(self, account: str, *, send: bool = True) -> Decision:
        """Take an attestation back: at once as its issuer, else as the governor.

        Raises:
            NotPermittedError: if the sender is neither.
            SdkError: if the contract refuses.

        """
        registry, sender = self.session.suite.registry, self.session.sender
        call = registry.revoke(account)
        issuer = (await self.session.read(registry.attestation_of(account))).issuer
        # Without an attestation nobody may, and the contract says why.
        if send and issuer in (sender.address, ZERO_ADDRESS):
            await sender.send(call)
            return Decision(call)
        try:
            return await Governance(self.session).act(call, send=send)
        except NotPermittedError as error:
            raise NotPermittedError(f"{error}, or with that of its issuer {issuer}") from error

    async def freeze(
        self, subject: str | int, reason: int, evidence_hash: bytes = NO_EVIDENCE
    ) -> None:
        """Freeze a subject for the freeze period; for the guardian."""
        await self.session.sender.send(
            self.session.suite.registry.freeze(subject_number(subject), reason, evidence_hash)
        )

    async def suspend(
        self,
        subject: str | int,
        until: int,
        reason: int,
        evidence_hash: bytes = NO_EVIDENCE,
        *,
        send: bool = True,
    ) -> Decision:
        """Suspend a subject until a time; as the governor.

        Raises:
            NotPermittedError: if the sender neither is the governor nor may propose to it.
            SdkError: if it would end before it can begin, or the contract refuses.

        """
        governance = Governance(self.session)
        begins = await governance.takes_effect_at()
        if until <= begins:
            raise SdkError(
                f"until: {utc(until)} is not after {utc(begins)}, when the suspension can begin; "
                "choose a later end"
            )
        call = self.session.suite.registry.suspend(
            subject_number(subject), until, reason, evidence_hash
        )
        return await governance.act(call, send=send)

    async def blacklist(
        self,
        subject: str | int,
        reason: int,
        evidence_hash: bytes = NO_EVIDENCE,
        *,
        send: bool = True,
    ) -> Decision:
        """Blacklist a subject until it is reinstated; as the governor. Raises as `suspend`."""
        call = self.session.suite.registry.blacklist(subject_number(subject), reason, evidence_hash)
        return await Governance(self.session).act(call, send=send)

    async def reinstate(
        self,
        subject: str | int,
        reason: int,
        evidence_hash: bytes = NO_EVIDENCE,
        *,
        send: bool = True,
    ) -> Decision:
        """Bring a subject back to good standing; as the governor. Raises as `suspend`."""
        call = self.session.suite.registry.reinstate(subject_number(subject), reason, evidence_hash)
        return await Governance(self.session).act(call, send=send)

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
