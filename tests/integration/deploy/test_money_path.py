"""The whole way of the money on a deployed system, through ape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.integration.deploy.conftest import Chain, Deploy
from workdeed.chain.bindings.codec import Call
from workdeed.chain.bindings.lens import ENDED, MAX_PAGE, ClaimWorth
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import Deployment, load_deployment
from workdeed.protocol.eip712 import (
    COMMITTEE_DOMAIN,
    ESCROW_DOMAIN,
    LICENSE_DOMAIN,
    link_node_digest,
    placement_digest,
    report_digest,
)
from workdeed.protocol.figures import UNIT
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import EMPTY_ROOT, leaf_hash
from workdeed.protocol.report import Leaf, ReportHeader, data_hash, encode_leaves, report_tree
from workdeed.protocol.signing import address_bytes, address_of, sign_digest

T = TypeVar("T")

pytestmark = pytest.mark.anvil

ABI = Path(__file__).resolve().parents[3] / "src" / "workdeed" / "chain" / "abi"
ISSUER, PAYER, TREASURY, ANYONE = 3, 8, 9, 0
OPERATOR = 7
"""Owns an oracle license as well: ape has ten test accounts."""

FIRST_SIGNER, SIGNERS, QUORUM = 10, 4, 3
NODE_KIND, SERVICE, VERIFIED, CLASS_ID = 1, 0, 1, 1
PRICE = 100_000
FEE_BPS, POT_BPS, POLICY = 2_000, (500, 1_000, 500), 1
MAX = 2**256 - 1
DEPOSIT = 4 * PRICE
SPEC_HASH = keccak(b"spec")


@dataclass
class System:
    """A deployment, the accounts of its roles, and the chain's clock in the test's hand."""

    deployment: Deployment
    provider: Any
    accounts: Any
    signers: list[bytes]

    def contract(self, name: str) -> Any:
        from ape import Contract

        address = self.deployment.address(name)
        return Contract(address, abi=str(ABI / f"{name}.json"), fetch_from_explorer=False)

    def move_to(self, timestamp: int) -> None:
        """Mine a block with this timestamp; those that follow go on from it."""
        self.provider.set_timestamp(timestamp)
        self.provider.mine()

    def quorum(self, digest: bytes) -> bytes:
        """The signatures of a quorum in ascending order of the signers' addresses."""
        members = sorted(self.signers, key=lambda key: address_bytes(address_of(key)))[:QUORUM]
        return b"".join(sign_digest(key, digest) for key in members)


@pytest.fixture
def system(chain: Chain, deploy: Deploy, record: Path) -> Iterator[System]:
    assert deploy(chain.url).exit_code == 0
    import ape
    from ape.utils.testing import generate_dev_accounts

    settings = {"host": chain.url, "manage_process": False}
    test = ape.config.get_config("test")
    generated = generate_dev_accounts(
        test.mnemonic, SIGNERS, hd_path=test.hd_path, start_index=FIRST_SIGNER
    )
    keys = [bytes.fromhex(account.private_key.removeprefix("0x")) for account in generated]
    with ape.networks.parse_network_choice(
        "ethereum:local:foundry", provider_settings=settings
    ) as provider:
        deployment = load_deployment(record, provider.chain_id)
        yield System(deployment, provider, ape.accounts.test_accounts, keys)


def verify(system: System, account: Any) -> None:
    registry, issuer = system.contract("TrustRegistry"), system.accounts[ISSUER]
    expires_at = system.deployment.clock.start(10_000)
    registry.attest(account, VERIFIED, expires_at, EMPTY_ROOT, sender=issuer)


def link(system: System, license_id: int) -> None:
    """Issue a node license to the operator and link a fresh node key to it."""
    licenses, operator = system.contract("NodeLicense"), system.accounts[OPERATOR]
    licenses.issue(operator, NODE_KIND, sender=system.accounts[ISSUER])
    key = keccak(f"node of license {license_id}".encode())
    node, deadline = address_of(key), system.deployment.clock.start(10_000)
    domain = system.deployment.domain(LICENSE_DOMAIN)
    nonce = licenses.link_nonce(node)
    digest = link_node_digest(domain, license_id, node, operator.address, nonce, deadline)
    licenses.link_node(license_id, node, deadline, sign_digest(key, digest), sender=operator)
    assert licenses.node_of(license_id) == node


def place(system: System, job_id: int, assign: Sequence[int]) -> int:
    """Place licenses in the window that begins next, and return that window."""
    escrow, committee = system.contract("JobEscrow"), system.contract("OracleCommittee")
    clock = system.deployment.clock
    window = escrow.current_window() + 1
    system.move_to(clock.start(window))
    domain, epoch = system.deployment.domain(ESCROW_DOMAIN), committee.committee_epoch()
    digest = placement_digest(domain, job_id, 0, window, 0, [], assign, epoch)
    call = (job_id, 0, window, 0, [], list(assign), system.quorum(digest))
    system.provider.set_timestamp(clock.start(window) + 1)
    escrow.place(*call, sender=system.accounts[ANYONE])
    return int(window)


