"""EIP-1559 fees within a cap, in wei."""

from dataclasses import dataclass
from typing import Final

GWEI: Final = 10**9

# Nodes accept a replacement that pays 10 % more; rounding and other clients ask for a bit more.
_BUMP_NUMERATOR: Final = 9
_BUMP_DENOMINATOR: Final = 8


@dataclass(frozen=True, slots=True)
class FeeSettings:
    """What may be paid for gas.

    Attributes:
        max_fee: the cap of the fee per gas, base fee and priority fee together.
        priority_fee: the priority fee per gas of a first attempt.
        gas_margin_percent: added to the gas estimate.

    """

    max_fee: int = 100 * GWEI
    priority_fee: int = GWEI
    gas_margin_percent: int = 25


@dataclass(frozen=True, slots=True)
class Fees:
    """The fees of a transaction: `max_fee` and `priority_fee` per gas."""

    max_fee: int
    priority_fee: int


def quote(base_fee: int, settings: FeeSettings) -> Fees | None:
    """Return the fees of a first attempt, None while the base fee leaves no room under the cap.

    Twice the base fee lasts for five full blocks, each of which may raise it by an eighth.
    """
    if base_fee + settings.priority_fee > settings.max_fee:
        return None
    wanted = 2 * base_fee + settings.priority_fee
    return Fees(max_fee=min(wanted, settings.max_fee), priority_fee=settings.priority_fee)


def bump(fees: Fees, base_fee: int, settings: FeeSettings) -> Fees | None:
    """Return the fees of a replacement, None if it would exceed the cap."""
    priority_fee = _raise(fees.priority_fee)
    max_fee = max(_raise(fees.max_fee), base_fee + priority_fee)
    if max_fee > settings.max_fee:
        return None
    return Fees(max_fee=max_fee, priority_fee=priority_fee)


def with_margin(gas: int, settings: FeeSettings) -> int:
    """Return the gas limit for an estimate."""
    return gas + gas * settings.gas_margin_percent // 100


def _raise(fee: int) -> int:
    return -(-fee * _BUMP_NUMERATOR // _BUMP_DENOMINATOR)
