"""A deployment of every contract, with the roles and the steps that tests repeat.

Free of pytest, so that state machines use it as unit tests do. Contracts are compiled once a
process. Digests and signatures come from `workdeed.protocol`: each test that signs also checks that
the contracts and the Python package hash the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from tests.contracts import evm
from tests.contracts.evm import Contract, Deployer
from workdeed.protocol.eip712 import (
    COMMITTEE_DOMAIN,
    DESK_DOMAIN,
    ESCROW_DOMAIN,
    LICENSE_DOMAIN,
    Domain,
    link_node_digest,
    placement_digest,
    report_digest,
    result_digest,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import MerkleTree, leaf_hash
from workdeed.protocol.quorum import quorum
from workdeed.protocol.signing import address_bytes, address_of, sign_digest

UNIT = 10_000
SERVICE, BATCH = 0, 1
JOB_LEAF = 0
NODE, ORACLE = 1, 2
GOOD, FROZEN, SUSPENDED, BLACKLISTED = range(4)
VERIFIED = 1
FOREVER = 2**40
"""A deadline and an expiry that no test reaches, in Unix seconds."""

ZERO_ADDRESS = "0x" + "00" * 20
LICENSE_SUBJECT = 2**160
SPEC_HASH = keccak(b"spec")
DATA_HASH = keccak(b"data")
EVIDENCE = keccak(b"evidence")
RESULT_HASH = keccak(b"result")

WINDOW, CHALLENGE, CLOSE_GRACE = 3_600, 900, 13
FREEZE_PERIOD = 21_600
PRICE = 1_000_003
"""Prime, so that no share of it comes out even."""

CLASSES = ((PRICE, 1_000, 1_024, 4_096), (7, 500, 512, 1_024))


class PolicyTerms(NamedTuple):
    """What jobs are opened under, in the order of the tariff; nothing is taken or asked for."""

    oracle_bps: int = 0
    burn_bps: int = 0
    treasury_bps: int = 0
    sla_floor_bps: int = 0
    payer_level: int = 0
    payer_standing: bool = False
    payer_oracle: bool = False
    forfeit_payer_bps: int = 0
    forfeit_burn_bps: int = 0


POLICY = PolicyTerms(500, 1_000, 500, 5_000, VERIFIED, True, False, 5_000, 3_000)
"""Fees of 5 % to oracles, 10 % to burn, 5 % to the treasury; SLA floor 50 %; payers verified and in
good standing; what is forfeited goes back to the payer by half, 30 % of it is burned."""

Pair = tuple[int, int]
"""(job, license)."""


class PlacementArguments(NamedTuple):
    """What `JobEscrow.place` takes, in its order."""

    job_id: int
    round: int
    window: int
    revision: int
    release: list[int]
    assign: list[int]
    signatures: bytes


class BondTerms(NamedTuple):
    """What `NodeLicense` holds bonds to, in its constructor's order."""

    min_node_bond: int = 0
    min_oracle_bond: int = 0
    unbond_delay: int = 32_400
    slash_cap_bps: int = 5_000
    slash_payer_bps: int = 4_000
    slash_burn_bps: int = 3_000


AUCTION_TERMS = (10**30, 10**27, 3_600, 1)
"""A million protocol base units for one of the settlement token, down to a thousandth of it."""

BOND_TERMS = BondTerms()
"""Nothing is asked, so that a license is placed as soon as its node is linked."""


class ReportArguments(NamedTuple):
    """What `OracleCommittee.submit_report` takes, in its order."""

    window: int
    turn: int
    root: bytes
    data_hash: bytes
    signatures: bytes


@dataclass(frozen=True)
class Report:
    """The leaves of a report: cumulative units by (job, license); license 0 is the job."""

    escrow: str
    window: int
    units: Mapping[Pair, int]
    tree: MerkleTree

    def proof(self, job_id: int, license_id: int) -> list[bytes]:
        """Return the proof of the leaf of a license in a job."""
        units = self.units[job_id, license_id]
        return self.tree.proof(leaf_hash(self.escrow, job_id, license_id, units))


@cache
def deployer(name: str) -> Deployer:
    """Return the compiled contract `name`: a path below `contracts/` without its suffix."""
    return evm.load(name)


