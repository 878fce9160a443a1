"""What each operator makes of a line of Vyper, and what none of them touches."""

from __future__ import annotations

from pathlib import Path

import pytest
from vyper import ast as vy_ast

from tests.mutation.mutants import mutants_of
from tests.mutation.operators import Source
from tests.mutation.sources import annotated

HEAD = """# pragma version 0.4.3
event Moved:
    source: address
    amount: uint256
    rest: uint256

struct Pair:
    x: uint256
    y: uint256
    flag: bool

interface Other:
    def get(key: uint256) -> uint256: view
    def put(key: uint256, amount: uint256): nonpayable

LOW: constant(uint256) = 5
HIGH: constant(uint256) = 2**8
OWNER: immutable(address)
total: uint256
other: Other
listed: DynArray[uint256, 7]

@deploy
def __init__():
    OWNER = empty(address)

@internal
def _three(amount: uint256, flag: bool, who: address):
    pass

@internal
@view
def _two() -> (uint256, uint256):
    return self.total, self.total

@external
def run(a: uint256, b: uint256, flag: bool, who: address) -> uint256:
"""

Change = tuple[str, str]
"""Operator, and the line as it then reads."""


def changes(tmp_path: Path, *body: str) -> set[Change]:
    """Return the mutants of a function's lines."""
    ending = () if body[-1].startswith("return") else ("return a",)
    text = HEAD + "".join(f"    {line}\n" for line in (*body, *ending))
    (tmp_path / "Sample.vy").write_text(text)
    lines = range(HEAD.count("\n") + 1, HEAD.count("\n") + 1 + len(body))
    return {
        (mutant.key.operator, mutant.key.after)
        for mutant in mutants_of(tmp_path, "Sample.vy")
        if mutant.line in lines
    }


@pytest.mark.parametrize(
    ("operator", "line", "expected"),
    [
        ("comparison", "flag_: bool = a < b", ["a <= b", "a >= b"]),
        ("comparison", "flag_: bool = a <= b", ["a < b", "a > b"]),
        ("comparison", "flag_: bool = a > b", ["a >= b", "a <= b"]),
        ("comparison", "flag_: bool = a >= b", ["a > b", "a < b"]),
        ("comparison", "flag_: bool = a == b", ["a != b"]),
        ("comparison", "flag_: bool = a != b", ["a == b"]),
        ("comparison", "flag_: bool = a in [b, 9]", ["a not in [b, 9]"]),
        ("comparison", "flag_: bool = a not in [b, 9]", ["a in [b, 9]"]),
        ("logic", "flag_: bool = not flag", ["flag"]),
        ("logic", "flag_: bool = flag and a < b", ["flag or a < b"]),
        ("logic", "flag_: bool = (flag) or (a < b)", ["(flag) and (a < b)"]),
        ("branch", "self.total = a if flag else b", ["a if True else b", "a if False else b"]),
        ("arithmetic", "self.total = a + b", ["a - b"]),
        ("arithmetic", "self.total = a - b", ["a + b"]),
        ("arithmetic", "self.total = a * b", ["a // b"]),
        ("arithmetic", "self.total = a // b", ["a * b"]),
        ("arithmetic", "self.total = a % b", ["a // b"]),
        ("arithmetic", "self.total = 2**a", ["2*a"]),
        ("arithmetic", "self.total += a", ["self.total -= a"]),
        ("arithmetic", "self.total = unsafe_add(a, b)", ["unsafe_sub(a, b)"]),
        ("arithmetic", "self.total = unsafe_div(a, b)", ["unsafe_mul(a, b)"]),
        ("min-max", "self.total = min(a, b)", ["max(a, b)"]),
        ("bits", "self.total = a & b", ["a | b"]),
        ("bits", "self.total = a | b", ["a & b"]),
        ("bits", "self.total = a ^ b", ["a & b"]),
        ("bits", "self.total = ~a", ["a"]),
        ("bits", "self.total = a << 3", ["a >> 3"]),
        ("bits", "self.total = a >> 3", ["a << 3"]),
        ("constant", "self.total = a >> 3", ["a >> 4", "a >> 2", "a >> 0"]),
        ("constant", "self.total = 2**8 - b", ["2**9 - b", "2**7 - b", "2**0 - b"]),
        ("constant", "self.total = 0", ["1"]),
        ("constant", "flag_: bool = True", ["False"]),
        ("constant", "assert flag, 'sample: 1 or 2'", []),
        ("delete-assert", "assert a < b, 'sample: above'", ["pass"]),
        ("negate-assert", "assert a < b, 'sample: above'", ["assert not (a < b), 'sample: above'"]),
        ("delete-statement", "self.total = a", ["pass"]),
        ("delete-statement", "self.total += a", ["pass"]),
        ("delete-statement", "log Moved(source=who, amount=a, rest=b)", ["pass"]),
        ("delete-statement", "extcall self.other.put(a, b)", ["pass"]),
        ("delete-statement", "self._three(a, flag, who)", ["pass"]),
        ("delete-statement", "unread: uint256 = a", []),
        ("swap-arguments", "extcall self.other.put(a, b)", ["extcall self.other.put(b, a)"]),
        ("swap-arguments", "self._three(a, flag, who)", []),
        ("swap-arguments", "self.total = unsafe_add(max(a, b), a)", []),
        (
            "swap-field",
            "p: Pair = Pair(x=a, y=b, flag=True)",
            ["Pair(x=b, y=b, flag=True)", "Pair(x=a, y=a, flag=True)"],
        ),
        ("swap-field", "log Moved(source=who, amount=a, rest=a)", []),
        ("sender", "who_: address = msg.sender", ["self"]),
        ("sender", "who_: address = self", ["msg.sender"]),
        ("named-constant", "self.total = LOW", ["HIGH"]),
        ("named-constant", "self.total = HIGH", ["LOW"]),
        ("named-constant", "who_: address = OWNER", []),
        ("return-default", "return b", ["return empty(uint256)"]),
    ],
)
def test_operator_makes_its_changes_and_no_other(
    tmp_path: Path, operator: str, line: str, expected: list[str]
) -> None:
    head = line.split(" = ")[0] + " = " if " = " in line else ""
    whole = {text if text == "pass" or not head else head + text for text in expected}

    assert {text for name, text in changes(tmp_path, line) if name == operator} == whole