def report(system: System, window: int, leaves: Sequence[Leaf]) -> None:
    """Submit the report of a window once it is over, and let its challenge pass."""
    committee, deployment = system.contract("OracleCommittee"), system.deployment
    end = deployment.clock.end(window)
    system.move_to(end)
    header = ReportHeader(
        window=window,
        turn=0,
        base_window=0,
        base_root=EMPTY_ROOT,
        snapshot_hash=keccak(b"snapshot"),
        observations=(),
        open=(),
        leaves_hash=keccak(encode_leaves(leaves)),
    )
    root, header_hash = report_tree(leaves).root, data_hash(header)
    domain, epoch = deployment.domain(COMMITTEE_DOMAIN), committee.committee_epoch()
    digest = report_digest(domain, window, 0, root, header_hash, epoch)
    anyone = system.accounts[ANYONE]
    system.provider.set_timestamp(end + 1)
    committee.submit_report(window, 0, root, header_hash, system.quorum(digest), sender=anyone)
    assert committee.final_report()[0] == 0
    system.move_to(end + 1 + deployment.challenge)
    assert tuple(committee.final_report()) == (window, root)


def test_the_books_balance_to_the_last_base_unit(system: System) -> None:
    token, escrow = system.contract("TestUSD"), system.contract("JobEscrow")
    payer, operator = system.accounts[PAYER], system.accounts[OPERATOR]
    anyone = system.accounts[ANYONE]
    verify(system, payer)
    verify(system, operator)
    full, half = SIGNERS + 1, SIGNERS + 2
    link(system, full)
    link(system, half)

    token.faucet(DEPOSIT, sender=payer)
    token.approve(escrow, DEPOSIT, sender=payer)
    escrow.open_job(SPEC_HASH, CLASS_ID, SERVICE, 2, 2, 2, PRICE, sender=payer)
    job_id = escrow.job_count()
    assert (token.balanceOf(payer), escrow.liabilities()) == (0, DEPOSIT)

    window = place(system, job_id, [full, half])
    job = system.contract("JobDesk").job(job_id)
    assert (job.start, job.end, job.active) == (window + 1, window + 3, 2)

    served = {full: 2 * UNIT, half: UNIT + UNIT // 2, 0: 3 * UNIT + UNIT // 2}
    leaves = [Leaf(escrow.address, job_id, *item) for item in sorted(served.items())]
    report(system, window + 2, leaves)
    tree = report_tree(leaves)
    proofs = {leaf.license_id: tree.proof(leaf_hash(*leaf)) for leaf in leaves}

    look_through_the_lens(system, job_id, full, served[full])
    for license_id in (full, half):
        escrow.claim(job_id, license_id, served[license_id], proofs[license_id], sender=anyone)
    gross = 3 * PRICE + PRICE // 2
    fees = gross * FEE_BPS // 10_000
    assert token.balanceOf(operator) == gross - fees
    assert escrow.ledger_of(1)[0] == fees

    escrow.close_job(job_id, served[0], proofs[0], sender=anyone)
    assert token.balanceOf(payer) == DEPOSIT - gross
    assert system.contract("JobDesk").job(job_id).closed
    assert token.balanceOf(escrow) == escrow.liabilities() == fees

    escrow.flush_fees(POLICY, sender=anyone)
    assert token.balanceOf(escrow) == escrow.liabilities() == 0
    hand_on(system, fees)


def look_through_the_lens(system: System, job_id: int, license_id: int, units: int) -> None:
    """What the binding of the lens decodes of a real job, before anything is claimed of it."""
    lens = Suite.of(system.deployment).lens
    assert lens is not None

    def read(call: Call[T]) -> T:
        return call.decode(bytes(system.provider.web3.eth.call({"to": call.to, "data": call.data})))

    payer, operator = (system.accounts[one].address for one in (PAYER, OPERATOR))
    (listed,) = read(lens.jobs(job_id, MAX_PAGE))
    assert (listed.job_id, listed.state, listed.unclaimed) == (job_id, ENDED, DEPOSIT)
    assert (listed.job.payer, listed.job.price, listed.job.slots) == (payer, PRICE, 2)
    assert read(lens.jobs_of(payer, 1, MAX_PAGE)) == (job_id,)
    (service,) = read(lens.assignments(job_id, [license_id]))
    assert (service.first, service.claimed_units) == (listed.job.start, 0)
    gross = PRICE * units // UNIT
    assert read(lens.claimable(job_id, license_id, units)) == ClaimWorth(units, gross, 0, operator)


def hand_on(system: System, fees: int) -> None:
    """Pull every pot, and sell the burn share for protocol tokens, which are burned."""
    token, vault = system.contract("TestUSD"), system.contract("FeeVault")
    protocol, auction = system.contract("ProtocolToken"), system.contract("BurnAuction")
    treasury, caller = system.accounts[TREASURY], system.accounts[ANYONE]
    pots = [fees * bps // FEE_BPS for bps in POT_BPS]
    assert list(vault.pots()) == pots
    for pull in (vault.pull_oracles, vault.pull_burn, vault.pull_treasury):
        pull(sender=caller)
    assert token.balanceOf(system.contract("OracleCommittee")) == pots[0]
    assert token.balanceOf(treasury) == pots[2]
    assert token.balanceOf(vault) == vault.owed() == 0

    auction.kick(sender=caller)
    # The preset gives the first protocol tokens to the treasury's account.
    protocol.approve(auction, MAX, sender=treasury)
    lot, supply = auction.lot_id(), protocol.totalSupply()
    sold = auction.buy(lot, MAX, sender=treasury)
    (sale,) = sold.decode_logs(auction.LotSold)
    assert supply - protocol.totalSupply() == sale.price > 0
    assert token.balanceOf(treasury) == pots[1] + pots[2]
    assert token.balanceOf(auction) == 0
