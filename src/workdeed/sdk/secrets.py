"""Sealing the secrets of a spec to the nodes that may run it.

Keepers say which nodes these are, and are not trusted with it: each profile is held against the
chain, and against what the spec asks of a node. A keeper can still leave nodes out; whoever minds
asks several.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from workdeed.chain.bindings.licenses import NODE
from workdeed.chain.rpc import origin_of
from workdeed.intent import SealedBox, Secrets, Spec, parse_spec
from workdeed.intent.secrets import MAX_BOXES
from workdeed.intent.wishes import unmet_wish
from workdeed.protocol.candidates import MAX_CANDIDATES, Candidates, CandidatesRequest
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN
from workdeed.protocol.errors import ProtocolError, SignatureError
from workdeed.protocol.messages import NodeProfile
from workdeed.protocol.sealing import Owner, seal
from workdeed.sdk.errors import EndpointError, SdkError
from workdeed.sdk.jobs import Jobs
from workdeed.sdk.keepers import get_spec
from workdeed.sdk.placed import placed_licenses
from workdeed.sdk.session import Session

LEAST_SPARES = 2
"""Spares by default, if there are not more slots."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A spec with boxes.

    Attributes:
        spec: ready to be opened or set.
        licenses: whom it is sealed for, ascending.
        left_out: licenses in place that it could not be sealed for, with the reason: they lose the
            job with this revision.

    """

    spec: Spec
    licenses: tuple[int, ...]
    left_out: Mapping[int, str] = field(default_factory=dict)


class Sealing(Jobs):
    """What a payer does with secrets; nothing here is sent or stored."""

    async def seal_new(
        self,
        spec: Spec,
        values: Mapping[str, str],
        *,
        slots: int,
        spares: int | None = None,
        class_id: int | None = None,
        payer: str | None = None,
    ) -> Sealed:
        """Seal the secrets of a spec that a job is to be opened with.

        Args:
            spec: the intent; boxes that it has are replaced.
            values: of all secrets that it uses, by name.
            slots: replicas of the job.
            spares: further nodes to seal for, so that one that fails can be replaced; by default as
                many as there are slots, and at least `LEAST_SPARES`.
            class_id: the price class; by default that of the spec.
            payer: whose job it will be; by default the sender's.

        Raises:
            SdkError: if a value is missing or not used, or too few nodes could take the job.
            SealingError: if the values do not fit a box.

        """
        wish = _Wish(spec, class_id or spec.class_id, (), slots, spares)
        return await self._seal(wish, values, payer)

    async def seal_revision(
        self,
        job_id: int,
        spec: Spec,
        values: Mapping[str, str],
        *,
        spares: int | None = None,
        payer: str | None = None,
    ) -> Sealed:
        """Seal the secrets of a spec for the nodes in place on a job, and for spares.

        Args:
            job_id: the job.
            spec: as in `seal_new`.
            values: likewise.
            spares: likewise.
            payer: whose job it is; by default the sender's.

        Raises:
            SdkError: as `seal_new`, or if the job is another's.
            SealingError: likewise.

        """
        job = (await self._job_of(job_id, payer)).job
        placed = await placed_licenses(self.session, job_id, job) if job.active else []
        wish = _Wish(spec, job.class_id, tuple(placed), job.slots, spares)
        return await self._seal(wish, values, payer)

    async def keep_sealed(self, job_id: int, spec: Spec, *, payer: str | None = None) -> Sealed:
        """Return the spec with the boxes that the job has now, for who does not know the values.

        Raises:
            SdkError: if the job is another's, or the secrets of its spec are others.
            EndpointError: if no keeper has its spec.

        """
        used = used_secrets(spec)
        if not used:
            return Sealed(spec.model_copy(update={"secrets": None}), ())
        job = (await self._job_of(job_id, payer)).job
        keepers = await self.session.keeper_addresses()
        now = parse_spec(await get_spec(self.session.endpoints, keepers, job.spec_hash))
        if now.secrets is None or frozenset(now.secrets.names) != used:
            new = sorted(used - frozenset(now.secrets.names if now.secrets else ()))
            name = new[0] if new else sorted(used)[0]
            raise SdkError(
                f"secrets: job {job_id} has others sealed than the spec uses; give the values of "
                f"all, such as --secret {name}"
            )
        kept = spec.model_copy(update={"secrets": now.secrets})
        return Sealed(kept, tuple(sorted(now.secrets.licenses)))

    async def _seal(self, wish: "_Wish", values: Mapping[str, str], payer: str | None) -> Sealed:
        _check_names(used_secrets(wish.spec), values)
        if not values:
            return Sealed(wish.spec, ())
        found, left_out = await _Search(self.session, wish).run()
        escrow = self.session.suite.escrow.address
        owner = Owner(
            self.session.deployment.chain_id, escrow, payer or self.session.sender.address
        )
        boxes = tuple(
            SealedBox(
                license_id=license_id,
                node=profile.node,
                box=seal(values, profile.public_key, owner),
            )
            for license_id, profile in sorted(found.items())
        )
        secrets = Secrets(names=tuple(sorted(values)), boxes=boxes)
        spec = wish.spec.model_copy(update={"secrets": secrets})
        return Sealed(spec, tuple(sorted(found)), left_out)


def used_secrets(spec: Spec) -> frozenset[str]:
    """Return the names of the secrets that the services of a spec use."""
    return frozenset[str]().union(*(one.used_secrets for one in spec.services.values()))


@dataclass(frozen=True)
class _Wish:
    """For whom a spec is to be sealed.

    Attributes:
        placed: licenses in place on the job.
        slots: replicas of the job.

    """

    spec: Spec
    class_id: int
    placed: tuple[int, ...]
    slots: int
    spares: int | None

    @property
    def wanted_spares(self) -> int:
        return max(LEAST_SPARES, self.slots) if self.spares is None else self.spares

    def lacking(self, placed: Collection[int]) -> int:
        """Return how many licenses are to be found where so many of those in place count."""
        return max(0, self.slots - len(placed)) + self.wanted_spares

    def question(self, count: int) -> CandidatesRequest:
        document = self.spec.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude={"secrets"}
        )
        return CandidatesRequest(
            spec=json.dumps(document).encode(),
            class_id=self.class_id,
            placed=self.placed,
            count=count,
        )


class _Search:
    """Asks keepers for nodes until there are enough of them that the chain confirms."""

    def __init__(self, session: Session, wish: _Wish) -> None:
        self._session = session
        self._wish = wish
        self._placed: dict[int, NodeProfile] = {}
        self._others: dict[int, NodeProfile] = {}
        self._troubles: list[str] = []

    async def run(self) -> tuple[dict[int, NodeProfile], dict[int, str]]:
        """Return the profiles to seal to by license, and those in place that are left out.

        Raises:
            SdkError: if there are too few.

        """
        wish = self._wish
        if len(wish.placed) + wish.lacking(wish.placed) > MAX_BOXES:
            raise SdkError(
                f"spares: slots and spares may be {MAX_BOXES} together where a spec has secrets; "
                "lower --spares"
            )
        for keeper in await self._session.keeper_addresses():
            try:
                await self._ask(keeper)
            except (EndpointError, ProtocolError) as error:
                self._troubles.append(str(error))
            if not self._missing() and len(self._others) >= wish.lacking(self._placed):
                break
        lacking = wish.lacking(self._placed)
        if len(self._others) < lacking:
            raise SdkError(self._too_few(lacking))
        chosen = dict(list(self._others.items())[:lacking])
        left_out = dict.fromkeys(self._missing(), "no keeper shows its profile as it is on chain")
        return self._placed | chosen, left_out

    async def _ask(self, keeper: str) -> None:
        # Some may turn out to be none, such as one that lost its standing just now.
        count = min(MAX_CANDIDATES, 2 * self._wish.lacking(()))
        body = self._wish.question(count).to_json()
        answer = Candidates.parse(
            await self._session.endpoints.send(
                "POST", keeper, "/candidates", body, Candidates.MAX_BYTES
            )
        )
        for profile in answer.profiles:
            is_placed = profile.license_id in self._wish.placed
            known = self._placed if is_placed else self._others
            if profile.license_id in known:
                continue
            problem = await self._problem(profile, is_placed=is_placed)
            if problem:
                place = f"{origin_of(keeper)}: license {profile.license_id}"
                self._troubles.append(f"{place}: {problem}")
            else:
                known[profile.license_id] = profile

    async def _problem(self, profile: NodeProfile, *, is_placed: bool) -> str:
        """Return why nothing must be sealed to a profile that a keeper showed."""
        session, license_id = self._session, profile.license_id
        licenses = session.suite.licenses
        if profile.chain_id != session.deployment.chain_id:
            return f"its profile is of chain {profile.chain_id}"
        try:
            profile.verify(session.deployment.domain(COMMITTEE_DOMAIN))
        except SignatureError:
            return "its profile is not signed by its node"
        if await session.read(licenses.kind_of(license_id)) != NODE:
            return "it is no node license"
        if await session.read(licenses.node_of(license_id)) != profile.node:
            return "another node is linked to it"
        if await session.read(licenses.profile_hash_of(license_id)) != profile.profile_hash:
            return "it announces another profile on chain"
        if is_placed:
            return ""
        if not await session.read(licenses.eligible(license_id)):
            return "it is not eligible"
        if profile.draining:
            return "it takes no new work"
        return unmet_wish(self._wish.spec, profile)

    def _missing(self) -> list[int]:
        return [one for one in self._wish.placed if one not in self._placed]

    def _too_few(self, lacking: int) -> str:
        wish = self._wish
        reason = f" ({self._troubles[0]})" if self._troubles else ""
        return (
            f"secrets: {len(self._others)} nodes could take the job and {lacking} are wanted to "
            f"seal for, {wish.wanted_spares} of them spares{reason}; lower --spares, ask for less, "
            "or wait for more nodes"
        )


def _check_names(used: Iterable[str], given: Mapping[str, str]) -> None:
    names: Sequence[str] = sorted(used)
    for name in names:
        if name not in given:
            raise SdkError(f"secrets: the spec uses {name}; give its value with --secret {name}")
    for name in sorted(given):
        if name not in names:
            raise SdkError(f"secrets: the spec does not use {name}; remove --secret {name}")
