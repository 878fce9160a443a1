"""Reading the chain through several RPCs that may lie, lag or be down."""

import re
import time
from collections.abc import AsyncIterator, Callable

import pytest
from node_support import (
    CHAIN_ID,
    COMMITTEE,
    ESCROW,
    LICENSE_ID,
    LICENSES,
    NODE_KEY,
    PAYER,
    Chain,
    ChainJob,
    FakeRpc,
)

from workdeed.chain.rpc import RpcClient
from workdeed.node.chain_view import (
    OPEN_END,
    ChainView,
    Contracts,
    FinalReport,
    LicenseView,
    Standing,
)
from workdeed.node.errors import ChainUnsureError
from workdeed.protocol.messages import Resources
from workdeed.protocol.signing import address_of, to_checksum

CONTRACTS = Contracts(*(to_checksum(one) for one in (ESCROW, LICENSES, COMMITTEE)))
HASH = b"h" * 32

Open = Callable[..., ChainView]


@pytest.fixture
async def view_of() -> AsyncIterator[Open]:
    opened = []

    def make(rpcs: list[FakeRpc], min_rpcs: int = 2, stale_seconds: float = 1800) -> ChainView:
        clients = [RpcClient(one.url, timeout=5) for one in rpcs]
        view = ChainView(
            clients,
            CHAIN_ID,
            CONTRACTS,
            LICENSE_ID,
            min_rpcs=min_rpcs,
            stale_seconds=stale_seconds,
        )
        opened.append(view)
        return view

    yield make
    for view in opened:
        await view.close()


async def refused(view: ChainView) -> str:
    with pytest.raises(ChainUnsureError) as caught:
        await view.pairs(await view.moment(), [3])
    return str(caught.value)


async def test_what_all_say_is_read(view_of: Open, rpcs: list[FakeRpc], chain: Chain):
    chain.jobs[3] = ChainJob(HASH, revision=2, until=15, cancelled=True)
    chain.report = (9, b"r" * 32)
    view = view_of(rpcs)
    moment = await view.moment()
    assert (moment.number, moment.window) == (chain.number, 10)
    served, unknown = await view.pairs(moment, [3, 4])
    assert (served.exists, served.spec_hash, served.revision) == (True, HASH, 2)
    assert (served.start, served.end, served.cancelled, served.closed) == (11, 21, True, False)
    assert (served.first, served.until) == (11, 15)
    assert served.payer == to_checksum(PAYER)
    assert not unknown.exists
    assert unknown.first == 0
    assert await view.final_report(moment) == FinalReport(9, b"r" * 32)
    assert await view.license(moment) == LicenseView(address_of(NODE_KEY), 0)
    assert await view.pairs(moment, []) == []


