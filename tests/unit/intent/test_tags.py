"""Tag expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.intent.errors import TagError
from workdeed.intent.tags import count_met, matches, unmet

NODE = ("reg:eu", "ct:fr", "dc:ovh-1", "is-kyb")


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        # The very tag, in whatever case.
        ("REG:EU", True),
        ("reg:eu", True),
        ("REG:US", False),
        ("is-kyb", True),
        # No match in the middle, at the beginning or beyond the end.
        ("CT:F", False),
        ("CT", False),
        ("G:EU", False),
        ("CT:FRA", False),
        # Prefixes.
        ("DC:*", True),
        ("DC:OVH*", True),
        ("DC:OVH-1*", True),
        ("DC:OVH-12*", False),
        ("C:*", False),
        ("*", True),
        # Alternatives.
        ("CT:US||CT:FR", True),
        ("CT:FR||CT:US", True),
        ("CT:US||CT:DE", False),
        ("CT:US||CT:DE||DC:*", True),
        # Exclusions.
        ("!CT:FR", False),
        ("!CT:US", True),
        ("!DC:*", False),
        ("!GPU:*", True),
        ("!*", False),
        ("!CT:FR||REG:EU", True),
        ("!CT:FR||CT:DE", False),
    ],
)
def test_table(expression: str, met: bool) -> None:
    assert matches(expression, NODE) is met


@pytest.mark.parametrize(
    ("expression", "met"), [("REG:EU", False), ("*", False), ("!*", True), ("!CT:FR", True)]
)
def test_a_node_without_tags(expression: str, met: bool) -> None:
    assert matches(expression, ()) is met


@pytest.mark.parametrize(
    "bad", ["", "!", "||", "A||", "||A", "A|B", "A*B", "**", "!!A", " A", "A ", "A || B", "!*A"]
)
def test_malformed_expressions_are_refused(bad: str) -> None:
    with pytest.raises(TagError, match="malformed"):
        matches(bad, NODE)


def test_the_first_unmet_expression_is_named() -> None:
    assert unmet(["REG:EU", "DC:*"], NODE) is None
    assert unmet(["REG:EU", "GPU:*", "CT:DE"], NODE) == "GPU:*"
    assert unmet([], ()) is None


def test_preferences_are_counted() -> None:
    assert count_met(["REG:EU", "GPU:*", "!CT:US"], NODE) == 2
    assert count_met([], NODE) == 0


tags = st.text("abc:", min_size=1, max_size=5)


@given(tags, st.lists(tags))
def test_an_exclusion_is_the_opposite(tag: str, held: list[str]) -> None:
    assert matches(tag, held) is (tag in held)
    assert matches(f"!{tag}", held) is not matches(tag, held)
    assert matches(f"{tag}*", held) is any(one.startswith(tag) for one in held)


@given(st.lists(tags, min_size=1, max_size=4), st.lists(tags))
def test_alternatives_are_met_by_any(options: list[str], held: list[str]) -> None:
    assert matches("||".join(options), held) is any(matches(one, held) for one in options)
