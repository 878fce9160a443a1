"""Shows the evidence of a job to those whose money it is about: its payer and its operators."""

import asyncio
from typing import Final

from workdeed.oracle.archive import Archive
from workdeed.oracle.errors import DataMissingError, ForbiddenError
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.snapshots import ChainView
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import MessageError, SignatureError
from workdeed.protocol.evidence import Evidence, EvidenceRequest, ProvenAnswer
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_ANSWERS, MAX_LEAVES
from workdeed.protocol.merkle import MerkleTree
from workdeed.protocol.messages import Answer

VALID_SECONDS: Final = 300
"""How long a request counts, before and after its time."""


class EvidenceDesk:
    """Answers requests for evidence.

    The tree over the answers of one window is kept, that of the last one asked for.

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
        self._tree: tuple[int, MerkleTree] | None = None
        self._turn = asyncio.Lock()

    async def show(self, request: EvidenceRequest) -> Evidence:
        """Return a page of the answers that this member counted.

        Raises:
            ForbiddenError: if the request is too old, not signed by who it names, or of somebody
                who has no part in the job.
            NotYetError: as long as figures of the window could still be copied.
            DataMissingError: if the final report's data is not here, or the window too large.

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

    def _page(self, request: EvidenceRequest) -> Evidence:
        lines = self._evidence.answers(request.window)
        if len(lines) > MAX_LEAVES:
            raise DataMissingError("window: too many answers to show; ask this member's operator")
        tree = self._tree_of(request.window, lines)
        found = [line for line in lines if _is_about(line, request)]
        first = request.page * MAX_ANSWERS
        return Evidence(
            window=request.window,
            job_id=request.job_id,
            license_id=request.license_id,
            pages=-(-len(found) // MAX_ANSWERS),
            evidence_root=tree.root,
            answers=tuple(
                ProvenAnswer(answer=line, proof=tuple(tree.proof(keccak(line))))
                for line in found[first : first + MAX_ANSWERS]
            ),
        )

    def _tree_of(self, window: int, lines: list[bytes]) -> MerkleTree:
        if self._tree is None or self._tree[0] != window:
            self._tree = window, MerkleTree(keccak(line) for line in lines)
        return self._tree[1]


def _is_about(line: bytes, request: EvidenceRequest) -> bool:
    if b'"license_id":%d,' % request.license_id not in line:  # most are not: no need to parse
        return False
    try:
        answer = Answer.parse(line)
    except MessageError:
        return False
    return answer.license_id == request.license_id and any(
        work.job_id == request.job_id for work in answer.workloads
    )
