"""What a payer or an operator asks an oracle for: the answers of a license that it measured by."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import MerkleError, MessageError
from workdeed.protocol.fields import Address, Base64, Hash, Positive, Uint
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import (
    MAX_ANSWERS,
    MAX_BODY,
    MAX_EVIDENCE_BYTES,
    MAX_PROOF,
    MAX_SMALL_BYTES,
)
from workdeed.protocol.merkle import verify
from workdeed.protocol.messages import Answer
from workdeed.protocol.wire import Body, EnvelopeMessage, Message


class EvidenceRequest(EnvelopeMessage):
    """A request for the answers about one job by one license in one window.

    Attributes:
        page: which page of them, from 0.
        asked_at: Unix seconds; a request counts for a few minutes, so that it cannot be kept.
        account: who asks, and signs: the job's payer, the license's owner or its payout address.

    """

    MAX_BYTES: ClassVar[int] = MAX_SMALL_BYTES

    schema_: Literal["workdeed/evidence-request@1"] = Field(
        default="workdeed/evidence-request@1", alias="schema"
    )
    window: Positive
    job_id: Positive
    license_id: Positive
    page: Uint
    asked_at: Positive
    account: Address

    @property
    def signer(self) -> str:
        """Who asks."""
        return self.account


class ProvenAnswer(Body):
    """The canonical JSON of a node's signed answer, and its proof against the evidence root."""

    answer: Annotated[Base64, Field(max_length=MAX_BODY)]
    proof: Annotated[tuple[Hash, ...], Field(max_length=MAX_PROOF)]


class Evidence(Message):
    """A page of the answers that one member counted, in the order in which they came.

    Attributes:
        pages: how many there are; 0 if the member kept no answer.
        evidence_root: the root that the member signed in its observation of the window.

    """

    MAX_BYTES: ClassVar[int] = MAX_EVIDENCE_BYTES

    schema_: Literal["workdeed/evidence@1"] = Field(default="workdeed/evidence@1", alias="schema")
    window: Positive
    job_id: Positive
    license_id: Positive
    pages: Uint
    evidence_root: Hash
    answers: Annotated[tuple[ProvenAnswer, ...], Field(max_length=MAX_ANSWERS)]

    def check(self, domain: Domain) -> list[Answer]:
        """Return the answers, each signed by its node and part of what the member signed.

        Args:
            domain: the committee's.

        Raises:
            MessageError: if one is malformed, or not about this license, job and window.
            SignatureError: if its node did not sign it.
            MerkleError: if it is not under the evidence root.

        """
        return [self._check(one, domain) for one in self.answers]

    def _check(self, one: ProvenAnswer, domain: Domain) -> Answer:
        answer = Answer.parse(one.answer)
        if answer.canonical() != one.answer:
            raise MessageError("answers: one is not in canonical JSON", "answers")
        jobs = {work.job_id for work in answer.workloads}
        asked_for = (self.license_id, self.window) == (answer.license_id, answer.window)
        if not asked_for or self.job_id not in jobs:
            raise MessageError("answers: one is about something else", "answers")
        answer.verify(domain)
        if not verify(self.evidence_root, keccak(one.answer), one.proof):
            raise MerkleError("answers: one is not among those that the member signed")
        return answer
