"""The operator's operations: issue, buy, link, announce and show licenses."""

import time
from dataclasses import dataclass
from typing import Any

from workdeed.chain.bindings.committee import SEATED
from workdeed.chain.bindings.licenses import NODE, ORACLE, ZERO_ADDRESS, Bond, LicenseIssued
from workdeed.chain.bindings.registry import STANDINGS
from workdeed.chain.bindings.sale import LicenseSale, LicensesSold
from workdeed.chain.keys import Signer
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, LICENSE_DOMAIN, link_node_digest
from workdeed.protocol.errors import SignatureError
from workdeed.protocol.fields import to_hex
from workdeed.protocol.limits import MAX_ENDPOINT
from workdeed.protocol.messages import NodeProfile
from workdeed.sdk.allowances import pay_with
from workdeed.sdk.endpoints import parse_base
from workdeed.sdk.errors import SdkError
from workdeed.sdk.keepers import get_profile
from workdeed.sdk.session import Session

KINDS = {"node": NODE, "oracle": ORACLE}
CONSENT_SECONDS = 3_600
"""How long a node's consent to a link is good by default."""


@dataclass(frozen=True, slots=True)
class LinkConsent:
    """A node key's signature that it belongs to a license and its owner, until `deadline`.

    `deadline` is Unix seconds, `signature` 65 bytes.
    """

    license_id: int
    node: str
    owner: str
    deadline: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class LicenseView:
    """A license as it stands; addresses are zero and texts empty where nothing is set.

    Attributes:
        bond: what counts towards `min_bond`, in base units of the token.
        unbonding: what was requested back and not withdrawn.
        withdraw_at: from when (Unix seconds) that can be withdrawn; None if nothing is requested,
            or the license holds a seat.

    """

    license_id: int
    kind: int
    owner: str
    node: str
    payout: str
    standing: int
    eligible: bool
    endpoint: str
    profile_hash: bytes
    seated: bool
    bond: int
    unbonding: int
    bonded: bool
    min_bond: int
    withdraw_at: int | None

    @property
    def obstacle(self) -> str:
        """Why no job is placed on the license; empty if nothing stands in the way."""
        if self.eligible:
            return ""
        if self.kind == ORACLE:
            return "an oracle license serves no jobs"
        if self.node == ZERO_ADDRESS:
            return "no node is linked"
        if self.standing:
            return f"license, owner or node is {STANDINGS[self.standing]}"
        if not self.bonded:
            return "its bond is below the minimum; add to it with `workdeed license bond`"
        return "the owner is not attested; an issuer runs `workdeed trust attest`"

    def to_json(self) -> dict[str, Any]:
        """Return the license for JSON."""
        return {
            "license_id": self.license_id,
            "kind": {value: name for name, value in KINDS.items()}.get(self.kind, "?"),
            "owner": self.owner,
            "node": self.node,
            "payout": self.payout,
            "standing": STANDINGS[self.standing],
            "eligible": self.eligible,
            "obstacle": self.obstacle,
            "endpoint": self.endpoint,
            "profile_hash": to_hex(self.profile_hash),
            "seated": self.seated,
            "bonded": self.bonded,
            "bond": str(self.bond),
            "min_bond": str(self.min_bond),
            "unbonding": str(self.unbonding),
            "withdraw_at": self.withdraw_at,
        }


