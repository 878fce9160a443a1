"""Where the signing journal of a keeper's member is, and how it is made from a copy."""

from pathlib import Path

from workdeed.chain.deployment import load_deployment
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.keeper.errors import SettingsError
from workdeed.keeper.settings import KeeperSettings
from workdeed.oracle.journal import journal_path
from workdeed.oracle.journal_copies import Summary, restore
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN
from workdeed.sdk.session import check_chain


def member_journal(settings: KeeperSettings) -> Path:
    """Return where the journal of the member key is.

    Raises:
        SettingsError, KeySourceError: if there is no member key, or it cannot be read.

    """
    return journal_path(settings.state_dir, _member(settings))


async def restore_journal(settings: KeeperSettings, copy: Path) -> Summary:
    """Make the member's journal from a copy; the chain says what time it is.

    Raises:
        SettingsError, ChainError: if the member key, the deployment or the chain cannot be read.
        JournalError: as `restore`.

    """
    member = _member(settings)
    deployment = load_deployment(settings.chain.deployment, settings.chain.chain_id)
    rpc = RpcClient(settings.chain.rpc_urls[0])
    try:
        await check_chain(rpc, deployment)
        now = (await rpc.head()).timestamp
    finally:
        await rpc.close()
    path = journal_path(settings.state_dir, member)
    domain = deployment.domain(COMMITTEE_DOMAIN).separator
    return restore(copy, path, member=member, domain=domain, now=now)


def _member(settings: KeeperSettings) -> str:
    source = settings.keys.member
    if source is None:
        raise SettingsError("there is no member key, and so no journal; set it", "keys.member")
    return LocalSigner.from_source(source).address
