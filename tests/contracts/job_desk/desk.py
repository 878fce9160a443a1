"""What the desk takes, and the scopes that it knows."""

from __future__ import annotations

from typing import NamedTuple

from tests.contracts.system import FOREVER, PRICE, SERVICE, SPEC_HASH, System

OPEN, EXTEND, SCALE, REVISE, CANCEL = (1 << bit for bit in range(5))
ALL_SCOPES = 31


class Opening(NamedTuple):
    """What a job is opened with, in the desk's order."""

    spec_hash: bytes = SPEC_HASH
    class_id: int = 1
    kind: int = SERVICE
    slots: int = 1
    min_slots: int = 1
    windows: int = 10
    max_price: int = PRICE


class Permit(NamedTuple):
    """An ERC-2612 permit, in the desk's order."""

    value: int
    deadline: int
    v: int
    r: bytes
    s: bytes


def grant(
    system: System,
    delegate: str,
    scopes: int = ALL_SCOPES,
    budget: int = 2**160 - 1,
    expires_at: int = FOREVER - 1,
) -> None:
    """Let a delegate act for the system's payer."""
    system.desk.grant(delegate, scopes, budget, expires_at, sender=system.payer)
