"""Reverts, the same for both backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

ERROR_SELECTOR = bytes.fromhex("08c379a0")
PANIC_SELECTOR = bytes.fromhex("4e487b71")


class Reverted(Exception):  # noqa: N818 - as tests read it
    """A call was undone.

    Attributes:
        reason: what `Error(string)` says; empty for a revert without a reason.

    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason or "reverted without a reason")
        self.reason = reason


class Outcome(NamedTuple):
    """What came of a transaction that was undone: its output, or the reason of its revert."""

    succeeded: bool
    output: bytes


def reason_of(output: bytes) -> str:
    """Return the reason in the output of a revert."""
    if output[:4] == ERROR_SELECTOR:
        length = int.from_bytes(output[36:68], "big")
        return output[68 : 68 + length].decode(errors="replace")
    if output[:4] == PANIC_SELECTOR:
        return f"panic {int.from_bytes(output[4:36], 'big'):#x}"
    return ""


@contextmanager
def reverts(reason: str | None = None) -> Iterator[None]:
    """Expect a call to be undone, for exactly this reason if one is given."""
    try:
        yield
    except Reverted as error:
        if reason is not None and error.reason != reason:
            raise AssertionError(f"reverted with {error.reason!r}, not {reason!r}") from error
    else:
        raise AssertionError(f"did not revert{'' if reason is None else f' with {reason!r}'}")
