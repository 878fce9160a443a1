"""The signing journal: what this member signed, written down durably before it leaves.

One line of canonical JSON for each root, with a checksum; appended, synced, never rewritten. The
journal is not a cache. A member without one signs no report for a window that began before it was
made, so that a lost journal can't lead to a second root for a turn that was signed before.

Only the last line can be torn: it is written in one call, and its signature leaves after the sync.
So a torn line is cut off, and its signature never left; damage elsewhere stops the program.

A write that failed leaves in doubt what is on the disk. Its signature never left either; but it is
cut off, and its window barred, before anything else is signed. Until that succeeds, nothing is.

The file serves one process. Where several stand ready to act for a member, the journal lies in
their database: see `journal_database`.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from workdeed.oracle.errors import EquivocationError, JournalError
from workdeed.protocol.canonical import canonical_bytes, parse_canonical
from workdeed.protocol.errors import CanonicalError
from workdeed.protocol.fields import from_hex, to_hex
from workdeed.protocol.hashing import keccak

_VERSION: Final = 1
_CHECK_DIGITS: Final = 16
HASH_BYTES: Final = 32


def journal_path(state_dir: Path, member: str) -> Path:
    """Return where a member's journal is: each key has its own, so that keys may change."""
    return state_dir / f"signing-{member}.journal"


class Entry(NamedTuple):
    """What was signed: one root for a window, turn and epoch."""

    window: int
    turn: int
    epoch: int
    root: bytes
    data_hash: bytes

    @property
    def key(self) -> tuple[int, int, int]:
        """What only one root may be signed for."""
        return self.window, self.turn, self.epoch


class Journal(Protocol):
    """What a member asks of its journal. One call runs at a time."""

    @property
    def began_at(self) -> int:
        """From when on (Unix seconds) this journal knows of every signature."""

    def root_of(self, window: int, turn: int, epoch: int) -> bytes | None:
        """Return the root that was signed for a turn, None if none was."""

    def record(self, entry: Entry, *, window_start: int) -> None:
        """Write down what is about to be signed; when this returns, it may be.

        The same entry again is nothing new. The same root with other data is: it is no offence.

        Args:
            entry: what is about to be signed.
            window_start: when the entry's window began, in Unix seconds.

        Raises:
            EquivocationError: if another root was signed for the same window, turn and epoch.
            JournalError: if the window began before the journal, or it can't be written.
            ChainError: if it lies in a database that does not answer, or another process acts for
                the member.

        """

    def bar_before(self, now: int) -> None:
        """Sign for no window that began before `now`: the journal turned out to lack something.

        That is the case where it was restored from a copy.

        Raises:
            JournalError, ChainError: if it can't be written.

        """

    def close(self) -> None:
        """Let go of it."""


def check_age(entry: Entry, window_start: int, began_at: int) -> None:
    """Return if a journal knows of every signature for the entry's window.

    Raises:
        JournalError: if the window began before the journal.

    """
    if window_start < began_at:
        raise JournalError(
            f"window: {entry.window} began before this signing journal; what was signed for it"
            " is not known, wait for the next window"
        )


def check_root(entry: Entry, known: bytes | None) -> None:
    """Return if no other root is known for the entry's turn; raises `EquivocationError`."""
    if known is not None and known != entry.root:
        raise EquivocationError(
            f"root: {to_hex(known)} was signed for window {entry.window}, turn {entry.turn};"
            f" {to_hex(entry.root)} must not be"
        )


class _Bar(NamedTuple):
    """From when on (Unix seconds) the journal is known to be whole, see `bar_before`."""

    began_at: int


