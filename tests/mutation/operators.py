"""What a mutant changes: each operator maps a node of Vyper's annotated tree to other source text.

Only expressions carry a type: annotations, docstrings, pragmas and reasons of reverts stay as they
are. An operator may propose what does not compile or changes nothing: compiling it will tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import accumulate, combinations
from typing import Any, NamedTuple

from vyper import ast as vy_ast

Node = Any
"""A node of Vyper's syntax tree: its classes are made at run time."""

SYMBOLS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "Lt": ("comparison", "<", ("<=", ">=")),
    "LtE": ("comparison", "<=", ("<", ">")),
    "Gt": ("comparison", ">", (">=", "<=")),
    "GtE": ("comparison", ">=", (">", "<")),
    "Eq": ("comparison", "==", ("!=",)),
    "NotEq": ("comparison", "!=", ("==",)),
    "In": ("comparison", "in", ("not in",)),
    "NotIn": ("comparison", "not in", ("in",)),
    "Add": ("arithmetic", "+", ("-",)),
    "Sub": ("arithmetic", "-", ("+",)),
    "Mult": ("arithmetic", "*", ("//",)),
    "FloorDiv": ("arithmetic", "//", ("*",)),
    "Mod": ("arithmetic", "%", ("//",)),
    "Pow": ("arithmetic", "**", ("*",)),
    "BitAnd": ("bits", "&", ("|",)),
    "BitOr": ("bits", "|", ("&",)),
    "BitXor": ("bits", "^", ("&",)),
    "LShift": ("bits", "<<", (">>",)),
    "RShift": ("bits", ">>", ("<<",)),
    "And": ("logic", "and", ("or",)),
    "Or": ("logic", "or", ("and",)),
}
"""Class of an operator's node: mutation operator, how it is written, and what replaces it."""

BUILTINS = {
    "min": "max",
    "max": "min",
    "unsafe_add": "unsafe_sub",
    "unsafe_sub": "unsafe_add",
    "unsafe_mul": "unsafe_div",
    "unsafe_div": "unsafe_mul",
}
COMMUTATIVE = {"min", "max", "unsafe_add", "unsafe_mul"}
COMMUTATIVE_SIGNS = (vy_ast.Add, vy_ast.Mult, vy_ast.BitAnd, vy_ast.BitOr, vy_ast.BitXor)
DELETED = (
    vy_ast.Assert,
    vy_ast.Assign,
    vy_ast.AugAssign,
    vy_ast.Break,
    vy_ast.Continue,
    vy_ast.Expr,
    vy_ast.For,
    vy_ast.Log,
    vy_ast.Raise,
)
"""Statements with an effect, and no value that a later one needs."""


class Edit(NamedTuple):
    """One change of a file: its bytes from `start` to `end` become `text`."""

    operator: str
    start: int
    end: int
    text: str


