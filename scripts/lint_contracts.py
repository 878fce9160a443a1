"""Check the contracts' format and natspec: `python scripts/lint_contracts.py`.

mamushi checks the format; it needs an older click than ape, so it lives in an environment of its
own (`.venv-vyper-lint`). The natspec rules are the house's: every function says what it does, names
each parameter and each returned value; every deployable says how it can be disabled; no function is
longer than 60 lines, no reason longer than 32 bytes.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
MAMUSHI = ROOT / ".venv-vyper-lint" / "bin" / "mamushi"
LINE_LENGTH = 120
MAX_LINES = 60
MAX_REASON = 32

BODY = re.compile(r"^(?:    .*\n|\n)*", re.MULTILINE)
HEAD = re.compile(r"^def (\w+)\(", re.MULTILINE)
REASON = re.compile(r'(?:assert .*?, |raise )("[^"]*")', re.DOTALL)


def functions(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, arguments, result and body of every function of a source."""
    for match in HEAD.finditer(text):
        close = _closing(text, match.end())
        colon = text.index(":\n", close)
        result = text[close + 1 : colon].strip().removeprefix("->").strip()
        body = BODY.match(text, colon + 2)
        yield match[1], text[match.end() : close], result, body[0] if body else ""


def _closing(text: str, start: int) -> int:
    depth = 1
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise ValueError("a parenthesis is not closed")


def parameters(arguments: str) -> list[str]:
    """Return the names of a function's parameters."""
    return re.findall(r"(?:^|,)\s*(\w+):", re.sub(r"\[[^\]]*\]", "", arguments))


def results(result: str) -> int:
    """Return how many values a function returns."""
    if not result:
        return 0
    inner = re.sub(r"\[[^\]]*\]", "", result)
    return inner.count(",") + 1 if inner.startswith("(") else 1


def check_function(name: str, arguments: str, result: str, body: str) -> Iterator[str]:
    """Yield what is wrong with a function."""
    docstring = re.match(r'\s*"""(.*?)"""', body, re.DOTALL)
    if docstring is None:
        yield f"{name}: no natspec"
        return
    text = docstring[1]
    if "@dev" not in text and "@notice" not in text:
        yield f"{name}: neither @dev nor @notice"
    described = re.findall(r"@param (\w+)", text)
    if described != parameters(arguments):
        yield f"{name}: @param {described}, parameters {parameters(arguments)}"
    if text.count("@return") != results(result):
        yield f"{name}: {text.count('@return')} @return for {results(result)} values"
    if (length := body.rstrip().count("\n") + 1) > MAX_LINES:
        yield f"{name}: {length} lines, more than {MAX_LINES}"


def check_source(path: Path) -> Iterator[str]:
    """Yield what is wrong with a contract or module."""
    text = path.read_text() + "\n"
    for function in functions(text):
        yield from check_function(*function)
    if "@title" not in text:
        yield "no @title"
    if path.parent == CONTRACTS and "@custom:kill" not in text:
        yield "no @custom:kill: say how it can be disabled, and what that cannot do"
    for literal in REASON.findall(text):
        reason = ast.literal_eval(literal)
        if len(reason.encode()) > MAX_REASON:
            yield f"reason longer than {MAX_REASON} bytes: {reason}"
        if not re.match(r"^[a-z]+: ", reason):
            yield f"reason without its area: {reason}"


def format_is_right(paths: list[Path]) -> bool:
    """Let mamushi say whether it would change anything."""
    if not MAMUSHI.exists():
        print(f"{MAMUSHI.relative_to(ROOT)} is missing: run make lint", file=sys.stderr)
        return False
    command = [str(MAMUSHI), "--check", "--line-length", str(LINE_LENGTH), *map(str, paths)]
    return subprocess.run(command, check=False).returncode == 0


def main() -> int:
    """Check everything; return the exit code."""
    sources = sorted([*CONTRACTS.glob("*.vy"), *CONTRACTS.glob("modules/*.vy")])
    formatted = sorted([*sources, *CONTRACTS.glob("*/*.vyi"), *CONTRACTS.glob("testing/*.vy")])
    complaints = [
        f"{path.relative_to(ROOT)}: {complaint}"
        for path in sources
        for complaint in check_source(path)
    ]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 0 if format_is_right(formatted) and not complaints else 1


if __name__ == "__main__":
    sys.exit(main())