def private_key(name: str) -> bytes:
    """Return a private key that is worth nothing: the hash of its own name."""
    return keccak(f"workdeed test key: {name}".encode())


def account(name: str) -> str:
    """Return the address of `private_key(name)`."""
    return address_of(private_key(name))


def sign(digest: bytes, keys: Iterable[bytes]) -> bytes:
    """Return the signatures of `keys` joined in ascending order of their signers."""
    ordered = sorted(keys, key=lambda key: address_bytes(address_of(key)))
    return b"".join(sign_digest(key, digest) for key in ordered)


def subject(target: int | str) -> int:
    """Return the trust registry's number for a license id or an account."""
    return LICENSE_SUBJECT + target if isinstance(target, int) else int(target, 16)


def events(contract: Contract, name: str) -> list[Any]:
    """Return the events `name` of the contract's latest call, its callees' included.

    A view is a call as well: read the events before anything else is asked of the contract.
    """
    return [entry for entry in contract.get_logs() if type(entry).__name__ == name]


def event(contract: Contract, name: str) -> dict[str, Any]:
    """Return the fields of the one event `name` of the contract's latest transaction."""
    (entry,) = events(contract, name)
    return {key: getattr(entry, key) for key in entry._fields if key != "address"}


@contextmanager
def refuses_signatures() -> Iterator[None]:
    """Expect signatures over something else to be refused.

    Each recovers some account or none, so which of the three reasons comes is chance.
    """
    reasons = ("committee: not a member", "committee: signer order", "signature: invalid")
    try:
        yield
    except evm.Reverted as error:
        if error.reason not in reasons:
            raise AssertionError(f"refused for another reason: {error.reason}") from error
    else:
        raise AssertionError("signatures over something else were accepted")