class Source:
    """The text of a file, addressed by the nodes of its annotated syntax tree."""

    def __init__(self, module: Node) -> None:
        self.module = module
        self.data: bytes = module.full_source_code.encode()
        lines = self.data.splitlines(keepends=True)
        self._starts = list(accumulate(map(len, lines), initial=0))

    def span(self, node: Node) -> tuple[int, int]:
        """Return the first byte of a node and the one after its last."""
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: Node) -> str:
        """Return what a node is written as, less the parentheses around it."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def edit(self, operator: str, node: Node, text: str) -> Edit:
        """Return the edit that puts `text` in the place of a node."""
        return Edit(operator, *self.span(node), text)

    def edits(self) -> Iterator[Edit]:
        """Yield every edit that the operators propose, each once, in the order of the file."""
        found = {
            edit[1:]: edit
            for node in self.module.get_descendants()
            for make in OPERATORS
            for edit in make(self, node)
            if edit.text != self.data[edit.start : edit.end].decode()
        }
        yield from sorted(found.values(), key=lambda edit: edit[1:])


def _type(node: Node) -> Any:
    return node._metadata.get("type")


def _symbols(source: Source, node: Node) -> Iterator[Edit]:
    """Replace an operator between two operands."""
    symbol = SYMBOLS.get(type(getattr(node, "op", None)).__name__)
    if symbol is None or not (_type(node) or isinstance(node, vy_ast.AugAssign)):
        return
    if isinstance(node, vy_ast.BoolOp):
        pairs = list(zip(node.values, node.values[1:], strict=False))
    elif isinstance(node, vy_ast.AugAssign):
        pairs = [(node.target, node.value)]
    else:
        pairs = [(node.left, node.right)]
    operator, written, replacements = symbol
    pattern = re.escape(written.encode()).replace(rb"\ ", rb"\s+")
    for left, right in pairs:
        start, end = source.span(left)[1], source.span(right)[0]
        gap = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), source.data[start:end])
        token = re.search(pattern, gap)
        assert token is not None, f"no {written} in {gap!r}"
        for text in replacements:
            yield Edit(operator, start + token.start(), start + token.end(), text)


def _unary(source: Source, node: Node) -> Iterator[Edit]:
    """Drop a `not` or a `~`."""
    if isinstance(node, vy_ast.UnaryOp) and isinstance(node.op, (vy_ast.Not, vy_ast.Invert)):
        operator, sign = ("logic", "not") if isinstance(node.op, vy_ast.Not) else ("bits", "~")
        yield source.edit(operator, node, source.text(node).removeprefix(sign).lstrip())


def _constants(source: Source, node: Node) -> Iterator[Edit]:
    """Move a number by one and to zero, unless it is the base of a power; flip a truth value."""
    if not _type(node) or _is_placeholder(node):
        return
    if isinstance(node, vy_ast.NameConstant):
        yield source.edit("constant", node, str(not node.value))
    parent = node._parent
    is_base = isinstance(parent, vy_ast.BinOp) and isinstance(parent.op, vy_ast.Pow)
    if isinstance(node, vy_ast.Int) and not (is_base and parent.left is node):
        for value in (node.value + 1, node.value - 1, 0):
            if value >= 0:
                yield source.edit("constant", node, str(value))


def _is_placeholder(node: Node) -> bool:
    """Say whether a variable's first value goes unread: a tuple is unpacked over it."""
    declared = node._parent
    if not isinstance(declared, vy_ast.AnnAssign):
        return False
    mention = {"id": declared.target.id}
    for following in declared._parent.get_children():
        if following.lineno > declared.lineno and following.get_descendants(vy_ast.Name, mention):
            return (
                isinstance(following, vy_ast.Assign)
                and isinstance(following.target, vy_ast.Tuple)
                and not following.value.get_descendants(vy_ast.Name, mention, include_self=True)
            )
    return False


def _builtins(source: Source, node: Node) -> Iterator[Edit]:
    """Call the opposite of a built-in function."""
    name = getattr(getattr(node, "func", None), "id", None)
    if name in BUILTINS:
        operator = "arithmetic" if name.startswith("unsafe") else "min-max"
        yield source.edit(operator, node.func, BUILTINS[name])


def _statements(source: Source, node: Node) -> Iterator[Edit]:
    """Delete a statement; negate what is asserted; take one branch always."""
    # An interface says `view` where a function has its statements.
    is_word = isinstance(node, vy_ast.Expr) and isinstance(node.value, vy_ast.Name)
    if isinstance(node, DELETED) and not is_word:
        operator = "delete-assert" if isinstance(node, vy_ast.Assert) else "delete-statement"
        yield source.edit(operator, node, "pass")
    if isinstance(node, vy_ast.Assert):
        yield source.edit("negate-assert", node.test, f"not ({source.text(node.test)})")
    if isinstance(node, (vy_ast.If, vy_ast.IfExp)):
        yield source.edit("branch", node.test, "True")
        yield source.edit("branch", node.test, "False")


