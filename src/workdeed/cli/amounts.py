"""Amounts as people write them, and back: exact decimals of a token, never floats."""

import re
from typing import Final

from workdeed.cli.errors import Failure

_AMOUNT: Final = re.compile(r"[0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100}")


def parse_amount(text: str, decimals: int, field: str) -> int:
    """Return the base units of a decimal amount such as `1.25`.

    Raises:
        Failure: if it is no plain decimal number, negative, or finer than the token's base unit.

    """
    # Digits alone: a decimal context would round what has more than 28 of them.
    if not _AMOUNT.fullmatch(text):
        raise Failure(f"{field}: {text!r} is no amount; write digits such as 1.25")
    whole, _, part = text.partition(".")
    part = part.rstrip("0")
    if len(part) > decimals:
        raise Failure(f"{field}: {text} has more than {decimals} decimals; the token has no finer")
    return int(whole + part.ljust(decimals, "0") or "0")


def format_amount(base_units: int, decimals: int) -> str:
    """Return base units as a plain decimal amount without trailing zeros."""
    whole, part = divmod(base_units, 10**decimals)
    fraction = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
