"""What each oracle measured a license by: its answers, checked against what the oracle signed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from workdeed.chain.keys import Signer
from workdeed.chain.rpc import origin_of
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.evidence import Evidence, EvidenceRequest
from workdeed.protocol.figures import UNKNOWN, Pair
from workdeed.protocol.limits import MAX_EVIDENCE_BYTES, MAX_PEER_BYTES
from workdeed.protocol.messages import Answer, Observations, SignedObservation
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.session import Session


@dataclass(frozen=True, slots=True)
class Shown:
    """What one oracle measured.

    Attributes:
        keeper: where it answered, without credentials.
        member: who signed the observation that the answers belong to.
        figure: 0..10,000, None if it signed that it does not know.
        answers: those that it counted, in the order in which they came.

    """

    keeper: str
    member: str
    figure: int | None
    answers: tuple[Answer, ...]


class EvidenceReader:
    """Asking oracles for evidence, for payers and operators: `EvidenceReader(client.session)`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def read(
        self, signer: Signer, job_id: int, license_id: int, window: int
    ) -> tuple[list[Shown], list[str]]:
        """Return what the oracles that can show it measured a license by, and what others say.

        Each answer is signed by the node and lies under the root that the oracle signed.

        Args:
            signer: the payer's key, or that of the license's owner or payout address.
            job_id: the job.
            license_id: the license.
            window: the window, settled by a final report.

        Raises:
            EndpointError: if no keeper shows the observations of the window.

        """
        session = self._session
        keepers = await session.keeper_addresses()
        domain = session.deployment.domain(COMMITTEE_DOMAIN)
        signed = await _observations(session.endpoints, keepers, window, domain)
        pair = Pair(session.suite.escrow.address, job_id, license_id)
        inquiry = _Inquiry(session.endpoints, signer, domain, pair, window)
        shown, troubles = [], []
        for keeper in keepers:
            try:
                shown.append(_shown(keeper, pair, signed, *await inquiry.ask(keeper)))
            except (EndpointError, ProtocolError) as error:
                troubles.append(str(error))
        return shown, troubles


async def _observations(
    endpoints: Endpoints, keepers: Sequence[str], window: int, domain: Domain
) -> Sequence[SignedObservation]:
    """Return the observations of a window by all members, from the first keeper that has them."""
    troubles = []
    for keeper in keepers:
        try:
            data = await endpoints.get(keeper, f"/observations/{window}", MAX_PEER_BYTES)
            found = Observations.parse(data).observations
            for one in found:
                one.verify(domain)
        except (EndpointError, ProtocolError) as error:
            troubles.append(str(error))
        else:
            return [one for one in found if one.window == window]
    raise EndpointError(troubles[0] if troubles else "keepers: none is known; name one")


@dataclass(frozen=True)
class _Inquiry:
    """A question to all oracles: the answers of a pair in a window."""

    endpoints: Endpoints
    signer: Signer
    domain: Domain
    pair: Pair
    window: int

    async def ask(self, keeper: str) -> tuple[bytes, list[Answer]]:
        """Return what one keeper shows: the root, and all answers under it."""
        answers: list[Answer] = []
        page, pages, root = 0, 1, b""
        while page < pages:
            found = await self._page(keeper, page)
            if root not in (b"", found.evidence_root):
                raise EndpointError(f"{origin_of(keeper)}: its evidence changed while it was read")
            answers += found.check(self.domain)
            page, pages, root = page + 1, found.pages, found.evidence_root
        return root, answers

    async def _page(self, keeper: str, page: int) -> Evidence:
        path, body = f"/evidence/{self.window}", self._request(page).to_json()
        found = Evidence.parse(
            await self.endpoints.send("POST", keeper, path, body, MAX_EVIDENCE_BYTES)
        )
        about = found.window, found.job_id, found.license_id
        if about != (self.window, self.pair.job_id, self.pair.license_id):
            raise EndpointError(f"{origin_of(keeper)}: it answered something else")
        if not found.answers and page < found.pages:
            raise EndpointError(f"{origin_of(keeper)}: it sent an empty page")
        return found

    def _request(self, page: int) -> EvidenceRequest:
        request = EvidenceRequest(
            window=self.window,
            job_id=self.pair.job_id,
            license_id=self.pair.license_id,
            page=page,
            asked_at=int(time.time()),
            account=self.signer.address,
        )
        signature = self.signer.sign_digest(request.digest(self.domain))
        return request.model_copy(update={"signature": signature})


def _shown(
    keeper: str,
    pair: Pair,
    signed: Sequence[SignedObservation],
    root: bytes,
    answers: Sequence[Answer],
) -> Shown:
    """Return answers with the observation that was signed of them."""
    observation = next((one for one in signed if one.evidence_root == root), None)
    if observation is None:
        raise EndpointError(
            f"{origin_of(keeper)}: no member signed an observation of what it shows"
        )
    figure = dict(zip(observation.pairs, observation.figures, strict=True)).get(pair, UNKNOWN)
    known = None if figure == UNKNOWN else figure
    return Shown(origin_of(keeper), observation.member, known, tuple(answers))
