"""Order of tuples that hold addresses.

A checksummed address mixes cases, so comparing it as text is not comparing its bytes.
"""

import operator
from typing import Any, TypeVar

T = TypeVar("T")


def ordered_by_key(cls: type[T]) -> type[T]:
    """Let instances of a named tuple compare by their property `key` instead of by their fields."""
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        setattr(cls, f"__{compare.__name__}__", _by_key(compare))
    return cls


def _by_key(compare: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        return compare(self.key, other.key) if type(other) is type(self) else NotImplemented

    return method