@dataclass
class System:
    """The contracts, who holds which role, and shorthands for what they do.

    Attributes:
        oracle_keys: private key of each seat; seat i holds license i + 1. Not in signer order.
        node_keys: private key of the node that `issue_node` linked to a license.
        reports: every report that was submitted here, the latest last.

    """

    trust: Contract
    protocol: Contract
    burner: Contract
    vault: Contract
    licenses: Contract
    committee: Contract
    tariff: Contract
    desk: Contract
    escrow: Contract
    token: Contract
    oracle_keys: list[bytes]
    window: int
    challenge: int
    close_grace: int
    freeze_period: int
    governor: str = field(default_factory=lambda: account("governor"))
    guardian: str = field(default_factory=lambda: account("guardian"))
    issuer: str = field(default_factory=lambda: account("issuer"))
    treasury: str = field(default_factory=lambda: account("treasury"))
    deployer: str = field(default_factory=lambda: account("deployer"))
    payer: str = field(default_factory=lambda: account("payer"))
    stranger: str = field(default_factory=lambda: account("stranger"))
    operators: list[str] = field(
        default_factory=lambda: [account(f"operator {index}") for index in range(4)]
    )
    oracle_owners: list[str] = field(default_factory=list)
    node_keys: dict[int, bytes] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)

    @property
    def auction(self) -> str:
        """The address of the auction that burns."""
        return self.burner.address

    # Time.

    def now(self) -> int:
        """Return the current window."""
        return int(self.committee.current_window())

    def to_window(self, window: int) -> None:
        """Travel to the first second of a window that has not begun yet."""
        start = self.committee.GENESIS() + (window - 1) * self.window
        if start < evm.env.timestamp:
            raise ValueError(f"window: {window} began before now; time only goes on")
        self.wait(start - evm.env.timestamp)

    def advance_windows(self, windows: int = 1) -> None:
        """Travel to the first second of the window that many windows from now."""
        self.to_window(self.now() + windows)

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        evm.env.time_travel(seconds=seconds)

    # Domains.

    @property
    def chain_id(self) -> int:
        """The chain id that contracts see now."""
        return evm.env.chain_id

    @property
    def license_domain(self) -> Domain:
        """The EIP-712 domain of `LinkNode`."""
        return Domain(LICENSE_DOMAIN, self.chain_id, self.licenses.address)

    @property
    def committee_domain(self) -> Domain:
        """The EIP-712 domain of `Report`."""
        return Domain(COMMITTEE_DOMAIN, self.chain_id, self.committee.address)

    @property
    def escrow_domain(self) -> Domain:
        """The EIP-712 domain of `Placement`."""
        return Domain(ESCROW_DOMAIN, self.chain_id, self.escrow.address)

    @property
    def desk_domain(self) -> Domain:
        """The EIP-712 domain of `Result`."""
        return Domain(DESK_DOMAIN, self.chain_id, self.desk.address)

    # Trust and licenses.

    def attest(self, who: str, level: int = VERIFIED, expires_at: int = FOREVER) -> None:
        """Let the issuer attest an account."""
        self.trust.attest(who, level, expires_at, EVIDENCE, sender=self.issuer)

    def freeze(self, target: int | str) -> None:
        """Let the guardian freeze a license id or an account."""
        self.trust.freeze(subject(target), 1, EVIDENCE, sender=self.guardian)

    def suspend(self, target: int | str, seconds: int = 10**6) -> None:
        """Let the governor suspend a license id or an account for `seconds` from now."""
        until = evm.env.timestamp + seconds
        self.trust.suspend(subject(target), until, 1, EVIDENCE, sender=self.governor)

    def blacklist(self, target: int | str) -> None:
        """Let the governor blacklist a license id or an account."""
        self.trust.blacklist(subject(target), 1, EVIDENCE, sender=self.governor)

    def reinstate(self, target: int | str) -> None:
        """Let the governor bring a license id or an account back to good standing."""
        self.trust.reinstate(subject(target), 1, EVIDENCE, sender=self.governor)

    def issue(self, owner: str, kind: int = NODE) -> int:
        """Issue a license without a node; return its id."""
        return int(self.licenses.issue(owner, kind, sender=self.issuer))

    def link_signature(
        self,
        license_id: int,
        key: bytes,
        *,
        owner: str | None = None,
        nonce: int | None = None,
        deadline: int = FOREVER,
    ) -> bytes:
        """Return the node key's consent; `owner` and `nonce` are those on chain unless given."""
        node = address_of(key)
        digest = link_node_digest(
            self.license_domain,
            license_id,
            node,
            owner or self.operator_of(license_id),
            self.licenses.link_nonce(node) if nonce is None else nonce,
            deadline,
        )
        return sign_digest(key, digest)

    def link(self, license_id: int, key: bytes) -> None:
        """Link the node of a private key, sent by the license's owner."""
        signature = self.link_signature(license_id, key)
        owner = self.operator_of(license_id)
        self.licenses.link_node(license_id, address_of(key), FOREVER, signature, sender=owner)
        self.node_keys[license_id] = key

    def issue_node(self, owner: str | None = None) -> int:
        """Issue a node license to an operator and link a key of its own; return its id."""
        license_id = self.issue(owner or self.operators[0])
        self.link(license_id, private_key(f"node of license {license_id}"))
        return license_id

    def node_of(self, license_id: int) -> str:
        """Return the node that `issue_node` linked."""
        return address_of(self.node_keys[license_id])

    def target(self, license_id: int, which: str) -> int | str:
        """Return what a standing is given to: the "license", its "owner" or its "node"."""
        if which == "license":
            return license_id
        return self.operator_of(license_id) if which == "owner" else self.node_of(license_id)

    def operator_of(self, license_id: int) -> str:
        """Return the owner of a license."""
        return str(self.licenses.ownerOf(license_id))

    # Bonds.

    def post_bond(self, license_id: int, amount: int, *, sender: str | None = None) -> None:
        """Mint what a bond takes to its payer, the owner unless given, who posts it."""
        sender = sender or self.operator_of(license_id)
        self.token.mint(sender, amount)
        self.token.approve(self.licenses.address, amount, sender=sender)
        self.licenses.post_bond(license_id, amount, sender=sender)

    # Jobs.

    def fund(self, who: str, amount: int) -> None:
        """Mint tokens to an account, which approves the escrow without limit."""
        self.token.mint(who, amount)
        self.token.approve(self.escrow.address, 2**256 - 1, sender=who)

    def open_job(
        self,
        *,
        slots: int = 1,
        windows: int = 10,
        min_slots: int | None = None,
        class_id: int = 1,
        max_price: int = 2**96,
        spec_hash: bytes = SPEC_HASH,
        kind: int = SERVICE,
        payer: str | None = None,
    ) -> int:
        """Open a job; return its id. `min_slots` is `slots` unless given."""
        return int(
            self.escrow.open_job(
                spec_hash,
                class_id,
                kind,
                slots,
                slots if min_slots is None else min_slots,
                windows,
                max_price,
                sender=payer or self.payer,
            )
        )

    def placement(
        self,
        job_id: int,
        assign: Sequence[int] = (),
        release: Sequence[int] = (),
        *,
        round: int | None = None,  # noqa: A002 - its name in the signed type
        window: int | None = None,
        revision: int | None = None,
        epoch: int | None = None,
        domain: Domain | None = None,
        keys: Iterable[bytes] | None = None,
    ) -> PlacementArguments:
        """Return a signed placement; what is not given is what the chain asks for now."""
        job = self.desk.job(job_id)
        round_ = job.round if round is None else round
        window = self.now() if window is None else window
        revision = job.revision if revision is None else revision
        digest = placement_digest(
            domain or self.escrow_domain,
            job_id,
            round_,
            window,
            revision,
            release,
            assign,
            self.committee.committee_epoch() if epoch is None else epoch,
        )
        signatures = sign(digest, self.quorum_keys() if keys is None else keys)
        return PlacementArguments(
            job_id, round_, window, revision, list(release), list(assign), signatures
        )

    def place(
        self, job_id: int, assign: Sequence[int] = (), release: Sequence[int] = ()
    ) -> PlacementArguments:
        """Sign a placement and send it; it takes effect in the next window."""
        arguments = self.placement(job_id, assign, release)
        self.escrow.place(*arguments)
        return arguments

    def result_signatures(
        self,
        job_id: int,
        result_hash: bytes = RESULT_HASH,
        *,
        epoch: int | None = None,
        domain: Domain | None = None,
        keys: Iterable[bytes] | None = None,
    ) -> bytes:
        """Return what a quorum signs for the result of a batch job."""
        epoch = self.committee.committee_epoch() if epoch is None else epoch
        digest = result_digest(domain or self.desk_domain, job_id, result_hash, epoch)
        return sign(digest, self.quorum_keys() if keys is None else keys)

    def attest_result(self, job_id: int) -> None:
        """Complete a batch job as a quorum signs it."""
        self.desk.attest_result(job_id, RESULT_HASH, self.result_signatures(job_id))

    def start_job(
        self, licenses: Sequence[int], *, windows: int = 10, slots: int = 0, kind: int = SERVICE
    ) -> int:
        """Open a job, place licenses and travel to its first window; return its id."""
        slots = slots or len(licenses)
        job_id = self.open_job(slots=slots, windows=windows, min_slots=len(licenses), kind=kind)
        self.place(job_id, licenses)
        self.advance_windows()
        return job_id

    # Reports and claims.

    def quorum_keys(self) -> list[bytes]:
        """Return the keys of as many members as a quorum needs."""
        return self.oracle_keys[: quorum(len(self.oracle_keys))]

    def report_arguments(
        self,
        root: bytes = bytes(32),
        *,
        window: int | None = None,
        turn: int = 0,
        data_hash: bytes = DATA_HASH,
        epoch: int | None = None,
        domain: Domain | None = None,
        keys: Iterable[bytes] | None = None,
    ) -> ReportArguments:
        """Return a signed report; its window is the latest that is over unless given."""
        window = self.now() - 1 if window is None else window
        digest = report_digest(
            domain or self.committee_domain,
            window,
            turn,
            root,
            data_hash,
            self.committee.committee_epoch() if epoch is None else epoch,
        )
        signatures = sign(digest, self.quorum_keys() if keys is None else keys)
        return ReportArguments(window, turn, root, data_hash, signatures)

    def tree(self, units: Mapping[Pair, int]) -> MerkleTree:
        """Return the tree over cumulative units by (job, license)."""
        return MerkleTree(
            leaf_hash(self.escrow.address, job_id, license_id, figure)
            for (job_id, license_id), figure in units.items()
        )

    def report(
        self,
        units: Mapping[Pair, int] | None = None,
        *,
        window: int | None = None,
        final: bool = True,
        keys: Iterable[bytes] | None = None,
    ) -> Report:
        """Submit a report over cumulative units by (job, license), as a quorum signs it.

        Its window is the latest that is over unless given; unless `final` is false, the challenge
        time passes.
        """
        tree = self.tree(units or {})
        arguments = self.report_arguments(tree.root, window=window, keys=keys)
        self.committee.submit_report(*arguments)
        report = Report(self.escrow.address, arguments.window, dict(units or {}), tree)
        self.reports.append(report)
        if final:
            self.wait(self.challenge)
        return report

    def claim(self, job_id: int, license_id: int, report: Report | None = None) -> int:
        """Claim what the latest report says of a license; return what its payee got."""
        report = report or self.reports[-1]
        units, proof = report.units[job_id, license_id], report.proof(job_id, license_id)
        return int(self.escrow.claim(job_id, license_id, units, proof, sender=self.stranger))

    def close(self, job_id: int, report: Report | None = None) -> int:
        """Close a job by the job leaf of the latest report; return the refund."""
        report = report or self.reports[-1]
        units, proof = report.units[job_id, JOB_LEAF], report.proof(job_id, JOB_LEAF)
        return int(self.escrow.close_job(job_id, units, proof, sender=self.stranger))


