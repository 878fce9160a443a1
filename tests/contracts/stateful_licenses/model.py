"""What NodeLicense, TrustRegistry and FeeVault must hold, as plain Python.

Written on dictionaries and from the rules alone, so that it shares nothing with the contracts but
what they promise. All amounts are base units, all times Unix seconds. A `..._reason` says why a
call must be refused, `None` if it must succeed; the method without it does what the call does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

NODE, ORACLE = 1, 2
GOOD, FROZEN, SUSPENDED, BLACKLISTED = range(4)
BPS = 10_000
FREEZES_APART = 4
"""A subject can be frozen once in this many freeze periods."""

NEVER = 2**256 - 1

Target = int | str
"""What a standing is given to: a license id or an account."""


@dataclass(frozen=True)
class Terms:
    """What the deployment fixed."""

    minimum: dict[int, int]
    unbond_delay: int
    slash_cap_bps: int
    relink_delay: int
    freeze_period: int
    owner_level: int


@dataclass
class Deed:
    """One license."""

    kind: int
    owner: str
    node: str = ""
    relink_at: int = 0
    payout: str = ""
    endpoint: str = ""
    bond: int = 0
    unbonding: int = 0
    requested_at: int = 0

    @property
    def held(self) -> int:
        """All that can be slashed."""
        return self.bond + self.unbonding


@dataclass
class Slash:
    """Where the parts of a slash go."""

    unbonding: int
    to_payer: int
    to_burn: int
    to_treasury: int

    @property
    def total(self) -> int:
        """All that was taken."""
        return self.to_payer + self.to_burn + self.to_treasury


@dataclass
class Books:
    """Licenses, standings, attestations, seats and pots."""

    terms: Terms
    deeds: dict[int, Deed] = field(default_factory=dict)
    nonces: Counter[str] = field(default_factory=Counter)
    standings: dict[Target, tuple[int, int]] = field(default_factory=dict)
    cooldowns: dict[Target, int] = field(default_factory=dict)
    attestations: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    issuers: set[str] = field(default_factory=set)
    seats: dict[int, tuple[int, str]] = field(default_factory=dict)
    seats_ended: dict[int, int] = field(default_factory=dict)
    members_left: dict[str, tuple[int, int]] = field(default_factory=dict)
    split: tuple[int, int] = (0, 0)
    evidence: set[bytes] = field(default_factory=set)
    pots: dict[str, int] = field(default_factory=lambda: {"burn": 0, "treasury": 0})

    # Who is linked to whom, and who is in good standing.

    def license_of(self, node: str) -> int:
        """Return the license that a node key is linked to; 0 for none."""
        return next((one for one, deed in self.deeds.items() if deed.node == node), 0)

    def standing_of(self, target: Target, now: int) -> int:
        """Return the standing of a license or an account."""
        standing, until = self.standings.get(target, (GOOD, NEVER))
        return standing if until > now else GOOD

    def targets(self, license_id: int) -> list[Target]:
        """Return a license, its owner and its node, without repetition."""
        deed = self.deeds[license_id]
        return list(dict.fromkeys([license_id, deed.owner, *([deed.node] if deed.node else [])]))

    def standing(self, license_id: int, now: int) -> int:
        """Return the worst standing of a license, its owner and its node."""
        return max(self.standing_of(target, now) for target in self.targets(license_id))

    def level(self, account: str, now: int) -> int:
        """L24: return how much of an account is verified."""
        issuer, level, expires_at = self.attestations.get(account, ("", 0, 0))
        return level if expires_at > now and issuer in self.issuers else 0

    def is_bonded(self, license_id: int) -> bool:
        """Say whether a bond reaches the minimum."""
        deed = self.deeds[license_id]
        return deed.bond >= self.terms.minimum[deed.kind]

    def eligible(self, license_id: int, now: int) -> bool:
        """Say whether a license can be placed."""
        deed = self.deeds[license_id]
        return (
            deed.kind == NODE
            and deed.node != ""
            and self.is_bonded(license_id)
            and self.standing(license_id, now) == GOOD
            and self.level(deed.owner, now) >= self.terms.owner_level
        )

    def oracle_licenses_of(self, owner: str) -> int:
        """Return how many oracle licenses an account owns."""
        return sum(deed.kind == ORACLE and deed.owner == owner for deed in self.deeds.values())

    def bonds_held(self) -> int:
        """Return what all bonds come to."""
        return sum(deed.held for deed in self.deeds.values())

    def _held_back(self, license_id: int, now: int) -> str | None:
        good = self.standing(license_id, now) == GOOD
        return None if good else "license: not in good standing"

    # Links.

    def link_reason(self, license_id: int, sender: str, node: str, now: int) -> str | None:
        """Say why a link with a good signature is refused."""
        reason = self.early_link_reason(license_id, sender, node, now)
        if reason is None and self.standing_of(node, now) != GOOD:
            return "license: not in good standing"
        return reason or self._held_back(license_id, now)

    def early_link_reason(self, license_id: int, sender: str, node: str, now: int) -> str | None:
        """Say why a link is refused before its signature is looked at."""
        deed = self.deeds[license_id]
        if sender != deed.owner:
            return "license: not the owner"
        if deed.node:
            return "license: already linked"
        if now < deed.relink_at:
            return "license: relink delay"
        return "license: node linked elsewhere" if self.license_of(node) else None

    def link(self, license_id: int, node: str) -> None:
        """Link a node key."""
        self.deeds[license_id].node = node
        self.nonces[node] += 1

    def unlink_reason(self, license_id: int, now: int) -> str | None:
        """Say why an unlink by the owner is refused."""
        if not self.deeds[license_id].node:
            return "license: not linked"
        return self._held_back(license_id, now)

    def unlink(self, license_id: int, now: int) -> None:
        """Free a node key."""
        deed = self.deeds[license_id]
        self.nonces[deed.node] += 1
        deed.node = ""
        deed.relink_at = now + self.terms.relink_delay

    # Transfers.

    def transfer_reason(self, license_id: int, receiver: str, now: int) -> str | None:
        """Say why a transfer by the owner is refused."""
        if (reason := self._held_back(license_id, now)) is not None:
            return reason
        if self.standing_of(receiver, now) != GOOD:
            return "license: receiver's standing"
        last = self.is_seated(license_id) and len(self.seats) == 1
        return "committee: last seat" if last else None

    def transfer(self, license_id: int, receiver: str, now: int) -> None:
        """L21: nothing of the old owner stays with a license but its bond."""
        deed = self.deeds[license_id]
        if deed.node:
            self.unlink(license_id, now)
        self.cancel_unbond(license_id)
        self.end_seat(license_id, now)
        deed.owner, deed.payout, deed.endpoint = receiver, "", ""

    def end_seat(self, license_id: int, now: int) -> None:
        """End the seat of a license, if it has one."""
        for seat, (holder, signer) in list(self.seats.items()):
            if holder == license_id:
                del self.seats[seat]
                self.seats_ended[license_id] = now
                self.members_left[signer] = (license_id, now)

    # Seats.

    def is_seated(self, license_id: int) -> bool:
        """Say whether a license holds a seat."""
        return any(holder == license_id for holder, _ in self.seats.values())

    def seat_reason(self, license_id: int, signer: str, now: int) -> str | None:
        """Say why the governor can't seat a signer."""
        deed = self.deeds[license_id]
        left, left_at = self.members_left.get(signer, (license_id, 0))
        refusals = {
            "committee: not the linked node": deed.node != signer,
            "committee: no bond": not self.is_bonded(license_id),
            "committee: not an oracle license": deed.kind != ORACLE,
            "committee: signer seated": any(one == signer for _, one in self.seats.values()),
            "committee: license seated": self.is_seated(license_id),
            "committee: signer on record": left != license_id
            and now < left_at + self.terms.unbond_delay,
        }
        return next((reason for reason, holds in refusals.items() if holds), None)

    def add_seat(self, license_id: int, signer: str) -> int:
        """Seat a signer on the first free seat; return it."""
        seat = next(index for index in range(32) if index not in self.seats)
        self.seats[seat] = (license_id, signer)
        return seat

    # Bonds.

    def request_reason(self, license_id: int, amount: int) -> str | None:
        """Say why a request by the owner is refused."""
        return "license: more than the bond" if amount > self.deeds[license_id].bond else None

    def request_unbond(self, license_id: int, amount: int, now: int) -> None:
        """Take an amount out of what counts."""
        deed = self.deeds[license_id]
        deed.bond -= amount
        deed.unbonding += amount
        deed.requested_at = now

    def cancel_unbond(self, license_id: int) -> None:
        """Let everything count again."""
        deed = self.deeds[license_id]
        deed.bond, deed.unbonding, deed.requested_at = deed.held, 0, 0

    def due_at(self, license_id: int) -> int:
        """Return from when a request may be withdrawn; `NEVER` with a seat."""
        if self.is_seated(license_id):
            return NEVER
        since = max(self.deeds[license_id].requested_at, self.seats_ended.get(license_id, 0))
        return since + self.terms.unbond_delay

    def withdraw_reason(self, license_id: int, now: int) -> str | None:
        """L25: say why a withdrawal by the owner is refused."""
        if not self.deeds[license_id].unbonding:
            return "license: nothing requested"
        if (reason := self._held_back(license_id, now)) is not None:
            return reason
        due_at = self.due_at(license_id)
        if due_at == NEVER:
            return "license: seated"
        return "license: unbond delay" if now < due_at else None

    def withdraw(self, license_id: int) -> int:
        """Pay a request out."""
        deed = self.deeds[license_id]
        amount, deed.unbonding, deed.requested_at = deed.unbonding, 0, 0
        return amount

    def slash(self, license_id: int, amount: int, evidence: bytes, harmed: bool) -> Slash:
        """L25: take at most the cap, what was requested first, and split it."""
        deed = self.deeds[license_id]
        taken = min(amount, deed.held * self.terms.slash_cap_bps // BPS)
        first = min(taken, deed.unbonding)
        deed.unbonding -= first
        deed.bond -= taken - first
        deed.requested_at = deed.requested_at if deed.unbonding else 0
        to_payer, to_burn = (taken * share // BPS for share in self.split)
        to_treasury = taken - to_payer - to_burn
        if not harmed:
            to_payer, to_burn = 0, to_burn + to_payer
        self.evidence.add(evidence)
        self.pots["burn"] += to_burn
        self.pots["treasury"] += to_treasury
        return Slash(first, to_payer, to_burn, to_treasury)

    # Standings.

    def bound_by_a_freeze(self, target: Target) -> list[Target]:
        """L23: return who shares the cooldown of a freeze."""
        license_id = target if isinstance(target, int) else self.license_of(target)
        return [target, *self.targets(license_id)] if license_id else [target]

    def freeze_reason(self, target: Target, now: int) -> str | None:
        """Say why a freeze by the guardian is refused."""
        if self.standing_of(target, now) != GOOD:
            return "trust: not in good standing"
        bound = self.bound_by_a_freeze(target)
        cooling = any(self.cooldowns.get(one, 0) > now for one in bound)
        return "trust: freeze cooldown" if cooling else None

    def freeze(self, target: Target, now: int) -> None:
        """Freeze a license or an account."""
        self.standings[target] = (FROZEN, now + self.terms.freeze_period)
        until = now + FREEZES_APART * self.terms.freeze_period
        self.cooldowns |= dict.fromkeys(self.bound_by_a_freeze(target), until)

    def attest_reason(self, account: str, issuer: str, now: int) -> str | None:
        """Say why an attestation is refused."""
        if issuer not in self.issuers:
            return "trust: not an issuer"
        other = self.level(account, now) > 0 and self.attestations[account][0] != issuer
        return "trust: attested by another" if other else None
