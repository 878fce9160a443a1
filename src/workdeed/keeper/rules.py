"""What all members of a committee have to have in common, or they do not come to an agreement."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field

from workdeed.keeper.settings import KeeperSettings
from workdeed.protocol.wire import Message

PROTOCOL: Final = 1
"""The version of `docs/protocol.md` that this program speaks."""


class Rules(Message):
    """The rules that a keeper goes by; those of all members should be equal."""

    schema_: Literal["workdeed/rules@1"] = Field(default="workdeed/rules@1", alias="schema")
    protocol: int = PROTOCOL
    turn_seconds: Annotated[float, Field(gt=0)]
    open_windows: int
    recovery_windows: int
    grace_windows: int
    k: int

    @classmethod
    def of(cls, settings: KeeperSettings) -> Self:
        """Return the rules that settings stand for."""
        oracle = settings.oracle
        return cls(
            turn_seconds=oracle.turn_seconds,
            open_windows=oracle.open_windows,
            recovery_windows=oracle.recovery_windows,
            grace_windows=oracle.grace_windows,
            k=settings.placement.k,
        )

    def differences(self, other: "Rules") -> str:
        """Say where another member's rules differ, "" if nowhere."""
        mine, theirs = self.model_dump(), other.model_dump()
        return ", ".join(
            f"{name} {mine[name]} here and {theirs[name]} there"
            for name in mine
            if mine[name] != theirs[name]
        )