def deploy_system(
    *,
    decimals: int = 6,
    oracles: int = 4,
    window: int = WINDOW,
    challenge: int = CHALLENGE,
    close_grace: int = CLOSE_GRACE,
    freeze_period: int = FREEZE_PERIOD,
    relink_delay: int = 0,
    owner_level: int = VERIFIED,
    bond_terms: BondTerms = BOND_TERMS,
    classes: Sequence[tuple[int, int, int, int]] = CLASSES,
    policy: PolicyTerms = POLICY,
    token: Contract | None = None,
) -> System:
    """Deploy and bind everything in window 1, verify payer and operators and fund the payer.

    The token is a `PlainToken` of `decimals` unless given. Every role is an account of its own.
    """
    governor, guardian, issuer = account("governor"), account("guardian"), account("issuer")
    treasury = account("treasury")
    keys = [private_key(f"oracle {index}") for index in range(oracles)]
    owners = [account(f"owner of oracle {index}") for index in range(oracles)]
    with evm.env.sender(account("deployer")):
        token = token or deployer("testing/PlainToken").deploy(decimals)
        trust = deployer("TrustRegistry").deploy(
            governor, guardian, treasury, [issuer], freeze_period
        )
        protocol = deployer("ProtocolToken").deploy(trust, 10**27, 10**24, treasury)
        burner = deployer("BurnAuction").deploy(token, protocol, trust, AUCTION_TERMS)
        vault = deployer("FeeVault").deploy(token, trust, burner)
        licenses = deployer("NodeLicense").deploy(
            trust, vault, relink_delay, owner_level, bond_terms, owners
        )
        trust.bind_licenses(licenses)
        seats = [(index + 1, address_of(key)) for index, key in enumerate(keys)]
        committee = deployer("OracleCommittee").deploy(
            trust, licenses, evm.env.timestamp, window, challenge, seats
        )
        licenses.bind_committee(committee)
        tariff = deployer("Tariff").deploy(trust, list(classes), policy)
        desk = deployer("JobDesk").deploy(committee, token, close_grace)
        escrow = deployer("JobEscrow").deploy(trust, licenses, committee, tariff, desk)
        tariff.bind_escrow(escrow)
        desk.bind_escrow(escrow)
    system = System(
        trust=trust,
        protocol=protocol,
        burner=burner,
        vault=vault,
        licenses=licenses,
        committee=committee,
        tariff=tariff,
        desk=desk,
        escrow=escrow,
        token=token,
        oracle_keys=keys,
        oracle_owners=owners,
        window=window,
        challenge=challenge,
        close_grace=close_grace,
        freeze_period=freeze_period,
    )
    for who in (system.payer, *system.operators):
        system.attest(who)
    if hasattr(token, "mint"):
        system.fund(system.payer, 10**40)
    return system
