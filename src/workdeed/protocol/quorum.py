"""How many members of a committee must agree, and how many may be faulty."""

from workdeed.protocol.errors import EncodingError


def quorum(n: int) -> int:
    """Return the signatures that bind a committee of `n` members: `2n//3 + 1`, always over 2/3."""
    return 2 * _members(n) // 3 + 1


def faults(n: int) -> int:
    """Return f, the faulty members that a committee of `n` bears: `(n-1)//3`."""
    return (_members(n) - 1) // 3


def _members(n: int) -> int:
    if n < 1:
        raise EncodingError(f"n: {n} members are no committee; seat at least one")
    return n
