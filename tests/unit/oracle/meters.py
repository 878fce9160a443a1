"""A meter that remembers all that it is told."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from workdeed.oracle.meter import Meter, Outcome
from workdeed.oracle.tallies import Verdict, WindowTally


@dataclass
class RecordingMeter(Meter):
    """Keeps each call as its name and arguments, in order."""

    told: list[tuple[Any, ...]] = field(default_factory=list)

    def of(self, name: str) -> list[Any]:
        """Return the argument of each call of a method that takes one."""
        return [one[1] for one in self.told if one[0] == name]

    def count(self, name: str) -> int:
        return sum(one[0] == name for one in self.told)

    def watching(self, licenses: Collection[int]) -> None:
        self.told.append(("watching", list(licenses)))

    def probed(self, license_id: int, seconds: float, *, answered: bool) -> None:
        self.told.append(("probed", license_id, seconds, answered))

    def judged(self, verdicts: Iterable[Verdict]) -> None:
        self.told.append(("judged", list(verdicts)))

    def kept(self) -> None:
        self.told.append(("kept",))

    def closed(self, window: int, tally: WindowTally) -> None:
        self.told.append(("closed", window, tally))

    def led(self, outcome: Outcome) -> None:
        self.told.append(("led", outcome))

    def signed(self) -> None:
        self.told.append(("signed",))

    def refused(self, field: str) -> None:
        self.told.append(("refused", field))

    def fault(self, error: BaseException) -> None:
        self.told.append(("fault", error))