class SigningJournal:
    """A journal file, locked for this process; `close` it.

    Made by `open`. Not safe for several threads at a time.
    """

    def __init__(self, handle: int, path: Path, lines: Iterable[Entry | _Bar]) -> None:
        self._handle = handle
        self._path = path
        self._sure = os.fstat(handle).st_size
        """How many bytes are sure to be on the disk."""
        self._owed = 0
        """Where a bar has to be written before anything else is, 0 if none has."""
        self._began_at = 0
        self._roots: dict[tuple[int, int, int], bytes] = {}
        self._signed: set[Entry] = set()
        for line in lines:
            self._take(line)

    @classmethod
    def open(cls, path: Path, *, member: str, domain: bytes, now: int) -> Self:
        """Open a journal, or begin one, and lock it until `close`.

        Args:
            path: the file; folders are made.
            member: the member's address; a journal serves one.
            domain: the separator of the committee's domain; a journal serves one committee.
            now: the chain's time in Unix seconds, at which a new journal begins.

        Raises:
            JournalError: if it is in use, damaged, of another member or committee, or can't be
                written.

        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(handle, path)
            lines = _read_lines(handle, path)
            if not lines:
                lines = [_begin(handle, path, member, domain, now)]
            head, *rest = [parse_line(line, path) for line in lines]
            check_head(head, path, member, domain)
            known = [_read_bar(head, path), *(_read_line(one, path) for one in rest)]
            return cls(handle, path, known)
        except BaseException as error:
            os.close(handle)
            if isinstance(error, OSError):
                raise _unwritable(path, error) from error
            raise

    @property
    def began_at(self) -> int:
        """From when on (Unix seconds) this journal knows of every signature."""
        return self._began_at

    def __len__(self) -> int:
        return len(self._signed)

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._signed

    def root_of(self, window: int, turn: int, epoch: int) -> bytes | None:
        """Return the root that was signed for a turn, None if none was."""
        return self._roots.get((window, turn, epoch))

    def has_window(self, window: int) -> bool:
        """Tell whether anything was signed for `window`."""
        return any(key[0] == window for key in self._roots)

    def record(self, entry: Entry, *, window_start: int) -> None:
        """Write down what is about to be signed, see `Journal.record`."""
        self._pay()
        check_age(entry, window_start, self._began_at)
        check_root(entry, self._roots.get(entry.key))
        if entry not in self._signed:
            self._owed = window_start + 1  # unless the write succeeds
            self._keep(format_entry(entry), entry)

    def bar_before(self, now: int) -> None:
        """Sign for no window that began before `now`, see `Journal.bar_before`."""
        if now > self._began_at:
            self._owed = max(self._owed, now)
        self._pay()

    def close(self) -> None:
        """Let go of the file and its lock."""
        # A child that has not executed its program yet holds the descriptor too.
        fcntl.flock(self._handle, fcntl.LOCK_UN)
        os.close(self._handle)

    def _take(self, line: Entry | _Bar) -> None:
        if isinstance(line, _Bar):
            self._began_at = max(self._began_at, line.began_at)
            return
        if self._roots.setdefault(line.key, line.root) != line.root:
            raise JournalError(
                f"journal: it holds two roots for window {line.window}, turn {line.turn}; stop"
                " this oracle and find out which other process uses its key"
            )
        self._signed.add(line)

    def _pay(self) -> None:
        """Write the bar that is owed, if one is, behind what is sure to be on the disk.

        What lies behind that is of a write that failed. It is cut off even if it can be read: a
        sync that failed may have dropped it, and a later one would not notice.
        """
        if not self._owed:
            return
        try:
            self._cut_back()
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._keep(format_line({"began_at": self._owed}), _Bar(self._owed))

    def _cut_back(self) -> None:
        """Leave what is sure to be on the disk, and see that it is what this process knows."""
        if os.fstat(self._handle).st_size > self._sure:
            os.ftruncate(self._handle, self._sure)
        lines = _read_lines(self._handle, self._path)
        found = [_read_line(parse_line(line, self._path), self._path) for line in lines]
        entries = {one for one in found if isinstance(one, Entry)}
        if sum(len(line) + 1 for line in lines) != self._sure or entries != self._signed:
            raise JournalError(
                f"journal {self._path}: it is not what this oracle wrote; restart the keeper, and"
                " find out what else writes to the file"
            )

    def _keep(self, line: bytes, content: Entry | _Bar) -> None:
        """Write a line, and know it; what was owed until then is not any more."""
        self._append(line)
        self._sure += len(line)
        self._owed = 0
        self._take(content)

    def _append(self, line: bytes) -> None:
        try:
            _write(self._handle, line)
        except OSError as error:
            raise _unwritable(self._path, error) from error


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"journal {path}: it can't be written ({error.strerror}), so nothing is signed; make room"
        " on its disk, or restart the keeper"
    )


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise JournalError(
            f"journal {path}: another process signs with it; one member key is for one process"
        ) from None


def _read_lines(handle: int, path: Path) -> list[bytes]:
    """Return the whole lines, after cutting off a torn last one."""
    size = os.fstat(handle).st_size
    data = os.pread(handle, size, 0)
    if len(data) != size:
        raise JournalError(f"journal {path}: it can't be read")
    *lines, tail = data.split(b"\n")
    if not tail and lines and b"\0" in lines[-1]:  # its end was written, its beginning was not
        tail = lines.pop() + b"\n"
    if tail:
        os.ftruncate(handle, size - len(tail))
    # A process that was killed may have written what is read here and not synced it, or its sync
    # may have failed: then the next one writes only what is written anew.
    if lines:
        last = lines[-1] + b"\n"
        _check_written(os.pwrite(handle, last, size - len(tail) - len(last)), last)
    os.fsync(handle)
    os.lseek(handle, 0, os.SEEK_END)
    return lines


def _begin(handle: int, path: Path, member: str, domain: bytes, now: int) -> bytes:
    line = format_head(member, domain, now)
    _write(handle, line)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the file itself must not vanish either
    finally:
        os.close(folder)
    return line[:-1]


def _write(handle: int, line: bytes) -> None:
    _check_written(os.write(handle, line), line)
    os.fsync(handle)


def _check_written(count: int, line: bytes) -> None:
    if count != len(line):
        raise OSError(0, "the disk is full")


def format_line(content: dict[str, object]) -> bytes:
    """Return a line of a journal, with its checksum and its end."""
    data = canonical_bytes(content)
    return keccak(data).hex()[:_CHECK_DIGITS].encode() + b" " + data + b"\n"


def format_head(member: str, domain: bytes, began_at: int) -> bytes:
    """Return the first line of a journal."""
    return format_line(
        {"began_at": began_at, "domain": to_hex(domain), "member": member, "version": _VERSION}
    )


def format_entry(entry: Entry) -> bytes:
    """Return the line of what was signed."""
    content: dict[str, object] = dict(entry._asdict())
    return format_line(content | {"root": to_hex(entry.root), "data_hash": to_hex(entry.data_hash)})


def parse_line(line: bytes, path: Path) -> dict[str, object]:
    """Return what a line says; raises `JournalError` if it is damaged."""
    check, _, data = line.partition(b" ")
    try:
        content = parse_canonical(data)
    except CanonicalError:
        content = None
    if not isinstance(content, dict) or keccak(data).hex()[:_CHECK_DIGITS].encode() != check:
        raise JournalError(
            f"journal {path}: a line before its last is damaged; remove the file, and the oracle"
            " signs again from the next window on"
        )
    return content


def check_head(head: dict[str, object], path: Path, member: str, domain: bytes) -> None:
    """Check that a journal is of a member and committee; raises `JournalError` if not."""
    if (head.get("member"), head.get("domain")) != (member, to_hex(domain)):
        raise JournalError(
            f"journal {path}: it is of {head.get('member')} in another committee or of another"
            " member; name another file"
        )
    if head.get("version") != _VERSION:
        raise JournalError(f"journal {path}: it is of another version of this program")


def _read_line(content: dict[str, object], path: Path) -> Entry | _Bar:
    return read_entry(content, path) if "window" in content else _read_bar(content, path)


def read_entry(content: dict[str, object], path: Path) -> Entry:
    """Return what a line of `format_entry` says; raises `JournalError` if something is missing."""
    window, turn, epoch = (_number(content, key, path) for key in ("window", "turn", "epoch"))
    root, data_hash = (_hash(content, key, path) for key in ("root", "data_hash"))
    return Entry(window, turn, epoch, root, data_hash)


def _read_bar(content: dict[str, object], path: Path) -> _Bar:
    return _Bar(_number(content, "began_at", path))


def _number(content: dict[str, object], key: str, path: Path) -> int:
    found = content.get(key)
    if not isinstance(found, int):
        raise JournalError(f"journal {path}: a line lacks the number {key}")
    return found


def _hash(content: dict[str, object], key: str, path: Path) -> bytes:
    try:
        return from_hex(str(content.get(key)), HASH_BYTES)
    except ValueError:
        raise JournalError(f"journal {path}: a line lacks the hash {key}") from None
