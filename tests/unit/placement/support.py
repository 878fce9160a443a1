"""Books, profiles and specs for the tests of placement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workdeed.chain.bindings import committee, escrow, licenses, registry, tariff
from workdeed.chain.bindings.codec import Event, LoggedEvent
from workdeed.chain.books import Books
from workdeed.intent import SealedBox, Secrets, Spec
from workdeed.intent.spec import PlacementRules
from workdeed.placement.profiles import Profiles
from workdeed.placement.rules import View
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import NodeProfile, Resources, sign
from workdeed.protocol.signing import address_of, public_key_of, to_checksum

CHAIN_ID = 31337
ESCROW = to_checksum(keccak(b"test escrow")[12:])
DOMAIN = Domain(COMMITTEE_DOMAIN, CHAIN_ID, to_checksum(keccak(b"test committee")[12:]))
BLOCK_HASH = keccak(b"snapshot block")
TIME = 1_000_000
FAR = 2**40


def key_of(role: str, index: int = 0) -> bytes:
    """Return the private key of a role."""
    return keccak(f"test {role} {index}".encode())


def account(role: str, index: int = 0) -> str:
    """Return the address of a role."""
    return address_of(key_of(role, index))


def spec_of(
    *,
    tags: Sequence[str] = (),
    exclude: Sequence[str] = (),
    prefer: Sequence[str] = (),
    **changes: Any,
) -> Spec:
    content = {
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://git.test/hello", "commit": "0" * 40}},
        "run": ("serve",),
        "resources": {"cpu_milli": 500, "memory_mb": 500, "storage_mb": 500},
    }
    # What a spec's own model allows as a tag is not the subject of these tests.
    rules = PlacementRules.model_construct(
        tags=tuple(tags), exclude=tuple(exclude), prefer=tuple(prefer)
    )
    return Spec.model_validate(content | changes).model_copy(update={"placement": rules})


def sealed(spec: Spec, licenses: Sequence[int], **nodes: str) -> Spec:
    """Return the spec with secrets for these licenses; `node7` names another node for 7."""
    boxes = tuple(
        SealedBox(license_id=one, node=nodes.get(f"node{one}", account("node", one)), box=b"box")
        for one in sorted(licenses)
    )
    return spec.model_copy(update={"secrets": Secrets(names=("token",), boxes=boxes)})


def profile_of(
    license_id: int,
    *,
    key: bytes | None = None,
    tags: Sequence[str] = (),
    runners: Sequence[str] = ("war",),
    cpu: int = 4_000,
    memory: int = 4_000,
    storage: int = 4_000,
    chain_id: int = CHAIN_ID,
) -> NodeProfile:
    signing_key = key or key_of("node", license_id)
    unsigned = NodeProfile(
        chain_id=chain_id,
        license_id=license_id,
        node=address_of(signing_key),
        resources=Resources(cpu_milli=cpu, memory_mb=memory, storage_mb=storage),
        tags=tuple(sorted(tags)),
        runners=tuple(sorted(runners)),
        public_key=public_key_of(signing_key),
    )
    return sign(unsigned, DOMAIN, signing_key)


@dataclass
class World:
    """Books that grow by events, with what is known besides.

    Attributes:
        window: the current window, in which placements are signed.
        k: strikes after which a license goes.

    """

    window: int = 1
    timestamp: int = TIME
    k: int = 2
    books: Books = field(default_factory=lambda: Books(ESCROW))
    profiles: Profiles = field(default_factory=lambda: Profiles(DOMAIN))
    specs: dict[bytes, Spec] = field(default_factory=dict)
    strikes: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log(
            tariff.ClassSet(1, 1_000, 1_000, 1_000, 1_000, False),
            tariff.PolicyAdded(1, 0, 0, 0, 0, 0, False, False, 0, 0),
            registry.IssuerSet(account("issuer"), True),
        )

    def log(self, *events: Event) -> None:
        for event in events:
            logged = LoggedEvent(event, ESCROW, 1, BLOCK_HASH, self.timestamp, bytes(32), 0)
            self.books.apply(logged)

    def view(self, **changes: Any) -> View:
        content: dict[str, Any] = {
            "books": self.books,
            "block_hash": BLOCK_HASH,
            "timestamp": self.timestamp,
            "window": self.window,
            "profiles": self.profiles,
            "specs": self.specs.get,
            "strikes": self.strikes,
            "k": self.k,
        }
        return View(**(content | changes))

    def node(self, license_id: int, operator: int | None = None, **profile: Any) -> None:
        """Issue and link a license with a profile; its operator is its own unless told."""
        owner = account("operator", license_id if operator is None else operator)
        node = account("node", license_id)
        self.log(
            licenses.LicenseIssued(license_id, owner, licenses.NODE),
            licenses.BondedSet(license_id, True),
            licenses.NodeLinked(license_id, node, owner),
        )
        self.announce(license_id, **profile)

    def announce(self, license_id: int, **profile: Any) -> None:
        """Set a profile on chain, and hold it."""
        found = self.profiles.add(profile_of(license_id, **profile))
        self.log(licenses.ProfileSet(license_id, found, f"http://node{license_id}.test:9000"))

    def job(
        self,
        job_id: int = 1,
        *,
        slots: int = 1,
        min_slots: int = 1,
        windows: int = 10,
        class_id: int = 1,
        spec: Spec | None = None,
    ) -> None:
        spec_hash = keccak(b"spec of job %d" % job_id)
        self.specs[spec_hash] = spec or spec_of()
        self.log(
            escrow.JobOpened(
                job_id=job_id,
                payer=account("payer"),
                spec_hash=spec_hash,
                kind=escrow.SERVICE,
                class_id=class_id,
                policy_version=1,
                price=1_000,
                slots=slots,
                min_slots=min_slots,
                windows=windows,
                deposit=1_000 * slots * windows,
            )
        )

    def place(
        self, assign: Sequence[int] = (), release: Sequence[int] = (), job_id: int = 1
    ) -> None:
        """Place in the current window."""
        job = self.books.jobs[job_id]
        end = job.end or self.window + 1 + job.funded_units // (job.slots * 10_000)
        self.log(
            escrow.Placed(
                job_id, job.round, self.window, job.revision, end, tuple(release), tuple(assign)
            )
        )

    def report(self, window: int, *, final_at: int | None = None) -> None:
        """Accept a report; final at once unless told."""
        at = self.timestamp if final_at is None else final_at
        self.log(
            committee.ReportSubmitted(window, account("anyone"), 0, bytes(32), bytes(32), 0, at)
        )

    def stand(self, subject: int, standing: int, until: int = FAR) -> None:
        self.log(registry.StandingSet(subject, account("guardian"), standing, until, 1, bytes(32)))