def test_statement_is_deleted_whole(tmp_path: Path) -> None:
    found = changes(tmp_path, "self.total = min(", "    a,", "    b,", ")")

    assert ("delete-statement", "pass") in found


def test_condition_of_a_branch_is_taken_as_known(tmp_path: Path) -> None:
    found = changes(tmp_path, "if a < b:", "    self.total = a")

    assert {("branch", "if True:"), ("branch", "if False:")} <= found


def test_flag_returns_both_values(tmp_path: Path) -> None:
    text = "@external\ndef ask(a: bool) -> bool:\n    return a\n"
    (tmp_path / "Sample.vy").write_text(text)

    after = {mutant.key.after for mutant in mutants_of(tmp_path, "Sample.vy")}

    assert after == {"return True", "return False"}


def test_each_part_of_a_result_becomes_its_default(tmp_path: Path) -> None:
    (tmp_path / "Sample.vy").write_text(HEAD + "    return a\n")

    found = {mutant.key.after for mutant in mutants_of(tmp_path, "Sample.vy")}

    assert "return empty(uint256), empty(uint256)" in found


def test_value_that_a_tuple_overwrites_stays(tmp_path: Path) -> None:
    unread = changes(tmp_path, "x: uint256 = 0", "y: uint256 = 0", "x, y = self._two()")
    read = changes(tmp_path, "x: uint256 = 0", "y: uint256 = x", "x, y = self._two()")

    assert not any(operator == "constant" for operator, _ in unread)
    assert ("constant", "x: uint256 = 1") in read


@pytest.mark.parametrize(
    ("body", "commutes"),
    [
        ("return x * y", True),
        ("return unsafe_div(unsafe_mul(x, y), LOW)", True),
        ("return max(x, 3) | (max(3, y) & 7)", False),
        ("return (x ^ 3) + (3 ^ y)", True),
        ("return unsafe_mul(unsafe_add(y, x), min(x, y))", True),
        ("return x - y", False),
        ("return unsafe_div(x, y)", False),
        ("return x << y", False),
        ("return x * 2 + y * 3", False),
        ("return self.kept[x] + y", False),
        ("return self.kept[x] + self.kept[y]", False),
        ("x_: uint256 = x + 1\n    return x_ * y", False),
    ],
)
def test_arguments_of_a_function_that_is_known_to_commute_are_not_swapped(
    tmp_path: Path, body: str, commutes: bool
) -> None:
    text = (
        "LOW: constant(uint256) = 5\n"
        "kept: HashMap[uint256, uint256]\n"
        "@internal\n@view\n"
        f"def _of(x: uint256, y: uint256) -> uint256:\n    {body}\n"
        "@external\n@view\n"
        "def ask(a: uint256, b: uint256) -> uint256:\n    return self._of(a, b)\n"
    )
    (tmp_path / "Sample.vy").write_text(text)

    after = {mutant.key.after for mutant in mutants_of(tmp_path, "Sample.vy")}

    assert ("return self._of(b, a)" in after) == (not commutes)


def test_types_docstrings_and_pragmas_stay(tmp_path: Path) -> None:
    (tmp_path / "Sample.vy").write_text(HEAD + "    return a\n")

    changed = {mutant.key.before for mutant in mutants_of(tmp_path, "Sample.vy")}

    assert changed == {
        "LOW: constant(uint256) = 5",
        "HIGH: constant(uint256) = 2**8",
        "OWNER = empty(address)",
        "return self.total, self.total",
        "return a",
    }


def test_spans_behind_vypers_own_keywords_are_exact(tmp_path: Path) -> None:
    """Vyper's parser moves the ends of nodes behind `staticcall`, `extcall` and `log`."""
    text = HEAD + (
        "    b_: uint256 = (staticcall self.other.get(a)) * b + 11\n"
        "    log Moved(source=who, amount=b_ - a, rest=b)\n"
        "    return b_\n"
    )
    (tmp_path / "Sample.vy").write_text(text)
    source = Source(annotated(tmp_path / "Sample.vy"))
    function = source.module.get_children(vy_ast.FunctionDef)[-1]

    texts = {source.text(node) for node in function.get_descendants(vy_ast.BinOp)}

    assert texts == {
        "(staticcall self.other.get(a)) * b + 11",
        "(staticcall self.other.get(a)) * b",
        "b_ - a",
    }
    assert "staticcall self.other.get(a)" in {
        source.text(node) for node in function.get_descendants(vy_ast.StaticCall)
    }
