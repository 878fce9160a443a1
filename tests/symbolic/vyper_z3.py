"""Pure Vyper functions as z3 expressions, taken from the source itself.

What is proven is what compiles: the functions are read from the sources, never copied by hand. A
test runs the same functions on the chain and compares. Two theories: 256-bit words, exact for
shifts and masks; and integers, for products and quotients, where every operation that could leave
256 bits becomes an obligation that has to be proven along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import z3
from vyper import ast as vy

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
BITS = 256
TOP = 2**BITS
Value = Any
"""A z3 expression, a dict for a struct, or a tuple for several results."""


class Words:
    """256-bit words; checked operations revert where they would leave them."""

    def __init__(self) -> None:
        self.obligations: list[z3.BoolRef] = []

    def constant(self, value: int) -> z3.BitVecRef:
        return z3.BitVecVal(value, BITS)

    def symbol(self, name: str) -> z3.BitVecRef:
        return z3.BitVec(name, BITS)

    def checked(self, operator: type, a: Any, b: Any) -> tuple[Any, Any]:
        """Return a result and when it reverts."""
        if operator is vy.Add:
            return a + b, z3.Not(z3.BVAddNoOverflow(a, b, False))
        if operator is vy.Sub:
            return a - b, z3.ULT(a, b)
        if operator is vy.Mult:
            return a * b, z3.Not(z3.BVMulNoOverflow(a, b, False))
        if operator is vy.FloorDiv:
            return z3.UDiv(a, b), b == 0
        return self._bits(operator, a, b), z3.BoolVal(False)

    def _bits(self, operator: type, a: Any, b: Any) -> Any:
        return {
            vy.BitAnd: lambda: a & b,
            vy.BitOr: lambda: a | b,
            vy.BitXor: lambda: a ^ b,
            vy.LShift: lambda: a << b,
            vy.RShift: lambda: z3.LShR(a, b),
        }[operator]()

    def unsafe(self, name: str, a: Any, b: Any) -> Any:
        return {
            "unsafe_add": lambda: a + b,
            "unsafe_sub": lambda: a - b,
            "unsafe_mul": lambda: a * b,
            "unsafe_div": lambda: z3.UDiv(a, b),
        }[name]()

    def less(self, a: Any, b: Any) -> Any:
        return z3.ULT(a, b)


class Integers(Words):
    """Integers; what would leave 256 bits is an obligation."""

    def constant(self, value: int) -> z3.ArithRef:
        return z3.IntVal(value)

    def symbol(self, name: str) -> z3.ArithRef:
        return z3.Int(name)

    def checked(self, operator: type, a: Any, b: Any) -> tuple[Any, Any]:
        if operator is vy.Add:
            return a + b, a + b >= TOP
        if operator is vy.Sub:
            return a - b, a < b
        if operator is vy.Mult:
            return a * b, a * b >= TOP
        if operator is vy.FloorDiv:
            return a / b, b == 0
        raise NotImplementedError(f"{operator.__name__} of integers")

    def unsafe(self, name: str, a: Any, b: Any) -> Any:
        result = {
            "unsafe_add": lambda: a + b,
            "unsafe_sub": lambda: a - b,
            "unsafe_mul": lambda: a * b,
            "unsafe_div": lambda: a / b,
        }[name]()
        self.obligations.append(z3.And(result >= 0, result < TOP))
        return result

    def less(self, a: Any, b: Any) -> Any:
        return a < b


@dataclass
class Outcome:
    """What a function comes to: its result, and under which condition it reverts."""

    value: Value
    reverts: Any


@dataclass
class Frame:
    """One call under way."""

    module: Module
    names: dict[str, Value]
    reverts: list[Any] = field(default_factory=list)


class Module:
    """A Vyper source, whose functions can be called with z3 values."""

    def __init__(self, name: str, theory: Words, source: str | None = None) -> None:
        path = CONTRACTS / f"{name}.vy"
        self.name = name
        self.source = path.read_text() if source is None else source
        self.theory = theory
        tree = vy.parse_to_ast(self.source)
        self.functions = {one.name: one for one in tree.body if isinstance(one, vy.FunctionDef)}
        self.constants = {
            one.target.id: one.value
            for one in tree.body
            if isinstance(one, vy.VariableDecl) and one.is_constant
        }
        self.structs = {one.name for one in tree.body if isinstance(one, vy.StructDef)}

    def call(self, name: str, *arguments: Value) -> Outcome:
        """Run a function; return its result and when it reverts."""
        function = self.functions[name]
        names = [argument.arg for argument in function.args.args]
        frame = Frame(self, dict(zip(names, arguments, strict=True)))
        value = _block(frame, list(function.body))
        return Outcome(value, z3.Or(*frame.reverts) if frame.reverts else z3.BoolVal(False))

    def get(self, name: str, *arguments: Value) -> Value:
        """Run a function; return its result. That it does not revert has to be proven along."""
        outcome = self.call(name, *arguments)
        self.theory.obligations.append(z3.Not(outcome.reverts))
        return outcome.value


def _block(frame: Frame, statements: Sequence[Any]) -> Value:
    """Run statements up to the return; both branches of an `if` are run and merged."""
    for at, statement in enumerate(statements):
        if isinstance(statement, vy.Return):
            return _eval(frame, statement.value)
        if isinstance(statement, vy.If):
            rest = list(statements[at + 1 :])
            return _branch(frame, statement, rest)
        _simple(frame, statement)
    return None


def _branch(frame: Frame, statement: Any, rest: list[Any]) -> Value:
    test = _eval(frame, statement.test)
    then, other = Frame(frame.module, dict(frame.names)), Frame(frame.module, dict(frame.names))
    yes = _block(then, [*statement.body, *rest])
    no = _block(other, [*statement.orelse, *rest])
    frame.reverts += [z3.And(test, one) for one in then.reverts]
    frame.reverts += [z3.And(z3.Not(test), one) for one in other.reverts]
    return _merge(test, yes, no)


def _merge(test: Any, yes: Value, no: Value) -> Value:
    if isinstance(yes, tuple):
        return tuple(_merge(test, a, b) for a, b in zip(yes, no, strict=True))
    if isinstance(yes, dict):
        return {name: _merge(test, yes[name], no[name]) for name in yes}
    return z3.If(test, yes, no)


def _simple(frame: Frame, statement: Any) -> None:
    if isinstance(statement, vy.AnnAssign | vy.Assign):
        frame.names[statement.target.id] = _eval(frame, statement.value)
    elif isinstance(statement, vy.AugAssign):
        name = statement.target.id
        operands = frame.names[name], _eval(frame, statement.value)
        frame.names[name] = _operate(frame, statement.op, *operands)
    elif isinstance(statement, vy.Assert):
        frame.reverts.append(z3.Not(_eval(frame, statement.test)))
    elif not (isinstance(statement, vy.Expr) and isinstance(statement.value, vy.Str)):
        raise NotImplementedError(f"{frame.module.name}: {type(statement).__name__}")


def _eval(frame: Frame, node: Any) -> Value:
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise NotImplementedError(f"{frame.module.name}: {type(node).__name__}")
    return handler(frame, node)


def _name(frame: Frame, node: Any) -> Value:
    if node.id in frame.names:
        return frame.names[node.id]
    return _eval(frame, frame.module.constants[node.id])


def _attribute(frame: Frame, node: Any) -> Value:
    if isinstance(node.value, vy.Name) and node.value.id == "block":
        return frame.module.theory.symbol(f"block.{node.attr}")
    if isinstance(node.value, vy.Name) and node.value.id not in frame.names:
        other = Module(f"modules/{node.value.id}", frame.module.theory)
        return _eval(Frame(other, {}), other.constants[node.attr])
    return _eval(frame, node.value)[node.attr]


def _binary(frame: Frame, node: Any) -> Value:
    if isinstance(node.op, vy.Pow):
        return frame.module.theory.constant(node.left.value**node.right.value)
    return _operate(frame, node.op, _eval(frame, node.left), _eval(frame, node.right))


def _operate(frame: Frame, operator: Any, a: Value, b: Value) -> Value:
    if z3.is_bool(a) and z3.is_bool(b):
        return z3.And(a, b) if isinstance(operator, vy.BitAnd) else z3.Or(a, b)
    result, reverts = frame.module.theory.checked(type(operator), a, b)
    if not z3.is_false(z3.simplify(reverts)):
        frame.reverts.append(reverts)
    return result


def _unary(frame: Frame, node: Any) -> Value:
    operand = _eval(frame, node.operand)
    return z3.Not(operand) if isinstance(node.op, vy.Not) else ~operand


def _boolean(frame: Frame, node: Any) -> Value:
    values = [_eval(frame, one) for one in node.values]
    return z3.And(*values) if isinstance(node.op, vy.And) else z3.Or(*values)


def _compare(frame: Frame, node: Any) -> Value:
    a, b, less = _eval(frame, node.left), _eval(frame, node.right), frame.module.theory.less
    return {
        vy.Lt: lambda: less(a, b),
        vy.Gt: lambda: less(b, a),
        vy.LtE: lambda: z3.Not(less(b, a)),
        vy.GtE: lambda: z3.Not(less(a, b)),
        vy.Eq: lambda: a == b,
        vy.NotEq: lambda: a != b,
    }[type(node.op)]()


def _call(frame: Frame, node: Any) -> Value:
    function = node.func
    if isinstance(function, vy.Name):
        if function.id in frame.module.structs:
            return {one.arg: _eval(frame, one.value) for one in node.keywords}
        return _builtin(frame, function.id, node.args)
    arguments = [_eval(frame, one) for one in node.args]
    owner = function.value.id
    module = frame.module
    if owner != "self":
        module = Module(f"modules/{owner}", module.theory)
    outcome = module.call(function.attr, *arguments)
    frame.reverts.append(outcome.reverts)
    return outcome.value


def _builtin(frame: Frame, name: str, nodes: Sequence[Any]) -> Value:
    theory = frame.module.theory
    if name == "max_value":
        return theory.constant(TOP - 1)
    values = [_eval(frame, one) for one in nodes if not _is_type(one)]
    if name == "convert":
        return _convert(theory, values[0])
    a, b = values
    if name in ("min", "max"):
        return z3.If(theory.less(a, b) if name == "min" else theory.less(b, a), a, b)
    return theory.unsafe(name, a, b)


def _is_type(node: Any) -> bool:
    return isinstance(node, vy.Name) and node.id in ("uint256", "address", "bool", "bytes32")


def _convert(theory: Words, value: Any) -> Any:
    if z3.is_bool(value):
        return z3.If(value, theory.constant(1), theory.constant(0))
    return value


_HANDLERS: dict[type, Callable[[Frame, Any], Value]] = {
    vy.Name: _name,
    vy.Attribute: _attribute,
    vy.Int: lambda frame, node: frame.module.theory.constant(node.value),
    vy.NameConstant: lambda _, node: z3.BoolVal(node.value),
    vy.BinOp: _binary,
    vy.UnaryOp: _unary,
    vy.BoolOp: _boolean,
    vy.Compare: _compare,
    vy.Call: _call,
    vy.Tuple: lambda frame, node: tuple(_eval(frame, one) for one in node.elements),
}
