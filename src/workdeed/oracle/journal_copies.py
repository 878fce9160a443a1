"""Copies of a signing journal: to look at, to keep, and to start from after a loss.

A copy does not know what was signed after it was made. So whoever starts from one signs nothing for
windows that began before the restore, as with a new journal; what the copy adds is the record of
what was signed, which answers an accusation.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from workdeed.oracle.errors import JournalError
from workdeed.oracle.journal import (
    Entry,
    check_head,
    format_entry,
    format_head,
    format_line,
    parse_line,
    read_entry,
)


class Summary(NamedTuple):
    """What a journal holds.

    Attributes:
        member: whose it is.
        roots: how many signed roots it records.
        last_window: the last window that something was signed for, 0 if none was.
        began_at: from when on (Unix seconds) it knows of every signature.

    """

    member: str
    roots: int
    last_window: int
    began_at: int


def summary_of(path: Path) -> Summary:
    """Read a journal, also while its oracle runs.

    Raises:
        JournalError: if it cannot be read or is damaged.

    """
    head, *lines = [parse_line(line, path) for line in _whole_lines(path)]
    windows = [int(str(line["window"])) for line in lines if "window" in line]
    bars = [int(str(line["began_at"])) for line in (head, *lines) if "began_at" in line]
    return Summary(str(head.get("member")), len(windows), max(windows, default=0), max(bars))


def back_up(path: Path, copy: Path) -> Summary:
    """Copy a journal, also while its oracle runs; a line that is being written is left out.

    Args:
        path: the journal.
        copy: the file to make.

    Raises:
        JournalError: if the journal cannot be read, or the copy not be made or exists.

    """
    summary = summary_of(path)
    _create(copy, b"".join(line + b"\n" for line in _whole_lines(path)))
    return summary


def restore(copy: Path, path: Path, *, member: str, domain: bytes, now: int) -> Summary:
    """Make a journal from a copy; it signs for no window that began before `now`.

    Args:
        copy: what `back_up` made.
        path: the journal to make.
        member: the member's address.
        domain: the separator of the committee's domain.
        now: the chain's time in Unix seconds.

    Raises:
        JournalError: if the copy is damaged or another's, or the journal exists.

    """
    lines = _whole_lines(copy)
    check_head(parse_line(lines[0], copy), copy, member, domain)
    summary = summary_of(copy)
    bar = format_line({"began_at": max(now, summary.began_at)})
    path.parent.mkdir(parents=True, exist_ok=True)
    _create(path, b"".join(line + b"\n" for line in lines) + bar)
    return summary_of(path)


def write_copy(
    copy: Path, entries: Iterable[Entry], *, member: str, domain: bytes, began_at: int
) -> Summary:
    """Make a copy of a journal that is no file.

    Args:
        copy: the file to make.
        entries: what was signed.
        member: the member's address.
        domain: the separator of the committee's domain.
        began_at: from when on (Unix seconds) the journal knows of every signature.

    Raises:
        JournalError: if the copy cannot be made or exists.

    """
    lines = [format_head(member, domain, began_at), *map(format_entry, entries)]
    _create(copy, b"".join(lines))
    return summary_of(copy)


def read_copy(copy: Path, *, member: str, domain: bytes) -> list[Entry]:
    """Return what was signed according to a copy; raises `JournalError` as `restore`."""
    head, *lines = [parse_line(line, copy) for line in _whole_lines(copy)]
    check_head(head, copy, member, domain)
    return [read_entry(line, copy) for line in lines if "window" in line]


def retire(path: Path, now: int) -> Path:
    """Put a journal aside for good, as the record of what it signed; return where it is.

    Args:
        path: the journal, which this process has opened.
        now: the chain's time in Unix seconds, for its name.

    Raises:
        JournalError: if it cannot be renamed.

    """
    aside = path.with_name(f"{path.name}.until-{now}")
    try:
        path.rename(aside)
        _sync(path.parent)
    except OSError as error:
        raise JournalError(f"journal {path}: it can't be renamed ({error.strerror})") from None
    return aside


def _whole_lines(path: Path) -> list[bytes]:
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(f"journal {path}: it can't be read ({error.strerror})") from None
    if not lines:
        raise JournalError(f"journal {path}: it is empty; name another file")
    return lines


def _create(path: Path, content: bytes) -> None:
    """Make a file as a whole or not at all, durably."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # unlike a rename, this fails where the file exists
    except FileExistsError as error:
        raise JournalError(f"journal {error.filename2 or error.filename}: it exists") from None
    except OSError as error:
        raise JournalError(f"journal {path}: it can't be made ({error.strerror})") from None
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Let what was made and renamed in a folder outlast a loss of power."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
