"""Tag expressions of a spec, held against the tags of a node profile.

An expression is one or more alternatives with `||` between them, and matches if one of them does:

- `REG:EU` is met by that very tag;
- `DC:*` is met by any tag that begins with `DC:`; a star stands at the end only;
- `!CT:FR` is met where `CT:FR` is not, `!DC:*` where `DC:*` is not.

Upper and lower case are the same. There is no match in the middle of a tag: `CT:F` is not met by
`CT:FR`.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from workdeed.intent.errors import TagError

_OR: Final = "||"
_CACHED: Final = 1024


class _Term(NamedTuple):
    """One alternative: `text` exactly, or as a prefix; `negated` turns it around."""

    text: str
    prefix: bool
    negated: bool

    def met_by(self, tags: Collection[str]) -> bool:
        """Tell whether tags in lower case meet it."""
        found = any(tag.startswith(self.text) for tag in tags) if self.prefix else self.text in tags
        return found is not self.negated


def matches(expression: str, tags: Iterable[str]) -> bool:
    """Tell whether `tags` meet an expression.

    Raises:
        TagError: if the expression is malformed.

    """
    lowered = frozenset(tag.lower() for tag in tags)
    return any(term.met_by(lowered) for term in _parse(expression))


def unmet(required: Iterable[str], tags: Iterable[str]) -> str | None:
    """Return the first of the `required` expressions that `tags` do not meet; None if all are met.

    Raises:
        TagError: as `matches`.

    """
    held = tuple(tags)
    return next((one for one in required if not matches(one, held)), None)


def count_met(preferred: Iterable[str], tags: Iterable[str]) -> int:
    """Return how many of the `preferred` expressions `tags` meet; raises as `matches`."""
    held = tuple(tags)
    return sum(matches(one, held) for one in preferred)


@lru_cache(maxsize=_CACHED)
def _parse(expression: str) -> tuple[_Term, ...]:
    return tuple(_parse_term(part, expression) for part in expression.lower().split(_OR))


def _parse_term(part: str, expression: str) -> _Term:
    negated = part.startswith("!")
    text = part.removeprefix("!")
    prefix = text.endswith("*")
    text = text.removesuffix("*")
    if not (text or prefix) or any(sign in text for sign in "*!|") or text != text.strip():
        raise TagError(
            f"tags: {expression!r} is malformed; write TAG, PREFIX* or !TAG, with || between them"
        )
    return _Term(text, prefix, negated)
