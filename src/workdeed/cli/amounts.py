"""Amounts as people write them, and back: exact decimals of a token, never floats."""

from decimal import Decimal, InvalidOperation

from workdeed.cli.errors import Failure


def parse_amount(text: str, decimals: int, field: str) -> int:
    """Return the base units of a decimal amount such as `1.25`.

    Raises:
        Failure: if it is no plain decimal number, negative, or finer than the token's base unit.

    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise Failure(f"{field}: {text!r} is no amount; write digits such as 1.25") from None
    if not amount.is_finite() or not set(text) <= set("0123456789."):
        raise Failure(f"{field}: {text!r} is no amount; write digits such as 1.25")
    whole = amount.scaleb(decimals)
    if whole != whole.to_integral_value():
        raise Failure(f"{field}: {text} has more than {decimals} decimals; the token has no finer")
    return int(whole)


def format_amount(base_units: int, decimals: int) -> str:
    """Return base units as a plain decimal amount without trailing zeros."""
    whole, part = divmod(base_units, 10**decimals)
    fraction = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
