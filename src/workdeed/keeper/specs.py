"""The specs that this keeper serves, one file a hash.

A spec is kept while its hash stands in the escrow for a job that is not over. A payer sends it just
before its transaction, so one that does not stand there yet may wait: few, and not for long, so
that nobody can store data here for nothing.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Set
from pathlib import Path

from workdeed.intent import Spec, SpecError, parse_spec
from workdeed.keeper.errors import SpecRefusedError
from workdeed.protocol.canonical import parse_canonical
from workdeed.protocol.errors import CanonicalError
from workdeed.protocol.fields import to_hex
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_SPEC_BYTES

MAX_WAITING = 256
"""Specs that may wait for their transaction: 64 MiB at most."""

MAX_PARSED = 1_024
"""Specs that a reader keeps parsed."""

WAITING_SECONDS = 900
"""How long one may wait."""


class SpecStore:
    """Canonical specs by hash, in a folder of their own."""

    def __init__(
        self,
        folder: Path,
        *,
        max_waiting: int = MAX_WAITING,
        waiting_seconds: float = WAITING_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open the store; `now` gives the wall clock, in seconds, that files are dated by."""
        self._folder = folder
        self._max_waiting = max_waiting
        self._waiting_seconds = waiting_seconds
        self._now = now
        self._on_chain: Set[bytes] = frozenset()
        folder.mkdir(parents=True, exist_ok=True)
        self._held = {digest for path in folder.iterdir() if (digest := _hash_of(path))}

    def __len__(self) -> int:
        return len(self._held)

    def put(self, spec_hash: bytes, data: bytes) -> None:
        """Store the canonical bytes of a spec.

        Raises:
            SpecRefusedError: if they are too long, not canonical JSON, or hash to something else.

        """
        check_spec(spec_hash, data)
        if spec_hash in self._held:
            return
        path = self._path(spec_hash)
        partial = path.with_suffix(f".{os.getpid()}.part")
        partial.write_bytes(data)
        os.utime(partial, (self._now(), self._now()))
        partial.replace(path)
        self._held.add(spec_hash)
        self._drop_oldest_waiting()

    def get(self, spec_hash: bytes) -> bytes | None:
        """Return the bytes of a spec, None if it is not here; a damaged file is dropped."""
        if spec_hash not in self._held:
            return None
        try:
            data = self._path(spec_hash).read_bytes()
        except FileNotFoundError:
            data = b""
        if keccak(data) != spec_hash:
            self._drop(spec_hash)
            return None
        return data

    def missing(self, wanted: Set[bytes]) -> Set[bytes]:
        """Return the hashes of `wanted` that are not here."""
        return wanted - self._held

    def keep(self, on_chain: Set[bytes]) -> int:
        """Drop what neither stands in `on_chain` nor may still wait; return how many were dropped.

        `on_chain` holds the current spec hashes of all jobs that are not over.
        """
        self._on_chain = on_chain
        deadline = self._now() - self._waiting_seconds
        stale = [one for one in self._held - on_chain if self._date(one) < deadline]
        for spec_hash in stale:
            self._drop(spec_hash)
        return len(stale)

    def _drop_oldest_waiting(self) -> None:
        waiting = self._held - self._on_chain
        if len(waiting) > self._max_waiting:
            self._drop(min(waiting, key=self._date))

    def _drop(self, spec_hash: bytes) -> None:
        self._held.discard(spec_hash)
        self._path(spec_hash).unlink(missing_ok=True)

    def _date(self, spec_hash: bytes) -> float:
        try:
            return self._path(spec_hash).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _path(self, spec_hash: bytes) -> Path:
        return self._folder / f"{to_hex(spec_hash)}.json"


class SpecReader:
    """The intents behind the specs of a store, the latest ones kept parsed.

    Args:
        store: the specs.

    """

    def __init__(self, store: SpecStore) -> None:
        self._store = store
        self._kept: OrderedDict[bytes, Spec] = OrderedDict()

    def __call__(self, spec_hash: bytes) -> Spec | None:
        """Return the intent of a hash; None if it is not held, or nobody could run it."""
        found = self._kept.get(spec_hash) or self._parse(spec_hash)
        if found is not None:
            self._kept[spec_hash] = found
            self._kept.move_to_end(spec_hash)
            if len(self._kept) > MAX_PARSED:
                self._kept.popitem(last=False)
        return found

    def _parse(self, spec_hash: bytes) -> Spec | None:
        data = self._store.get(spec_hash)
        try:
            return None if data is None else parse_spec(data)
        except SpecError:
            return None


def check_spec(spec_hash: bytes, data: bytes) -> None:
    """Raise `SpecRefusedError` unless `data` is the canonical spec that has this hash."""
    if len(data) > MAX_SPEC_BYTES:
        raise SpecRefusedError(f"spec: it has {len(data)} bytes; at most {MAX_SPEC_BYTES} go")
    if keccak(data) != spec_hash:
        raise SpecRefusedError("hash: the keccak256 of these bytes is another; send them as hashed")
    try:
        content = parse_canonical(data)
    except CanonicalError as error:
        raise SpecRefusedError(f"spec: {error}") from error
    if not isinstance(content, dict):
        raise SpecRefusedError("spec: it is no JSON object")


def _hash_of(path: Path) -> bytes | None:
    """Return the hash that a file is named after, else None; a leftover is removed."""
    name = path.name
    if len(name) == 71 and name.startswith("0x") and name.endswith(".json"):
        try:
            return bytes.fromhex(name[2:66])
        except ValueError:
            pass
    if path.suffix == ".part":
        path.unlink(missing_ok=True)
    return None
