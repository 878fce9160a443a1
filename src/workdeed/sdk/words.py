"""Calls of the governor and points in time, as people read them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from workdeed.chain.bindings.codec import CodecError, decode_call
from workdeed.chain.bindings.registry import subject_of
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.bindings.timelock import ROLES, TimelockCall, role_id

_TIMES: Final = ("until", "expires_at")
_ROLE_NAMES: Final = {role_id(role): role for role in ROLES}


def utc(timestamp: int) -> str:
    """Return Unix seconds as a date and time in UTC; those beyond the year 9999 as they stand."""
    try:
        moment = datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, ValueError, OSError):
        return str(timestamp)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(suite: Suite, call: TimelockCall) -> str:
    """Return what a call does, such as `TrustRegistry.set_issuer(issuer 0x..., active true)`.

    What is no call of these contracts is shown as the bytes that it is.
    """
    contract = suite.at(call.target)
    ether = f" with {call.amount} wei" if call.amount else ""
    if contract is None:
        return f"{call.target}: 0x{call.payload.hex()}{ether}"
    try:
        function, arguments = decode_call(contract.NAME, call.payload)
    except CodecError:
        return f"{contract.NAME}: 0x{call.payload.hex()}{ether}"
    return f"{contract.NAME}.{function}({_listed(suite, arguments)}){ether}"


def _listed(suite: Suite, arguments: Mapping[str, Any]) -> str:
    # Vyper appends an underscore to the name of an argument that is a function's as well.
    named = ((name.rstrip("_"), value) for name, value in arguments.items())
    return ", ".join(f"{name} {_shown(suite, name, value)}" for name, value in named)


def _shown(suite: Suite, name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_listed(suite, value)})"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return _ROLE_NAMES.get(value) or ("0x" + value.hex() if any(value) else "none")
    if isinstance(value, int):
        return _number(name, value)
    if isinstance(value, str):
        contract = suite.at(value)
        return value if contract is None else f"{value} ({contract.NAME})"
    return str(value)


def _number(name: str, value: int) -> str:
    if name == "subject":
        subject = subject_of(value)
        return subject if isinstance(subject, str) else f"license {subject}"
    return utc(value) if name in _TIMES else str(value)
