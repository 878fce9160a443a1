"""The books, read from the real contracts' logs, against what the contracts say of themselves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contract_support import (
    AUCTION,
    BOND,
    CHALLENGE,
    CLOSE_GRACE,
    DELEGATE,
    EVIDENCE,
    FOREVER,
    FREEZE_PERIOD,
    GOVERNOR,
    GUARDIAN,
    ISSUER,
    NEW_SPEC,
    NODES,
    OPERATOR,
    PAYER,
    PRICE,
    SPEC,
    STRANGER,
    TREASURY,
    UNBOND_DELAY,
    Network,
)

from workdeed.chain.bindings import committee as committee_binding
from workdeed.chain.bindings import desk as desk_binding
from workdeed.chain.bindings import escrow as escrow_binding
from workdeed.chain.bindings import licenses, registry
from workdeed.chain.bindings import tariff as tariff_binding
from workdeed.chain.bindings.codec import read
from workdeed.chain.books import Books
from workdeed.chain.follower import Follower, FollowerSettings
from workdeed.chain.mirror import Mirror
from workdeed.chain.rpc import RevertError
from workdeed.chain.store import Store
from workdeed.protocol.figures import UNIT
from workdeed.protocol.merkle import leaf_hash

pytestmark = pytest.mark.anvil


@pytest.fixture
async def mirror(network: Network, tmp_path: Path) -> AsyncIterator[Mirror]:
    store = Store.open(str(tmp_path / "books.sqlite"))
    deployment = network.deployment
    follower = Follower(
        network.rpc,
        store,
        network.suite,
        chain_id=deployment.chain_id,
        start_block=deployment.start_block,
        settings=FollowerSettings(first_page=7, max_page=16),
    )
    yield Mirror(follower, network.escrow.address)
    await store.close()


async def compare(network: Network, mirror: Mirror) -> Books:
    """Read what is new, and compare everything with the contracts at that block."""
    update = await mirror.refresh()
    assert update.block == update.head.number
    comparison = Comparison(network, mirror.books, update.block, update.head.timestamp)
    await comparison.jobs()
    await comparison.licenses()
    await comparison.standings()
    await comparison.committee()
    await comparison.tariff()
    return mirror.books


class Comparison:
    """The books of a block and the contracts at it."""

    def __init__(self, network: Network, books: Books, block: int, timestamp: int) -> None:
        self.suite = network.suite
        self.rpc = network.rpc
        self.books = books
        self.block = block
        self.timestamp = timestamp

    async def jobs(self) -> None:
        escrow = self.suite.escrow
        assert await read(self.rpc, escrow.job_count(), self.block) == len(self.books.jobs)
        for job_id, ours in self.books.jobs.items():
            theirs = await read(self.rpc, self.suite.desk.job(job_id), self.block)
            for name in desk_binding.Job.__slots__:
                # The contract forgets `min_slots` at the start, and nothing needs `windows`.
                if name not in ("min_slots", "windows"):
                    assert getattr(ours, name) == getattr(theirs, name), (job_id, name)
            assert ours.start or ours.min_slots == theirs.min_slots
        for (job_id, license_id), item in self.books.assignments.items():
            found = await read(self.rpc, escrow.assignment(job_id, license_id), self.block)
            for name in escrow_binding.Assignment.__slots__:
                assert getattr(item, name) == getattr(found, name), (job_id, license_id, name)
        locked = sum(job.locked for job in self.books.jobs.values())
        fees = sum(job.fees for job in self.books.jobs.values())
        flushed = sum(policy.flushed for policy in self.books.policies.values())
        liabilities = await read(self.rpc, escrow.liabilities(), self.block)
        assert liabilities == locked + fees - flushed
        assert (await read(self.rpc, escrow.pause_of(), self.block))[0] == self.books.paused_until

    async def licenses(self) -> None:
        deeds = self.suite.licenses
        assert await read(self.rpc, deeds.total_supply(), self.block) == len(self.books.licenses)
        for license_id, ours in self.books.licenses.items():
            answers = [
                await read(self.rpc, call, self.block)
                for call in (
                    deeds.owner_of(license_id),
                    deeds.kind_of(license_id),
                    deeds.endpoint_of(license_id),
                    deeds.profile_hash_of(license_id),
                )
            ]
            assert answers == [ours.owner, ours.kind, ours.endpoint, ours.profile_hash]
            node = await read(self.rpc, deeds.node_of(license_id), self.block)
            assert node == (ours.node or licenses.ZERO_ADDRESS)
            standing = self.books.worst_standing(license_id, self.timestamp)
            payee = await read(self.rpc, deeds.payee_of(license_id), self.block)
            assert payee == (ours.payee, standing)
            bonded = await read(self.rpc, deeds.is_bonded(license_id), self.block)
            assert bonded == ours.bonded
            eligible = await read(self.rpc, deeds.eligible(license_id), self.block)
            assert eligible == self.books.eligible(license_id, self.timestamp)

    async def standings(self) -> None:
        trust = self.suite.registry
        for subject, ours in self.books.standings.items():
            theirs = await read(self.rpc, trust.standing_of(subject), self.block)
            assert theirs.standing == ours.at(self.timestamp)
        for account in (PAYER, OPERATOR, STRANGER):
            level = await read(self.rpc, trust.attested_level(account.address), self.block)
            assert level == self.books.attested_level(account.address, self.timestamp)
        assert await read(self.rpc, trust.guardian(), self.block) == self.books.guardian

    async def committee(self) -> None:
        committee = self.suite.committee
        epoch = await read(self.rpc, committee.committee_epoch(), self.block)
        assert epoch == self.books.committee_epoch
        assert await read(self.rpc, committee.seat_count(), self.block) == len(self.books.members)
        for seat in self.books.members:
            holder = await read(self.rpc, committee.seat(seat.seat), self.block)
            assert holder == (seat.license_id, seat.signer)
        final = self.books.final_report(self.timestamp)
        expected = (final.window, final.root) if final else (0, bytes(32))
        assert await read(self.rpc, committee.final_report(), self.block) == expected
        latest = await read(self.rpc, committee.latest_report(), self.block)
        ours = self.books.latest_report
        assert (latest.window, latest.root) == (
            (ours.window, ours.root) if ours else (0, bytes(32))
        )
        assert latest.floor == self.books.veto_floor

    async def tariff(self) -> None:
        tariff, escrow = self.suite.tariff, self.suite.escrow
        version = await read(self.rpc, tariff.policy_version(), self.block)
        assert version == self.books.policy_version
        for version, policy in self.books.policies.items():
            terms = await read(self.rpc, tariff.policy_of(version), self.block)
            assert all(getattr(policy, name) == getattr(terms, name) for name in terms._fields)
            jobs = [job for job in self.books.jobs.values() if job.policy_version == version]
            ledger = await read(self.rpc, escrow.ledger_of(version), self.block)
            assert (ledger.fees, ledger.flushed) == (sum(job.fees for job in jobs), policy.flushed)
        for class_id, ours in self.books.classes.items():
            offer = await read(self.rpc, tariff.class_of(class_id), self.block)
            assert (offer.price, offer.retired) == (ours.price, ours.retired)


async def prepared(network: Network, nodes: int) -> list[int]:
    """Verify payer and operator and add nodes; return their licenses."""
    await network.add_payer(10**12)
    await network.verify_operator()
    return [await network.add_node(node) for node in NODES[:nodes]]


async def test_a_deployment_is_read_from_its_first_block(network: Network, mirror: Mirror) -> None:
    books = await compare(network, mirror)
    assert len(books.members) == 4
    assert books.classes[1].price == PRICE
    assert books.owner_level == 1
    assert books.issuers == {ISSUER.address: True}


async def test_a_job_from_opening_to_close(network: Network, mirror: Mirror) -> None:
    first, second, third = await prepared(network, 3)
    job = await network.open_job(slots=2, windows=4)
    idle = await network.open_job(slots=1, windows=3, class_id=2)
    await compare(network, mirror)
    await network.to_next_window()
    await network.place(job, [first, second])
    books = await compare(network, mirror)
    assert books.placed(job) == (first, second)

    await network.to_next_window()
    await network.send(PAYER, network.desk.revise_job(job, NEW_SPEC))
    network.revisions[job] += 1
    await network.place(job, [third], [first])
    await network.send(PAYER, network.desk.extend_job(job, 2))
    await network.send(PAYER, network.desk.cancel_job(idle))
    books = await compare(network, mirror)
    window = await network.window()
    assert [pair.license_id for pair in books.pairs_in_force(window)] == [first, second]
    assert [pair.license_id for pair in books.pairs_in_force(window + 1)] == [second, third]

    await network.to_next_window()
    served = {(job, first): UNIT, (job, second): 9_000}
    tree = await network.report(served)
    assert tree is not None
    for (job_id, license_id), units in served.items():
        await network.claim(tree, job_id, license_id, units)
    books = await compare(network, mirror)
    assert books.jobs[job].claimed_units == UNIT + 9_000
    assert books.jobs[job].fees > 0

    while (await network.window()) < books.jobs[job].end:
        await network.to_next_window()
    total = 5 * UNIT
    tree = await network.report({(job, second): 20_000, (job, third): 20_000, (job, 0): total})
    assert tree is not None
    await network.close(tree, job, total)
    await network.claim(tree, job, third, 20_000)
    books = await compare(network, mirror)
    assert books.jobs[job].closed
    assert books.jobs[job].attested
    assert books.jobs[job].refunded > 0


async def test_a_license_that_comes_back_counts_as_the_escrow_counts_it(
    network: Network, mirror: Mirror
) -> None:
    first, second = await prepared(network, 2)
    job = await network.open_job(slots=1, windows=8)
    await network.to_next_window()
    await network.place(job, [first])
    await network.to_next_window()
    await network.to_next_window()
    await network.place(job, [second], [first])
    await network.to_next_window()
    await network.report({})
    await network.place(job, [first], [second])
    books = await compare(network, mirror)
    assert books.assignments[job, first].earlier == 2
    await network.to_next_window()
    window = await network.to_next_window()
    tree = await network.report({(job, first): 9 * UNIT})
    assert tree is not None
    await network.claim(tree, job, first, 9 * UNIT)
    books = await compare(network, mirror)
    assert books.assignments[job, first].claimed_units == books.cap(job, first, window - 1)
    assert books.cap(job, first, window - 1) == 3 * UNIT


async def test_standing_attestation_and_transfer(network: Network, mirror: Mirror) -> None:
    first, second = await prepared(network, 2)
    trust, deeds = network.suite.registry, network.suite.licenses
    subject = registry.license_subject(first)
    await network.send(GUARDIAN, trust.freeze(subject, 7, EVIDENCE))
    books = await compare(network, mirror)
    assert not books.eligible(first, (await network.rpc.head()).timestamp)
    await network.pass_time(FREEZE_PERIOD)
    await compare(network, mirror)

    owner = registry.account_subject(OPERATOR.address)
    await network.send(GOVERNOR, trust.blacklist(owner, 8, EVIDENCE))
    await compare(network, mirror)
    await network.send(GOVERNOR, trust.reinstate(owner, 9, EVIDENCE))
    await network.send(OPERATOR, deeds.set_payout(first, PAYER.address))
    await network.send(OPERATOR, deeds.transfer_from(OPERATOR.address, STRANGER.address, second))
    books = await compare(network, mirror)
    assert books.licenses[first].payee == PAYER.address
    assert books.licenses[second].node is None

    await network.send(ISSUER, trust.revoke(OPERATOR.address))
    await compare(network, mirror)
    await network.verify_operator()
    await network.send(GOVERNOR, trust.set_issuer(ISSUER.address, False))
    books = await compare(network, mirror)
    assert books.attested_level(PAYER.address, (await network.rpc.head()).timestamp) == 0


async def test_reports_vetoes_and_seats(network: Network, mirror: Mirror) -> None:
    committee = network.suite.committee
    await network.to_next_window()
    await network.report({})
    await compare(network, mirror)
    await network.to_next_window()
    await network.submit({(1, 1): 5})
    books = await compare(network, mirror)
    assert books.pending_report((await network.rpc.head()).timestamp) is not None
    await network.send(GUARDIAN, committee.veto_report(EVIDENCE))
    books = await compare(network, mirror)
    assert books.veto_floor == await network.window()
    await network.to_next_window()
    await network.to_next_window()
    await network.submit({})
    await network.pass_time(CHALLENGE + 1)
    await network.send(GOVERNOR, committee.remove_seat(1))
    await network.link(2, NODES[5])
    await network.send(GOVERNOR, committee.add_seat(2, NODES[5].address))
    books = await compare(network, mirror)
    assert books.members[1].signer == NODES[5].address


async def test_the_tariff(network: Network, mirror: Mirror) -> None:
    tariff = network.suite.tariff
    terms = tariff_binding.ClassTerms(200_000, 500, 512, 1_024)
    await network.send(GOVERNOR, tariff.set_class(3, terms))
    await network.send(GOVERNOR, tariff.retire_class(1))
    policy = tariff_binding.PolicyTerms(100, 200, 300, 6_000, 0, False, True, 1_000, 2_000)
    await network.send(GOVERNOR, tariff.add_policy(policy))
    books = await compare(network, mirror)
    assert books.classes[1].retired
    assert books.policies[2].sla_floor_bps == 6_000


async def test_a_close_without_a_report(network: Network, mirror: Mirror) -> None:
    (first,) = await prepared(network, 1)
    job = await network.open_job(slots=1, windows=2)
    await network.to_next_window()
    await network.place(job, [first])
    for _ in range(3):
        await network.to_next_window()
    await network.send(PAYER, network.desk.request_close(job))
    books = await compare(network, mirror)
    assert books.jobs[job].close_requested == await network.window()
    for _ in range(CLOSE_GRACE + 1):
        await network.to_next_window()
    await network.send(STRANGER, network.desk.close_unattested(job))
    books = await compare(network, mirror)
    assert (books.jobs[job].closed, books.jobs[job].attested, books.jobs[job].locked) == (
        True,
        False,
        0,
    )


async def test_scaling_up_and_down(network: Network, mirror: Mirror) -> None:
    """M2: the funded units are those of the slots in each window; licenses stop where named."""
    first, second, third = await prepared(network, 3)
    job = await network.open_job(slots=2, windows=6)
    await network.send(PAYER, network.desk.scale_job(job, 1, []))
    books = await compare(network, mirror)
    assert (books.jobs[job].funded_units, books.jobs[job].refunded) == (6 * UNIT, 6 * PRICE)
    await network.to_next_window()
    await network.place(job, [first])
    start = await network.to_next_window()
    await network.send(PAYER, network.desk.scale_job(job, 3, []))
    await network.place(job, [second, third])
    books = await compare(network, mirror)
    assert books.jobs[job].funded_units == (1 + 5 * 3) * UNIT
    await network.to_next_window()
    await network.send(PAYER, network.desk.scale_job(job, 2, [first]))
    books = await compare(network, mirror)
    assert books.jobs[job].funded_units == (1 + 3 + 4 * 2) * UNIT
    assert books.placed(job) == (second, third)
    assert [pair.license_id for pair in books.pairs_in_force(start + 1)] == [first, second, third]

    while (await network.window()) < books.jobs[job].end:
        await network.to_next_window()
    served = {(job, first): 2 * UNIT, (job, second): 5 * UNIT, (job, third): 5 * UNIT}
    tree = await network.report(served | {(job, 0): 12 * UNIT})
    assert tree is not None
    for (_, license_id), units in served.items():
        await network.claim(tree, job, license_id, units)
    await network.close(tree, job, 12 * UNIT)
    books = await compare(network, mirror)
    assert (books.jobs[job].claimed_units, books.jobs[job].locked) == (12 * UNIT, 0)
    assert books.jobs[job].attested


async def test_what_a_blacklisted_license_earned_is_forfeited(
    network: Network, mirror: Mirror
) -> None:
    """M2, M3: its gross counts as claimed, and goes back to the payer in part."""
    first, second = await prepared(network, 2)
    job = await network.open_job(slots=2, windows=4)
    await network.to_next_window()
    await network.place(job, [first, second])
    await network.to_next_window()
    await network.to_next_window()
    tree = await network.report({(job, first): UNIT, (job, second): 7_777})
    assert tree is not None
    subject = registry.license_subject(first)
    await network.send(GOVERNOR, network.suite.registry.blacklist(subject, 8, EVIDENCE))
    before = await read(network.rpc, network.suite.token.balance_of(PAYER.address))
    proof = tree.proof(leaf_hash(network.escrow.address, job, first, UNIT))
    await network.send(STRANGER, network.escrow.forfeit(job, first, UNIT, proof))
    await network.claim(tree, job, second, 7_777)
    books = await compare(network, mirror)
    fees = PRICE * 2_000 // 10_000
    assert books.jobs[job].forfeited == PRICE - fees
    assert books.jobs[job].claimed_units == UNIT + 7_777
    after = await read(network.rpc, network.suite.token.balance_of(PAYER.address))
    assert after - before == (PRICE - fees) * 5_000 // 10_000


async def test_fees_are_flushed_and_pots_pulled(network: Network, mirror: Mirror) -> None:
    (first,) = await prepared(network, 1)
    job = await network.open_job(slots=1, windows=4)
    await network.to_next_window()
    await network.place(job, [first])
    await network.to_next_window()
    await network.to_next_window()
    tree = await network.report({(job, first): UNIT})
    assert tree is not None
    await network.claim(tree, job, first, UNIT)
    await network.send(STRANGER, network.escrow.flush_fees(1))
    books = await compare(network, mirror)
    assert books.policies[1].flushed == books.jobs[job].fees == PRICE * 2_000 // 10_000
    pots = await read(network.rpc, network.suite.vault.pots())
    assert sum(pots) == books.policies[1].flushed
    for call in (
        network.suite.vault.pull_oracles(),
        network.suite.vault.pull_burn(),
        network.suite.vault.pull_treasury(),
    ):
        await network.send(STRANGER, call)
    for _ in range(committee_binding.MIN_REPORTS - 1):
        await network.to_next_window()
        await network.report({})
    committee = network.suite.committee
    await network.send(STRANGER, committee.settle_rewards())
    assert await read(network.rpc, committee.reward_of(1)) == pots.oracles // 4
    await network.send(STRANGER, committee.claim_reward(1))
    await compare(network, mirror)
    token = network.suite.token
    assert await read(network.rpc, token.balance_of(TREASURY.address)) == pots.treasury
    assert await read(network.rpc, token.balance_of(AUCTION.address)) == pots.burn
    assert await read(network.rpc, network.suite.vault.owed()) == 0


async def test_a_delegate_opens_and_changes_jobs_of_the_payer(
    network: Network, mirror: Mirror
) -> None:
    """M8: what comes back goes to the payer, and restores no budget."""
    await prepared(network, 0)
    desk = network.desk
    scopes = sum(desk_binding.SCOPES.values())
    grant = desk.grant(DELEGATE.address, scopes, 9 * PRICE, FOREVER - 1)
    await network.send(PAYER, grant)
    opening = desk_binding.Opening(SPEC, 1, escrow_binding.SERVICE, 1, 1, 4, PRICE)
    await network.send(DELEGATE, desk.open_job_for(PAYER.address, opening))
    await network.send(DELEGATE, desk.open_jobs(PAYER.address, [opening]))
    await network.send(DELEGATE, desk.extend_job(1, 1))
    await network.send(DELEGATE, desk.cancel_job(1))
    books = await compare(network, mirror)
    assert [job.payer for job in books.jobs.values()] == [PAYER.address] * 2
    assert (books.jobs[1].deposited, books.jobs[1].refunded) == (5 * PRICE, 5 * PRICE)
    left = await read(network.rpc, desk.grant_of(PAYER.address, DELEGATE.address))
    assert left.budget == 0


async def test_a_batch_job_is_completed_by_a_result(network: Network, mirror: Mirror) -> None:
    (first,) = await prepared(network, 1)
    call = network.escrow.open_job(SPEC, 1, escrow_binding.BATCH, 20, 1, 6, PRICE)
    await network.send(PAYER, call)
    network.rounds[1] = network.revisions[1] = 0
    books = await compare(network, mirror)
    assert books.jobs[1].funded_units == 20 * UNIT
    await network.to_next_window()
    await network.place(1, [first])
    await network.to_next_window()
    await network.attest_result(1, EVIDENCE)
    books = await compare(network, mirror)
    assert (books.jobs[1].completed, books.jobs[1].end) == (True, await network.window() + 1)
    await network.to_next_window()
    tree = await network.report({(1, first): 15 * UNIT, (1, 0): 15 * UNIT})
    assert tree is not None
    await network.claim(tree, 1, first, 15 * UNIT)
    await network.close(tree, 1, 15 * UNIT)
    books = await compare(network, mirror)
    assert (books.jobs[1].claimed_units, books.jobs[1].refunded) == (15 * UNIT, 5 * PRICE)


async def test_bonds_decide_who_is_eligible(network: Network, mirror: Mirror) -> None:
    """L25 seen from outside: requested back, slashed or posted anew, the flag is the chain's."""
    first, second = await prepared(network, 2)
    deeds = network.suite.licenses
    now = (await network.rpc.head()).timestamp
    assert (await compare(network, mirror)).eligible(first, now)
    await network.send(OPERATOR, deeds.request_unbond(first, 1))
    await network.send(GOVERNOR, deeds.slash(second, BOND, EVIDENCE, PAYER.address))
    books = await compare(network, mirror)
    assert [books.licenses[one].bonded for one in (first, second)] == [False, False]
    await network.send(OPERATOR, deeds.cancel_unbond(first))
    await network.bond(second, BOND)
    books = await compare(network, mirror)
    assert [books.licenses[one].bonded for one in (first, second)] == [True, True]
    await network.send(OPERATOR, deeds.request_unbond(first, BOND))
    await network.pass_time(UNBOND_DELAY)
    await network.send(OPERATOR, deeds.withdraw_bond(first))
    assert not (await compare(network, mirror)).licenses[first].bonded


async def test_a_pause_is_read_from_the_chain(network: Network, mirror: Mirror) -> None:
    await network.send(GUARDIAN, network.escrow.pause())
    books = await compare(network, mirror)
    assert books.paused_until == (await network.rpc.head()).timestamp + FREEZE_PERIOD


async def test_the_books_follow_a_reorg(network: Network, mirror: Mirror) -> None:
    (first,) = await prepared(network, 1)
    job = await network.open_job(slots=1, windows=4)
    snapshot = await network.rpc.call("evm_snapshot", [])
    await network.to_next_window()
    await network.place(job, [first])
    before = await compare(network, mirror)
    assert before.placed(job) == (first,)
    assert await network.rpc.call("evm_revert", [snapshot])
    network.rounds[job] = 0
    await network.send(PAYER, network.desk.cancel_job(job))
    for _ in range(3):
        await network.rpc.call("evm_mine", [])
    books = await compare(network, mirror)
    assert books.placed(job) == ()
    assert books.jobs[job].cancelled


async def test_a_missing_policy_reverts_with_its_reason(network: Network) -> None:
    with pytest.raises(RevertError) as caught:
        await read(network.rpc, network.suite.tariff.policy_of(9))
    assert caught.value.reason == "tariff: unknown policy"
