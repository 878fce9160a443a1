"""Two keepers of one member on one PostgreSQL database: one acts, the other takes over."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from keeper_processes import KeeperProcess, Site, eventually, site_on, typed
from keeper_support import KEEPER, ORACLE_KEYS, LocalChain, signer_of

pytestmark = [pytest.mark.anvil, pytest.mark.postgres]

MEMBER = signer_of(ORACLE_KEYS).address
ORACLE = """
[oracle]
enabled = true
journal = "database"
report_idle = true
turn_seconds = 1.0
probe_interval = 0.5
probe_timeout = 0.5

[lease]
ttl_seconds = 6
standby = true
"""


@pytest.fixture
async def site(chain: LocalChain, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(chain, tmp_path) as made:
        yield made


@pytest.fixture
async def pair(site: Site, postgres: str) -> tuple[KeeperProcess, KeeperProcess]:
    """Two keepers with one member key and one sender; the first one acts."""
    sender, member = site.key_file("sender", KEEPER), site.key_file("member", ORACLE_KEYS)
    keys, database = f"sender = {sender}\nmember = {member}", f'database = "{postgres}"'
    first, second = (site.keeper(name, keys, ORACLE, database) for name in ("one", "two"))
    for keeper, other in ((first, second), (second, first)):
        # What a proxy at the member's address does: ask the other one.
        keeper.add(f'[peers]\n1 = "http://127.0.0.1:{other.port}"')
    await first.start()
    await eventually(first.is_active)
    await second.start()
    return first, second


def signed(database: str) -> list[tuple[int, int, int, int]]:
    """Return window, turn, epoch and token of every root that is written down."""
    with psycopg.connect(database) as connection:
        query = 'SELECT "window", turn, epoch, token FROM signed_roots ORDER BY 1, 2, 3'
        return connection.execute(query).fetchall()


async def stopped(site: Site, acting: KeeperProcess, waiting: KeeperProcess) -> None:
    """Stop `acting` when `waiting` has the data of the latest report.

    In a committee of one nobody else has what the next report builds on, and one that is stopped
    sends no further one before it is killed.
    """

    async def knows_all() -> bool:
        acting.send(signal.SIGSTOP)
        await site.rpc.call("evm_mine", [])  # with what it sent just before
        latest = await site.reported()
        if (await waiting.ask(f"/reports/{latest}"))[0] == 200:
            return True
        acting.send(signal.SIGCONT)
        return False

    await eventually(knows_all)


async def stands_by(keeper: KeeperProcess) -> bool:
    """Tell whether a keeper says everywhere that it stands by, and is ready to take over."""
    status, body = await keeper.ask("/readyz")
    _, metrics = await keeper.ask("/metrics")
    return (
        (status, body["ready"]) == (200, True)
        # Without a note it acts, or has not noticed yet that it no longer may.
        and body["notes"].get("member", "").startswith("standby: ")
        and 'workdeed_lease_held{lease="member"} 0.0' in metrics
        and not await keeper.is_active()
    )


async def test_a_standby_goes_on_when_the_one_that_acts_is_killed(
    site: Site, pair: tuple[KeeperProcess, KeeperProcess], postgres: str
) -> None:
    acting, waiting = pair
    await site.next_report(after=0)
    await eventually(lambda: stands_by(waiting))
    assert "oracle: active" not in waiting.events()
    told = await typed("keeper", "journal", "show", "--config", str(waiting.config))
    assert f"signed roots of {MEMBER}" in told

    await stopped(site, acting, waiting)
    await acting.end(signal.SIGKILL)
    await eventually(waiting.is_active)
    killed_in = await site.view(lambda suite: suite.committee.current_window())
    await site.next_report(after=await site.next_report())
    # Its own windows begin after the journal of both did: it need not wait for one of its own.
    assert min(window for window, *_, token in signed(postgres) if token == 2) <= killed_in
    assert {token for *_, token in signed(postgres)} == {1, 2}
    assert "oracle: active" in waiting.events()
    reasons = [one["reason"] for one in waiting.lines if one["event"] == "oracle: window unknown"]
    assert "this oracle took over within the window" in reasons

    await acting.start()
    await eventually(lambda: stands_by(acting))


async def test_one_that_slept_through_its_lease_signs_nothing_more(
    site: Site, pair: tuple[KeeperProcess, KeeperProcess], postgres: str
) -> None:
    sleeping, waiting = pair
    await site.next_report(after=0)
    try:
        await stopped(site, sleeping, waiting)
        await eventually(waiting.is_active)
        await site.next_report()
        before = signed(postgres)
    finally:
        sleeping.send(signal.SIGCONT)
    await eventually(lambda: stands_by(sleeping))
    assert await waiting.is_active()
    await site.next_report()
    after = signed(postgres)
    assert after[: len(before)] == before
    assert {token for *_, token in after[len(before) :]} == {2}
    assert "oracle: standing by" in sleeping.events()


async def test_copies_of_a_journal_in_a_database(
    site: Site, pair: tuple[KeeperProcess, KeeperProcess], postgres: str, tmp_path: Path
) -> None:
    acting, waiting = pair
    await site.next_report(after=0)
    copy, config = str(tmp_path / "copy"), ("--config", str(waiting.config))
    told = await typed("keeper", "journal", "backup", *config, copy)
    assert MEMBER in told
    with pytest.raises(AssertionError, match="acts for this member; stop every keeper"):
        await typed("keeper", "journal", "restore", *config, copy)
    for keeper in pair:
        assert await keeper.end(signal.SIGTERM) == 0
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DELETE FROM signed_roots")
    restored = await typed("keeper", "journal", "restore", *config, copy)
    roots = told.split()[2]
    assert restored.split()[1] == roots
    # What it held is there again; what may be missing is barred.
    latest = await site.reported()
    await acting.start()
    assert await site.next_report() > latest


async def test_a_member_that_moved_into_the_database_leaves_its_file(
    site: Site, postgres: str
) -> None:
    keys = f"member = {site.key_file('member', ORACLE_KEYS)}\n"
    keys += f"sender = {site.key_file('sender', KEEPER)}"
    keeper = site.keeper("one", keys, ORACLE, f'database = "{postgres}"')
    text = keeper.config.read_text()
    keeper.config.write_text(text.replace('journal = "database"', 'journal = "file"'))
    await keeper.start()
    await site.next_report(after=0)
    assert await keeper.end(signal.SIGTERM) == 0
    state = keeper.config.parent / "state"
    path = state / f"signing-{MEMBER}.journal"
    content = path.read_bytes()
    keeper.config.write_text(text)
    await keeper.start()
    await site.next_report()
    assert not path.exists()
    (aside,) = state.glob(f"signing-{MEMBER}.journal.until-*")
    assert aside.read_bytes() == content
    assert await keeper.end(signal.SIGTERM) == 0
    keeper.config.write_text(text.replace('journal = "database"', 'journal = "file"'))
    with pytest.raises(AssertionError, match='lies in the database; set it to "database"'):
        await typed("keeper", "run", "--config", str(keeper.config))
