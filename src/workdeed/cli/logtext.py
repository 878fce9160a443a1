"""What others say, made fit for a terminal: no control character of theirs reaches it."""

import codecs
import unicodedata
from typing import Final

_KEPT: Final = frozenset("\n\t")
_LONGEST_LINE: Final = 64 * 1024


class LogText:
    """Turns pieces of a log into whole lines.

    Output is anybody's text: escape sequences would move the cursor, set the title or retype a
    command, and marks of direction make text read as another. They are shown by their number.

    Args:
        prefix: before each line.

    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, data: bytes) -> str:
        """Return the lines that `data` completes; the rest waits for what follows."""
        text = (self._rest + self._decoder.decode(data)).replace("\r\n", "\n")
        lines, _, self._rest = text.rpartition("\n")
        whole = lines.split("\n") if lines or text != self._rest else []
        if len(self._rest) > _LONGEST_LINE:
            whole.append(self._rest)
            self._rest = ""
        return "".join(self._shown(line) for line in whole)

    def end(self) -> str:
        """Return what was left without the end of a line, as a line."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        return self._shown(rest) if rest else ""

    def _shown(self, line: str) -> str:
        return f"{self._prefix}{visible(line)}\n"


def visible(text: str) -> str:
    """Return `text` with control and format characters written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_character(one) for one in text)


def plain(text: str) -> str:
    """Return `text` as one line and one cell: ends of lines and tabs are escapes as well."""
    return visible(text).replace("\n", "\\x0a").replace("\t", "\\x09")


def _character(one: str) -> str:
    # Cc: control; Cf: format, such as marks of direction; Cs, Co: no characters of their own;
    # Zl, Zp: ends of lines that no terminal agrees about.
    if one in _KEPT or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return one
    code = ord(one)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