class Licenses:
    """What issuers and operators do with licenses; reading needs no key."""

    session: Session

    async def issue_license(self, owner: str, kind: int = NODE) -> int:
        """Issue a license (kind 1 node, 2 oracle) and return its id; for issuers.

        Raises:
            SdkError: if the contract refuses.

        """
        receipt = await self.session.sender.send(self.session.suite.licenses.issue(owner, kind))
        issued = receipt.event(LicenseIssued)
        if issued is None:
            raise SdkError("issue: its receipt holds no license; check the deployment file")
        return issued.license_id

    async def license_cost(self, count: int) -> int:
        """Return what the next licenses of the sale cost together, in base units.

        Raises:
            SdkError: if the deployment sells none, or not so many.

        """
        return await self.session.read(self._sale().cost_of(count))

    async def buy_licenses(self, count: int = 1, max_cost: int | None = None) -> list[int]:
        """Buy node licenses and return their ids.

        Args:
            count: how many.
            max_cost: the most that they may cost together; by default what they cost now.

        Raises:
            SdkError: if the sale is closed, the balance does not cover them or the sale refuses.

        """
        sale, suite = self._sale(), self.session.suite
        if not await self.session.read(suite.registry.is_issuer(sale.address)):
            raise SdkError("sale: it is closed; the governor opens it by making it an issuer")
        cost = await self.license_cost(count)
        limit = cost if max_cost is None else max_cost
        if limit < cost:
            raise SdkError(f"max_cost: they cost {cost} now, more than {limit}; raise it")
        await pay_with(self.session, sale.address, cost)
        sold = (await self.session.sender.send(sale.buy(count, limit))).event(LicensesSold)
        if sold is None:
            raise SdkError("buy: its receipt holds no license; check the deployment file")
        return list(range(sold.first_id, sold.first_id + sold.count))

    def _sale(self) -> LicenseSale:
        sale = self.session.suite.sale
        if sale is None:
            raise SdkError("sale: this deployment sells no licenses; an issuer issues them")
        return sale

    async def license(self, license_id: int) -> LicenseView:
        """Return a license as it stands; raises `SdkError` if there is none."""
        licenses, committee = self.session.suite.licenses, self.session.suite.committee
        kind = await self.session.read(licenses.kind_of(license_id))
        if kind == 0:
            raise SdkError(f"license {license_id}: there is no such license")
        payout, standing = await self.session.read(licenses.payee_of(license_id))
        bond = await self.session.read(licenses.bond_of(license_id))
        minimum = licenses.min_oracle_bond() if kind == ORACLE else licenses.min_node_bond()
        return LicenseView(
            license_id=license_id,
            kind=kind,
            owner=await self.session.read(licenses.owner_of(license_id)),
            node=await self.session.read(licenses.node_of(license_id)),
            payout=payout,
            standing=standing,
            eligible=await self.session.read(licenses.eligible(license_id)),
            endpoint=await self.session.read(licenses.endpoint_of(license_id)),
            profile_hash=await self.session.read(licenses.profile_hash_of(license_id)),
            seated=await self.session.read(committee.is_seated(license_id)),
            bond=bond.bond,
            unbonding=bond.unbonding,
            bonded=await self.session.read(licenses.is_bonded(license_id)),
            min_bond=await self.session.read(minimum),
            withdraw_at=await self._withdraw_at(license_id, kind, bond),
        )

    async def _withdraw_at(self, license_id: int, kind: int, bond: Bond) -> int | None:
        """Return from when what was requested can be withdrawn, None if it can't at all."""
        suite = self.session.suite
        since = bond.requested_at
        if kind == ORACLE:
            since = max(since, await self.session.read(suite.committee.seat_ended_at(license_id)))
        if bond.unbonding == 0 or since == SEATED:
            return None
        return since + await self.session.read(suite.licenses.unbond_delay())

    async def consent_to_link(
        self, license_id: int, node: Signer, deadline: int | None = None
    ) -> LinkConsent:
        """Let a node key sign that it belongs to a license; needs no transaction.

        Args:
            license_id: the license.
            node: the node key.
            deadline: last Unix second at which it counts; by default in an hour.

        Raises:
            SdkError: if there is no such license.

        """
        licenses = self.session.suite.licenses
        owner = await self.session.read(licenses.owner_of(license_id))
        nonce = await self.session.read(licenses.link_nonce(node.address))
        until = int(time.time()) + CONSENT_SECONDS if deadline is None else deadline
        domain = self.session.deployment.domain(LICENSE_DOMAIN)
        digest = link_node_digest(domain, license_id, node.address, owner, nonce, until)
        return LinkConsent(license_id, node.address, owner, until, node.sign_digest(digest))

    async def link_node(
        self, license_id: int, node: Signer | LinkConsent, deadline: int | None = None
    ) -> None:
        """Link a node to a license of the sender.

        Args:
            license_id: the license.
            node: the node key, or the consent that it signed elsewhere.
            deadline: as in `consent_to_link`; a consent has its own.

        Raises:
            SdkError: if the consent is for something else or the contract refuses.

        """
        if isinstance(node, LinkConsent):
            consent = node
        else:
            consent = await self.consent_to_link(license_id, node, deadline)
        if consent.license_id != license_id:
            raise SdkError(f"consent: it is for license {consent.license_id}; sign anew")
        await self.session.sender.send(
            self.session.suite.licenses.link_node(
                license_id, consent.node, consent.deadline, consent.signature
            )
        )

    async def unlink_node(self, license_id: int) -> None:
        """Unlink the node of a license of the sender; raises `SdkError` if that is refused."""
        await self.session.sender.send(self.session.suite.licenses.unlink_node(license_id))

    async def set_profile(self, license_id: int, endpoint: str, profile_hash: bytes) -> None:
        """Announce where a license answers and the hash of its profile (zero for an oracle).

        Raises:
            SdkError: if the endpoint is malformed or too long, or the contract refuses.

        """
        parse_base(endpoint)
        if len(endpoint.encode()) > MAX_ENDPOINT:
            raise SdkError(f"endpoint: it is longer than {MAX_ENDPOINT} bytes; shorten it")
        await self.session.sender.send(
            self.session.suite.licenses.set_profile(license_id, endpoint, profile_hash)
        )

    async def fetch_profile(
        self, license_id: int, endpoint: str, *, draining: bool = False
    ) -> NodeProfile:
        """Return the profile that the node at `endpoint` serves for a license.

        Args:
            license_id: the license.
            endpoint: where the node answers.
            draining: the profile with which it takes no new work, in place of its usual one.

        Raises:
            SdkError: if it does not answer, or its profile is of another license, chain or node.

        """
        profile = await get_profile(self.session.endpoints, endpoint, draining=draining)
        node = await self.session.read(self.session.suite.licenses.node_of(license_id))
        expected = (self.session.deployment.chain_id, license_id, node)
        if (profile.chain_id, profile.license_id, profile.node) != expected:
            raise SdkError(
                f"profile: {endpoint} is license {profile.license_id} on chain {profile.chain_id} "
                f"with node {profile.node}; link that node or name the right endpoint"
            )
        try:
            profile.verify(self.session.deployment.domain(COMMITTEE_DOMAIN))
        except SignatureError as error:
            raise SdkError(f"profile: {endpoint} serves one that is not signed by its node") from (
                error
            )
        return profile

    async def set_payout(self, license_id: int, payout: str = ZERO_ADDRESS) -> None:
        """Set who is paid for a license; the zero address stands for its owner.

        Raises:
            SdkError: if the contract refuses.

        """
        await self.session.sender.send(self.session.suite.licenses.set_payout(license_id, payout))
