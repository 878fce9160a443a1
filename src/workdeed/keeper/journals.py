"""The signing journal of a keeper's member: where it is, what it holds, and copies of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from workdeed.chain.deployment import Deployment, load_deployment
from workdeed.chain.errors import ChainError
from workdeed.chain.keys import LocalSigner
from workdeed.chain.leases import Lease, member_lease, new_holder
from workdeed.chain.rpc import RpcClient
from workdeed.chain.store import Store
from workdeed.keeper.errors import SettingsError, StartError
from workdeed.keeper.settings import KeeperSettings
from workdeed.oracle import journal_copies
from workdeed.oracle.errors import JournalError
from workdeed.oracle.journal import journal_path
from workdeed.oracle.journal_copies import Summary
from workdeed.oracle.journal_database import (
    DatabaseJournal,
    JournalKey,
    SharedMember,
    has_journal,
    read_journal,
)
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN
from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import check_chain

T = TypeVar("T")


async def check_file_journal(store: Store, deployment: Deployment, member: str) -> None:
    """Return if a member may sign with a journal file.

    Raises:
        StartError: if its journal lies in the database, which a file knows nothing of.

    """
    if not store.is_shared:
        return
    key = JournalKey(deployment.domain(COMMITTEE_DOMAIN).separator, member)
    if await store.transaction(lambda session: has_journal(session, key)):
        raise StartError(
            f'oracle.journal: the journal of {member} lies in the database; set it to "database",'
            " or delete its row of signing_journals once every keeper of this member is stopped"
        )


async def show_journal(settings: KeeperSettings) -> Summary:
    """Return what the member's journal holds; the keeper may run.

    Raises:
        SettingsError, ChainError: if the member key, the deployment or the database can't be read.
        JournalError: if there is no journal, or it is damaged.

    """
    if settings.oracle.journal == "file":
        return journal_copies.summary_of(journal_path(settings.state_dir, _member(settings)))
    key = _key(settings, load_deployment(settings.chain.deployment, settings.chain.chain_id))
    return await _look(settings, lambda session: read_journal(session, key).summary)


async def back_up_journal(settings: KeeperSettings, copy: Path) -> Summary:
    """Copy the member's journal to a file; the keeper may run.

    Raises:
        SettingsError, ChainError: as `show_journal`.
        JournalError: as `show_journal`, or if the copy can't be made or exists.

    """
    if settings.oracle.journal == "file":
        path = journal_path(settings.state_dir, _member(settings))
        return journal_copies.back_up(path, copy)
    key = _key(settings, load_deployment(settings.chain.deployment, settings.chain.chain_id))
    found = await _look(settings, lambda session: read_journal(session, key))
    return journal_copies.write_copy(
        copy, found.entries, member=key.member, domain=key.domain, began_at=found.began_at
    )


async def restore_journal(settings: KeeperSettings, copy: Path) -> Summary:
    """Make the member's journal from a copy; the chain says what time it is.

    Where it lies in the database, what the copy holds is added to what is there.

    Raises:
        SettingsError, ChainError: if the member key, the deployment or the chain cannot be read.
        JournalError: as `journal_copies.restore`; in the database, if a keeper acts for the member.

    """
    deployment = load_deployment(settings.chain.deployment, settings.chain.chain_id)
    key = _key(settings, deployment)
    now = await _chain_time(settings, deployment)
    if settings.oracle.journal == "file":
        path = journal_path(settings.state_dir, key.member)
        return journal_copies.restore(copy, path, member=key.member, domain=key.domain, now=now)
    entries = journal_copies.read_copy(copy, member=key.member, domain=key.domain)
    store = Store.open(settings.database)
    try:
        lease = Lease(
            store,
            member_lease(deployment.chain_id, key.member),
            holder=new_holder(),
            ttl=settings.lease.ttl_seconds,
        )
        async with lease:
            if not lease.held:
                raise JournalError(
                    f"journal: {lease.holder} acts for this member; stop every keeper of it first"
                )
            shared = SharedMember(store, lease)
            journal = await asyncio.to_thread(
                DatabaseJournal.open, shared, member=key.member, domain=key.domain, now=lambda: now
            )
            return await asyncio.to_thread(journal.restore, entries)
    finally:
        await store.close()


async def _chain_time(settings: KeeperSettings, deployment: Deployment) -> int:
    """Return the chain's time in Unix seconds, as the RPCs that answer have it.

    Of three or more the latest that two have reached: what one alone says must neither open windows
    that were signed in already, nor bar those to come. Of two the later one.

    Raises:
        ChainError, SdkError: the first trouble, if none answers for the deployment's chain.

    """
    urls = settings.chain.rpc_urls
    answers = await asyncio.gather(*(_head_time(url, deployment) for url in urls))
    times = sorted(one for one in answers if isinstance(one, int))
    if not times:
        raise next(one for one in answers if isinstance(one, Exception))
    return times[-2] if len(times) > 2 else times[-1]


async def _head_time(url: str, deployment: Deployment) -> int | Exception:
    try:
        async with RpcClient(url) as rpc:
            await check_chain(rpc, deployment)
            return (await rpc.head()).timestamp
    except (ChainError, SdkError) as error:
        return error


async def _look(settings: KeeperSettings, work: Callable[[Session], T]) -> T:
    """Return what `work` finds in the database, which stays as it is."""
    store = Store.open(settings.database, as_it_is=True)
    try:
        return await store.transaction(work)
    finally:
        await store.close()


def _key(settings: KeeperSettings, deployment: Deployment) -> JournalKey:
    return JournalKey(deployment.domain(COMMITTEE_DOMAIN).separator, _member(settings))


def _member(settings: KeeperSettings) -> str:
    source = settings.keys.member
    if source is None:
        raise SettingsError("there is no member key, and so no journal; set it", "keys.member")
    return LocalSigner.from_source(source).address