def _returns(source: Source, node: Node) -> Iterator[Edit]:
    """Return what an unset variable holds; the other truth value too."""
    if not isinstance(node, vy_ast.Return) or node.value is None:
        return
    returned = node.get_ancestor(vy_ast.FunctionDef).returns
    types = returned.elements if isinstance(returned, vy_ast.Tuple) else [returned]
    names = [source.text(name) for name in types]
    texts = (
        ["True", "False"] if names == ["bool"] else [", ".join(f"empty({name})" for name in names)]
    )
    if len(names) > 1 and not isinstance(node.value, vy_ast.Tuple):
        texts = [f"({text})" for text in texts]
    for text in texts:
        yield source.edit("return-default", node.value, text)


def _arguments(source: Source, node: Node) -> Iterator[Edit]:
    """Swap two arguments, and give a field the value of another: both of one type."""
    if not isinstance(node, vy_ast.Call):
        return
    for left, right in _alike(source, node.args):
        if not _commutes(node, left, right):
            between = source.data[source.span(left)[1] : source.span(right)[0]].decode()
            text = source.text(right) + between + source.text(left)
            yield Edit("swap-arguments", source.span(left)[0], source.span(right)[1], text)
    values = [keyword.value for keyword in node.keywords]
    for left, right in _alike(source, values):
        yield source.edit("swap-field", left, source.text(right))
        yield source.edit("swap-field", right, source.text(left))


def _commutes(call: Node, left: Node, right: Node) -> bool:
    """Say whether a call is known to give the same with two of its arguments swapped."""
    if getattr(call.func, "id", None) in COMMUTATIVE:
        return True
    function = getattr(_type(call.func), "ast_def", None)
    if not isinstance(function, vy_ast.FunctionDef):
        return False
    (statement, *more), parameters = function.body, function.args.args
    if more or not isinstance(statement, vy_ast.Return):
        return False
    one, other = (parameters[call.args.index(node)].arg for node in (left, right))
    return _form(statement.value, one, other) == _form(statement.value, other, one)


def _form(node: Node, one: str, other: str) -> str:
    """Return an expression with its commutative operands sorted and two names numbered."""
    if isinstance(node, vy_ast.Name):
        return {one: "$1", other: "$2"}.get(node.id, node.id)
    if isinstance(node, vy_ast.BinOp):
        name, operands = type(node.op).__name__, [node.left, node.right]
        commutes = isinstance(node.op, COMMUTATIVE_SIGNS)
    elif isinstance(node, vy_ast.Call) and isinstance(node.func, vy_ast.Name):
        name, operands, commutes = node.func.id, node.args, node.func.id in COMMUTATIVE
    else:
        text = str(node.node_source_code)
        names = {name.id for name in node.get_descendants(vy_ast.Name)}
        return f"{text} of {one}, {other}" if names & {one, other} else text
    forms = [_form(operand, one, other) for operand in operands]
    return f"{name}({', '.join(sorted(forms) if commutes else forms)})"


def _alike(source: Source, nodes: list[Node]) -> Iterator[tuple[Node, Node]]:
    """Yield each node with the next one that is of the same type but another expression."""
    paired = set()
    for left, right in combinations(nodes, 2):
        same = _type(left) is not None and _type(left) == _type(right)
        if same and id(left) not in paired and source.text(left) != source.text(right):
            paired.add(id(left))
            yield left, right


def _names(source: Source, node: Node) -> Iterator[Edit]:
    """Confuse caller and contract, and a constant or an immutable with the next of its type."""
    if isinstance(node, vy_ast.Attribute) and source.text(node) == "msg.sender":
        yield source.edit("sender", node, "self")
    if not isinstance(node, vy_ast.Name) or not _type(node):
        return
    if node.id == "self" and not isinstance(node._parent, vy_ast.Attribute):
        yield source.edit("sender", node, "msg.sender")
    for kind in ("is_constant", "is_immutable"):
        names = [
            item.target.id
            for item in source.module.get_children(vy_ast.VariableDecl, {kind: True})
            if _type(item) == _type(node)
        ]
        if node.id in names:
            following = names[(names.index(node.id) + 1) % len(names)]
            yield source.edit("named-constant", node, following)


OPERATORS: tuple[Callable[[Source, Node], Iterator[Edit]], ...] = (
    _symbols,
    _unary,
    _constants,
    _builtins,
    _statements,
    _returns,
    _arguments,
    _names,
)
