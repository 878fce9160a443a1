"""Opens everything that an oracle needs and joins it; the one place where its parts meet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from workdeed.chain.keys import Signer
from workdeed.chain.leases import Lease
from workdeed.oracle.endpoints import EndpointClient
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.holds import Holds
from workdeed.oracle.journal import Journal, SigningJournal, journal_path
from workdeed.oracle.journal_copies import retire
from workdeed.oracle.journal_database import DatabaseJournal, SharedMember
from workdeed.oracle.member import Member
from workdeed.oracle.meter import Meter
from workdeed.oracle.peers import HttpPeers, PeerControl, peers_of
from workdeed.oracle.prober import Prober, SpecSource
from workdeed.oracle.service import OracleService, Parts, ServiceSettings
from workdeed.oracle.settings import ProbeSettings, RoundRules
from workdeed.oracle.snapshots import ChainView
from workdeed.oracle.store import OracleStore
from workdeed.protocol.eip712 import Domain

if TYPE_CHECKING:  # a web framework is loaded only where paths are served
    from fastapi import APIRouter


@dataclass(frozen=True, slots=True)
class OracleSetup:
    """Everything that an oracle is told.

    Attributes:
        state_dir: folder of journal, store and evidence, this process's own. The journal must never
            be copied back.
        domain: the committee's.
        rules: of the round; the same for all members.
        probes: how this member measures.
        endpoints: license id -> address that overrides a member's endpoint on chain.
        allow_private_endpoints: whether private addresses may be called; for a chain of one's own.
        stagger: seconds between the submissions of one member and the next; a turn if None.

    """

    state_dir: Path
    domain: Domain
    rules: RoundRules
    probes: ProbeSettings = field(default_factory=ProbeSettings)
    endpoints: Mapping[int, str] = field(default_factory=dict)
    allow_private_endpoints: bool = False
    stagger: float | None = None


class Oracle:
    """An oracle with all that it has open."""

    def __init__(
        self,
        service: OracleService,
        client: EndpointClient,
        store: OracleStore,
        journal: Journal,
    ) -> None:
        self.service = service
        self._client = client
        self._store = store
        self._journal = journal

    @classmethod
    def open(
        cls,
        setup: OracleSetup,
        *,
        chain: ChainView,
        signer: Signer,
        specs: SpecSource,
        meter: Meter | None = None,
        shared: SharedMember | None = None,
    ) -> "Oracle":
        """Open journal and store and join the parts; `service.start` begins the work.

        Args:
            setup: what the oracle is told.
            chain: the followed chain, polled at least once.
            signer: the member key.
            specs: where specs come from.
            meter: told what the oracle does.
            shared: database and lease of a member that other processes stand ready to act for;
                its journal then lies there, and this one works while it has the lease.

        Raises:
            JournalError: if the journal is in use, damaged or another's.
            StoreError: if the oracle's own database can't be opened.
            StoreUnavailableError: if the shared one does not answer.

        """
        journal = _open_journal(setup, chain, signer.address, shared)
        try:
            store = OracleStore.open(setup.state_dir / "oracle.db")
        except BaseException:
            journal.close()
            raise
        client = EndpointClient(allow_private=setup.allow_private_endpoints)
        member = Member(signer, setup.domain, chain.windows, setup.rules, journal, store)
        lease = shared.lease if shared is not None else None
        parts = _parts(setup, chain, member, store, client, specs, meter or Meter(), lease)
        settings = ServiceSettings(
            setup.rules, setup.domain, setup.endpoints, setup.probes.max_skew, setup.stagger
        )
        return cls(OracleService(parts, settings), client, store, journal)

    def router(self) -> "APIRouter":
        """Return the HTTP paths of this oracle."""
        from workdeed.oracle.http import create_router

        return create_router(self.service)

    async def close(self) -> None:
        """Stop the work and close everything."""
        await self.service.close()
        await self._client.close()
        self._store.close()
        self._journal.close()


def _open_journal(
    setup: OracleSetup, chain: ChainView, member: str, shared: SharedMember | None
) -> Journal:
    path, domain = journal_path(setup.state_dir, member), setup.domain.separator
    if shared is None:
        return SigningJournal.open(path, member=member, domain=domain, now=chain.head.timestamp)
    journal = DatabaseJournal.open(
        shared, member=member, domain=domain, now=lambda: chain.head.timestamp
    )
    if path.exists():
        _move(path, journal, member, domain, chain.head.timestamp)
    return journal


def _move(path: Path, journal: Journal, member: str, domain: bytes, now: int) -> None:
    """Leave a journal file for the database, which signs for nothing that the file may know of.

    The file goes aside: were the member to sign with it again, it would lack what was signed since.
    """
    file = SigningJournal.open(path, member=member, domain=domain, now=now)
    try:
        journal.bar_before(now)
        retire(path, now)
    finally:
        file.close()


def _parts(
    setup: OracleSetup,
    chain: ChainView,
    member: Member,
    store: OracleStore,
    client: EndpointClient,
    specs: SpecSource,
    meter: Meter,
    lease: Lease | None,
) -> Parts:
    peers = HttpPeers(client)
    control = PeerControl(
        peers,
        lambda: peers_of(chain.books, setup.endpoints, member.address),
        seconds=setup.probes.timeout,
    )
    evidence = EvidenceLog(setup.state_dir / "evidence")
    prober = Prober(
        client,
        setup.domain,
        chain.windows,
        chain.now,
        settings=setup.probes,
        evidence=evidence,
        specs=specs,
        control=control,
        meter=meter,
        holds=Holds(
            client,
            setup.domain,
            chain.windows,
            lambda: chain.books,
            chain.now,
            seconds=setup.probes.timeout,
        ),
    )
    return Parts(chain, member, store, prober, evidence, peers, meter, lease)
