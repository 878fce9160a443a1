"""What checks of an environment find: of a node here, of a keeper one floor above."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: `problem` is one sentence with the remedy, "" if all is well."""

    name: str
    problem: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.problem
