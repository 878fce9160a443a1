"""The relations between the times of a deployment; every deployment is checked against them.

Each keeps someone from losing money to a clock: a report must be final before the next window asks
for one, and nobody who is held for a while may be closed out while he is held.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict

from workdeed.chain.errors import ChainError
from workdeed.protocol.fields import Positive, Uint

CLOSE_MARGIN_WINDOWS: Final = 8
"""Windows that an unattested close waits beyond those in which an open pair can still be settled:
room for the vetoes that may follow each other, each of which burns windows, and for the claims."""


class TimingError(ChainError):
    """The times of a deployment contradict each other."""


class Timing(BaseModel):
    """The times that a deployment is made with.

    Attributes:
        window: length of a settlement window, in seconds.
        challenge: how long a report can be vetoed, in seconds.
        freeze_period: how long a freeze lasts, in seconds.
        close_grace: windows between the request and an unattested close.
        open_windows: windows after which a pair that could not be settled earns 0.
        relink_delay: seconds between an unlink and the next link of a license.
        timelock_delay: the governor's delay in seconds; None if no timelock governs.
        unbond_delay: seconds between asking for a bond and getting it.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Positive
    challenge: Positive
    freeze_period: Positive
    close_grace: Positive
    open_windows: Positive
    relink_delay: Uint
    timelock_delay: Positive | None = None
    unbond_delay: Positive


def check_timing(timing: Timing) -> None:
    """Do nothing if every relation holds.

    Raises:
        TimingError: at the first relation that does not; names the field and its bound.

    """
    _require(
        timing.challenge < timing.window,
        f"challenge: {timing.challenge} s must be less than a window, {timing.window} s",
    )
    _check_close(timing)
    if timing.timelock_delay is not None:
        _check_timelock(timing, timing.timelock_delay)
    _check_unbond(timing)


def _check_close(timing: Timing) -> None:
    """Check that an unattested close outlasts a freeze, and whatever a report can still settle."""
    grace = timing.close_grace * timing.window
    _require(
        grace > 2 * timing.freeze_period,
        f"close_grace: {timing.close_grace} windows are {grace} s, and must be more than two"
        f" freezes, {2 * timing.freeze_period} s",
    )
    least = timing.open_windows + CLOSE_MARGIN_WINDOWS
    _require(
        timing.close_grace >= least,
        f"close_grace: {timing.close_grace} windows must be at least open_windows +"
        f" {CLOSE_MARGIN_WINDOWS}, {least} windows",
    )


def _check_timelock(timing: Timing, delay: int) -> None:
    """Check that the governor can act before a freeze ends, and soon after a bad report."""
    _require(
        7 * delay < 6 * timing.freeze_period,
        f"timelock_delay: {delay} s must be less than 6/7 of a freeze, {timing.freeze_period} s",
    )
    _require(
        delay <= 2 * timing.window,
        f"timelock_delay: {delay} s must be at most two windows, {2 * timing.window} s",
    )


def _check_unbond(timing: Timing) -> None:
    """Check that a bond outlasts a freeze and the governor's act that may follow it."""
    least = timing.freeze_period + (timing.timelock_delay or 0)
    _require(
        timing.unbond_delay > least,
        f"unbond_delay: {timing.unbond_delay} s must be more than freeze_period and timelock_delay,"
        f" {least} s",
    )


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise TimingError(sentence)
