"""Shows the evidence of a job to those whose money it is about: its payer and its operators."""

import asyncio
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from workdeed.oracle.archive import Archive
from workdeed.oracle.errors import DataMissingError, ForbiddenError
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.snapshots import ChainView
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import MessageError, SignatureError
from workdeed.protocol.evidence import Evidence, EvidenceRequest, ProvenAnswer
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_ANSWERS, MAX_LEAVES, MIB
from workdeed.protocol.merkle import MerkleTree
from workdeed.protocol.messages import Answer

VALID_SECONDS: Final = 300
"""How long a request counts, before and after its time."""

MAX_SHOWN_BYTES: Final = 4096 * MIB
"""Answers of a window that are read to show some of them."""

_LICENSE: Final = re.compile(rb'"license_id":([1-9][0-9]{0,15}),')


@dataclass(slots=True)
class _Index:
    """Where the answers of a window are; takes about 160 bytes for each.

    Attributes:
        window: the window.
        size: bytes of all of them.
        tree: over all of them.
        places: where those of each license begin.
        subject: the job and license asked for last.
        found: where the answers about them begin.

    """

    window: int
    size: int
    tree: MerkleTree
    places: "dict[int, array[int]]"
    subject: tuple[int, int] = (0, 0)
    found: Sequence[int] = ()


class EvidenceDesk:
    """Answers requests for evidence.

    Where the answers are is kept for one window, the last one asked for: a page then reads no more
    than its own. Nothing is read of a window that is too large.

    Args:
        chain: says who may ask, and which windows are settled.
        archive: says which windows are settled.
        evidence: the answers.
        domain: the committee's.

    """

    def __init__(
        self, chain: ChainView, archive: Archive, evidence: EvidenceLog, domain: Domain
    ) -> None:
        self._chain = chain
        self._archive = archive
        self._evidence = evidence
        self._domain = domain
        self._index: _Index | None = None
        self._too_large: set[tuple[int, int]] = set()
        self._turn = asyncio.Lock()

    async def show(self, request: EvidenceRequest) -> Evidence:
        """Return a page of the answers that this member counted.

        Raises:
            ForbiddenError: if the request is too old, not signed by who it names, of somebody who
                has no part in the job, or about a license that never was placed on it.
            NotYetError: as long as figures of the window could still be copied.
            DataMissingError: if the final report's data is not here, or the window too large.
            StoreError: if the answers can't be read.

        """
        self._check(request)
        await self._archive.require_settled(request.window)
        async with self._turn:  # a window is read from disk: one at a time
            return await asyncio.to_thread(self._page, request)

    def _check(self, request: EvidenceRequest) -> None:
        if abs(self._chain.now() - request.asked_at) > VALID_SECONDS:
            raise ForbiddenError("asked_at", "it is too old, or ahead; ask again")
        try:
            request.verify(self._domain)
        except SignatureError as error:
            raise ForbiddenError("signature", "it is not by the account that is named") from error
        books = self._chain.books
        job, license_ = books.jobs.get(request.job_id), books.licenses.get(request.license_id)
        if job is None or license_ is None:
            raise ForbiddenError("job_id", "there is no such job or license")
        if request.account not in (job.payer, license_.owner, license_.payee):
            raise ForbiddenError(
                "account",
                "only the job's payer, and the license's owner and payout address, may ask",
            )
        if (request.job_id, request.license_id) not in books.assignments:
            raise ForbiddenError("license_id", "it was never placed on this job")

    def _page(self, request: EvidenceRequest) -> Evidence:
        index = self._index_of(request.window)
        found = self._found(index, request)
        first = request.page * MAX_ANSWERS
        lines = self._evidence.answers_at(request.window, found[first : first + MAX_ANSWERS])
        return Evidence(
            window=request.window,
            job_id=request.job_id,
            license_id=request.license_id,
            pages=-(-len(found) // MAX_ANSWERS),
            evidence_root=index.tree.root,
            answers=tuple(
                ProvenAnswer(answer=line, proof=tuple(index.tree.proof(keccak(line))))
                for line in lines
            ),
        )

    def _index_of(self, window: int) -> _Index:
        size = self._evidence.size(window)
        if self._index is None or (self._index.window, self._index.size) != (window, size):
            self._check_size(window, size)
            self._index = None  # two at a time would take twice the memory
            self._index = self._indexed(window, size)
        return self._index

    def _check_size(self, window: int, size: int) -> None:
        """Raise `DataMissingError` if it would take too long, or too much memory, to show any."""
        if (window, size) not in self._too_large:
            if size <= MAX_SHOWN_BYTES and self._evidence.count(window, MAX_LEAVES) <= MAX_LEAVES:
                return
            self._too_large.add((window, size))
        raise DataMissingError("window: too many answers to show; ask this member's operator")

    def _indexed(self, window: int, size: int) -> _Index:
        places: dict[int, array[int]] = {}

        def hashes() -> Iterator[bytes]:
            place = 0
            for line in self._evidence.answers(window):
                license_ = _LICENSE.search(line)
                if license_ is not None:
                    places.setdefault(int(license_[1]), array("Q")).append(place)
                place += len(line) + 1
                yield keccak(line)

        return _Index(window, size, MerkleTree(hashes()), places)

    def _found(self, index: _Index, request: EvidenceRequest) -> Sequence[int]:
        """Return where the answers about a job by a license begin."""
        subject = request.job_id, request.license_id
        if index.subject != subject:
            places = index.places.get(request.license_id, ())
            lines = self._evidence.answers_at(request.window, places)
            found = zip(places, lines, strict=True)
            index.found = [place for place, line in found if _is_about(line, request)]
            index.subject = subject
        return index.found


def _is_about(line: bytes, request: EvidenceRequest) -> bool:
    try:
        answer = Answer.parse(line)
    except MessageError:
        return False
    return answer.license_id == request.license_id and any(
        work.job_id == request.job_id for work in answer.workloads
    )
