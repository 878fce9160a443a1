"""What the tests of the committee repeat: a fifth oracle, reports that seats sign, rewards."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contracts.system import ORACLE, System, private_key
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of

KEY = private_key("fifth oracle")
SIGNER = address_of(KEY)
ROOT = keccak(b"root")
REPORTS_PER_SETTLEMENT = 8
"""How many reports seats must have signed on average before they share rewards."""

NEVER = 2**256 - 1


def issue_oracle(system: System, key: bytes = KEY) -> int:
    """Issue an oracle license to an operator and link the key of its signer."""
    license_id = system.issue(system.operators[0], ORACLE)
    system.link(license_id, key)
    return license_id


def add_seat(system: System, license_id: int, key: bytes = KEY) -> int:
    """Seat a signer as the governor; return the seat."""
    return int(system.committee.add_seat(license_id, address_of(key), sender=system.governor))


def remove_seat(system: System, seat: int) -> None:
    """Remove a member as the governor."""
    system.committee.remove_seat(seat, sender=system.governor)


def veto(system: System) -> None:
    """Veto the pending report."""
    system.committee.veto_report(bytes(32), sender=system.guardian)


def lanes(system: System) -> list[int]:
    """Return the counter of each of the first five seats."""
    return list(int(system.committee.participation()).to_bytes(32, "little")[:5])


def sign_next(system: System, seats: Sequence[int], times: int = 1) -> None:
    """Let as many windows pass and the members on `seats` sign each one's report."""
    keys = [system.oracle_keys[seat] for seat in seats]
    for _ in range(times):
        system.advance_windows()
        system.committee.submit_report(*system.report_arguments(ROOT, keys=keys))


def sign_final(system: System, seats: Sequence[int], times: int = 1) -> None:
    """Sign reports and let the challenge time of the last one pass."""
    sign_next(system, seats, times)
    system.wait(system.challenge)


def fund(system: System, amount: int) -> None:
    """Send the committee tokens and book them as rewards."""
    system.token.mint(system.committee.address, amount)
    system.committee.book_rewards()


def share(system: System, amount: int) -> None:
    """Let the four members sign what a settlement takes and share an amount among them."""
    sign_final(system, range(4), REPORTS_PER_SETTLEMENT)
    fund(system, amount)
    system.committee.settle_rewards()


def rewards(system: System) -> list[int]:
    """Return the rewards of the first four licenses."""
    return [int(system.committee.reward_of(license_id)) for license_id in range(1, 5)]