async def test_an_open_end_is_that_of_the_contract(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    chain.jobs[3] = ChainJob(HASH)
    view = view_of(rpcs)
    (served,) = await view.pairs(await view.moment(), [3])
    assert served.until == OPEN_END == 2**32 - 1


async def test_rpcs_of_different_heights_meet_at_the_lower(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    ahead = Chain(number=chain.number + 3, began=chain.began, jobs=chain.jobs)
    rpcs[1].chain = ahead
    # The same chain: a block has one timestamp, however far a server has come.
    ahead.age = -3
    moment = await view_of(rpcs).moment()
    assert moment.number == chain.number


async def test_different_blocks_are_a_disagreement(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    rpcs[1].chain = Chain(began=chain.began, fork=b"other")
    assert "disagree" in await refused(view_of(rpcs))


async def test_different_answers_are_a_disagreement(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    chain.jobs[3] = ChainJob(HASH)
    rpcs[1].chain = Chain(began=chain.began, jobs={3: ChainJob(HASH, until=12)})
    assert "disagree" in await refused(view_of(rpcs))


async def test_the_sentence_names_the_rpcs_without_their_secrets(
    view_of: Open, rpcs: list[FakeRpc]
):
    rpcs[1].chain = Chain(fork=b"other", began=rpcs[0].chain.began)
    origin = rpcs[0].url
    rpcs[0].url += "/?key=a-secret"
    text = await refused(view_of(rpcs))
    assert origin in text
    assert "a-secret" not in text


@pytest.mark.parametrize("how", ["down", "stale", "another chain"])
async def test_an_rpc_that_does_not_count_is_done_without_if_enough_are_left(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain, how: str
):
    chain.jobs[3] = ChainJob(HASH)
    third = FakeRpc(chain)
    await third.start()
    if how == "down":
        third.down = True
    elif how == "stale":
        third.chain = Chain(began=chain.began, number=50, age=7200)
    else:
        third.chain_id = 1
    view = view_of([*rpcs, third])
    moment = await view.moment()
    assert moment.number == chain.number
    if how != "another chain":
        (served,) = await view.pairs(moment, [3])
        assert served.exists
    assert "2 of 3 answer and min_rpcs asks for 3" in await refused(view_of([*rpcs, third], 3))
    await third.stop()


async def test_one_liar_among_three_holds_everything(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    liar = FakeRpc(Chain(began=chain.began, jobs={3: ChainJob(HASH)}))
    await liar.start()
    assert "disagree" in await refused(view_of([*rpcs, liar]))
    await liar.stop()


async def test_an_old_head_is_no_head(view_of: Open, rpcs: list[FakeRpc], chain: Chain):
    chain.age = 1801
    assert re.search(r"its head is \d+ s old", await refused(view_of(rpcs)))
    assert (await view_of(rpcs, stale_seconds=7200).moment()).number == chain.number


async def test_an_rpc_that_calls_an_old_block_the_latest_rewinds_nobody(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    """What it says of `latest` is its word alone; of the block itself all give one timestamp."""
    chain.number = 1_000
    view = view_of(rpcs, stale_seconds=60)
    assert (await view.moment()).number == chain.number
    rpcs[1].latest = chain.number - 500
    assert re.search(r"rpc_urls: the latest block .* is 50\d s old", await refused(view))
    rpcs[1].latest = chain.number - 3  # as one that lags a little, which is no harm
    assert (await view.moment()).number == chain.number - 3


async def test_a_timestamp_beyond_all_numbers_is_no_answer(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    rpcs[1].chain = Chain(began=chain.began, age=-(10**400))
    assert "it sent a malformed quantity" in await refused(view_of(rpcs))
    rpcs[1].chain = Chain(began=chain.began, age=-(10**12))
    assert "disagree" in await refused(view_of(rpcs))


async def test_all_silent_is_no_agreement(view_of: Open, rpcs: list[FakeRpc]):
    for one in rpcs:
        one.down = True
    assert "0 of 2 answer" in await refused(view_of(rpcs, min_rpcs=1))


async def test_one_rpc_is_enough_where_the_settings_say_so(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    assert (await view_of(rpcs[:1], min_rpcs=1).moment()).number == chain.number


async def test_a_reorg_between_two_readings_is_no_answer(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    view = view_of(rpcs)
    moment = await view.moment()
    chain.fork = b"after the reorg"
    with pytest.raises(ChainUnsureError):
        await view.pairs(moment, [3])
    assert (await view.moment()).block_hash != moment.block_hash


async def test_addresses_without_contracts_are_named(view_of: Open, rpcs: list[FakeRpc]):
    nowhere = to_checksum("0x" + "77" * 20)
    view = ChainView(
        [RpcClient(one.url) for one in rpcs],
        CHAIN_ID,
        Contracts(nowhere, nowhere, nowhere),
        LICENSE_ID,
        min_rpcs=2,
        stale_seconds=1800,
    )
    assert "no such contract" in await refused(view)
    await view.close()


async def test_windows_follow_the_chains_time_not_the_machines(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    view = view_of(rpcs)
    chain.window = 25
    moment = await view.moment()
    assert moment.window == 25
    assert moment.timestamp > time.time() + 10_000


async def test_what_an_account_is_to_a_job(view_of: Open, rpcs: list[FakeRpc], chain: Chain):
    payer, stranger, zero = (to_checksum("0x" + two * 20) for two in ("aa", "55", "00"))
    delegate, late, member, former = (
        to_checksum("0x" + two * 20) for two in ["66", "77", "88", "99"]
    )
    chain.jobs[3] = ChainJob(HASH)
    chain.grants = {delegate.lower(): (8, chain.now + 1), late.lower(): (31, chain.now)}
    chain.members = {member.lower(): 0, former.lower(): 4}
    view = view_of(rpcs)
    moment = await view.moment()
    expected = {
        payer: Standing(is_payer=True, scopes=0, is_member=False),
        stranger: Standing(is_payer=False, scopes=0, is_member=False),
        zero: Standing(is_payer=False, scopes=0, is_member=False),
        delegate: Standing(is_payer=False, scopes=8, is_member=False),
        late: Standing(is_payer=False, scopes=0, is_member=False),
        member: Standing(is_payer=False, scopes=0, is_member=True),
        former: Standing(is_payer=False, scopes=0, is_member=False),
    }
    assert {one: await view.standing(moment, 3, one) for one in expected} == expected
    nobody = await view.standing(moment, 4, zero)
    assert not nobody.is_payer, "a job that is not there has no payer"
    assert not (await view.standing(moment, 4, delegate)).scopes


async def test_what_a_class_gives_is_read_once_as_it_never_changes(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    chain.jobs[3] = ChainJob(HASH)
    chain.paid = (250, 512, 1_024)
    view = view_of(rpcs)
    moment = await view.moment()
    (served,) = await view.pairs(moment, [3])
    given = Resources(cpu_milli=250, memory_mb=512, storage_mb=1_024)
    assert await view.class_size(moment, served.class_id) == given
    rpcs[0].down = True
    assert await view.class_size(moment, served.class_id) == given


async def test_a_class_that_does_not_exist_or_is_not_agreed_on_gives_nothing(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    view = view_of(rpcs)
    moment = await view.moment()
    with pytest.raises(ChainUnsureError, match="no class 2"):
        await view.class_size(moment, 2)
    rpcs[1].chain = Chain(began=chain.began, paid=(10**6, 10**6, 10**6))
    with pytest.raises(ChainUnsureError, match="disagree"):
        await view.class_size(moment, 1)


async def test_rpcs_that_disagree_about_an_account_say_nothing(
    view_of: Open, rpcs: list[FakeRpc], chain: Chain
):
    account = to_checksum("0x" + "66" * 20)
    chain.jobs[3] = ChainJob(HASH)
    rpcs[1].chain = Chain(
        began=chain.began,
        jobs={3: ChainJob(HASH)},
        grants={account.lower(): (8, chain.now + 100)},
    )
    view = view_of(rpcs)
    with pytest.raises(ChainUnsureError, match="disagree"):
        await view.standing(await view.moment(), 3, account)
