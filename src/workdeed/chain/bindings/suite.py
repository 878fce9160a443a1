"""All contracts of one deployment, and the decoding of what they log."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from workdeed.chain.bindings.auction import BurnAuction
from workdeed.chain.bindings.codec import CodecError, Contract, Event, event_codecs
from workdeed.chain.bindings.committee import OracleCommittee
from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.bindings.escrow import JobEscrow
from workdeed.chain.bindings.lens import JobLens
from workdeed.chain.bindings.licenses import NodeLicense
from workdeed.chain.bindings.registry import TrustRegistry
from workdeed.chain.bindings.sale import LicenseSale
from workdeed.chain.bindings.tariff import Tariff
from workdeed.chain.bindings.timelock import Timelock
from workdeed.chain.bindings.token import ProtocolToken, Token
from workdeed.chain.bindings.vault import FeeVault
from workdeed.chain.deployment import Deployment

C = TypeVar("C", bound=Contract)


class UnknownEventError(CodecError):
    """One of the contracts logged what its binding does not know: the package is too old."""


@dataclass(frozen=True)
class Suite:
    """The contracts of one deployment.

    Those that not every deployment has are None where there is none: `sale` where no licenses are
    sold, `timelock` where the governor acts at once.
    """

    registry: TrustRegistry
    licenses: NodeLicense
    committee: OracleCommittee
    tariff: Tariff
    desk: JobDesk
    escrow: JobEscrow
    vault: FeeVault
    token: Token
    sale: LicenseSale | None = None
    timelock: Timelock | None = None
    auction: BurnAuction | None = None
    protocol_token: ProtocolToken | None = None
    lens: JobLens | None = None

    @classmethod
    def of(cls, deployment: Deployment) -> "Suite":
        """Return the contracts that a deployment file names."""

        def optional(kind: type[C]) -> C | None:
            there = kind.NAME in deployment.contracts
            return kind(deployment.address(kind.NAME)) if there else None

        return cls(
            registry=TrustRegistry(deployment.address(TrustRegistry.NAME)),
            licenses=NodeLicense(deployment.address(NodeLicense.NAME)),
            committee=OracleCommittee(deployment.address(OracleCommittee.NAME)),
            tariff=Tariff(deployment.address(Tariff.NAME)),
            desk=JobDesk(deployment.address(JobDesk.NAME)),
            escrow=JobEscrow(deployment.address(JobEscrow.NAME)),
            vault=FeeVault(deployment.address(FeeVault.NAME)),
            token=Token(deployment.address(Token.NAME)),
            sale=optional(LicenseSale),
            timelock=optional(Timelock),
            auction=optional(BurnAuction),
            protocol_token=optional(ProtocolToken),
            lens=optional(JobLens),
        )

    @cached_property
    def followed(self) -> tuple[Contract, ...]:
        """The contracts whose logs are followed: those that jobs, licenses and reports are in.

        Not the token, which others use as well, nor the vault, which nothing waits for.
        """
        return (self.registry, self.licenses, self.committee, self.tariff, self.desk, self.escrow)

    @cached_property
    def contracts(self) -> tuple[Contract, ...]:
        """All contracts, followed or not."""
        optional = (self.sale, self.timelock, self.auction, self.protocol_token, self.lens)
        there = (contract for contract in optional if contract is not None)
        return (*self.followed, self.vault, self.token, *there)

    def at(self, address: str) -> Contract | None:
        """Return the contract at an address, None if it is none of these."""
        return self._by_address.get(address)

    def decode(self, address: str, topics: Sequence[bytes], data: bytes) -> Event:
        """Decode a log of one of the contracts.

        Raises:
            UnknownEventError: if the address or the event is none of this suite.
            CodecError: if the log does not fit the event.

        """
        contract = self.at(address)
        if contract is None:
            raise UnknownEventError(f"address {address}: it is no contract of this deployment")
        codec = event_codecs(type(contract)).get(topics[0] if topics else b"")
        if codec is None:
            topic = topics[0].hex() if topics else "none"
            raise UnknownEventError(
                f"{contract.NAME}: unknown event with topic {topic}; update this package"
            )
        return codec.decode(topics, data)

    @cached_property
    def _by_address(self) -> dict[str, Contract]:
        return {contract.address: contract for contract in self.contracts}
