"""Looks at a keeper's surroundings before it runs, and says what to mend.

Each check stands for itself: one that fails stops only those that need what it looked for.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from workdeed.chain.bindings.codec import read
from workdeed.chain.bindings.committee import MAX_SEATS
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import Deployment, load_deployment
from workdeed.chain.errors import ChainError, StoreError
from workdeed.chain.keys import KeySource, LocalSigner
from workdeed.chain.leases import LeaseState
from workdeed.chain.rpc import Rpc, RpcClient
from workdeed.chain.survey import Survey, missing_file, survey
from workdeed.keeper.errors import KeeperError
from workdeed.keeper.gas import LOW_BALANCE, balance_of
from workdeed.keeper.settings import KeeperSettings, LeaseSettings
from workdeed.node.findings import Finding
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError, SdkError
from workdeed.sdk.session import check_chain

MAX_HEAD_AGE = 120.0
"""Seconds by which the head may be older than this machine's clock says."""


async def check_network(rpc: Rpc, deployment: Deployment) -> AsyncIterator[Finding]:
    """Check that `rpc` serves a deployment, and that its head and calendar are right."""
    served = await _finding(f"rpc {rpc.origin}", lambda: _serves(rpc, deployment))
    yield served
    if served.ok:
        yield await _finding(f"clock of {rpc.origin}", lambda: _head_is_fresh(rpc))
        yield await _finding("calendar", lambda: _calendar(rpc, deployment))


async def check_keeper(settings: KeeperSettings) -> AsyncIterator[Finding]:
    """Check everything that a keeper with these settings needs."""
    try:
        deployment = load_deployment(settings.chain.deployment, settings.chain.chain_id)
    except ChainError as error:
        yield Finding("deployment", str(error))
        return
    yield Finding("deployment", note=str(settings.chain.deployment))
    usable: RpcClient | None = None
    clients = [RpcClient(url) for url in settings.chain.rpc_urls]
    try:
        for client in clients:
            async for finding in check_network(client, deployment):
                usable = client if finding.ok and usable is None else usable
                yield finding
        async for finding in _check_own(settings, deployment, usable):
            yield finding
    finally:
        for client in clients:
            await client.close()


async def _check_own(
    settings: KeeperSettings, deployment: Deployment, rpc: Rpc | None
) -> AsyncIterator[Finding]:
    async for finding in _check_database(settings):
        yield finding
    yield await _finding("state_dir", lambda: _writable(settings.state_dir))
    sender, finding = _key("keys.sender", settings.keys.sender, required=False)
    yield finding
    member, finding = _key("keys.member", settings.keys.member, required=settings.oracle.enabled)
    yield finding
    if rpc is None:
        return
    suite = Suite.of(deployment)
    if sender is not None:
        yield await _finding("balance of the sender", lambda: _balance(rpc, sender))
    if member is not None and settings.oracle.enabled:
        yield await _finding("seat", lambda: _seat(rpc, suite, member))
        async for finding in _check_peers(settings, rpc, suite, member):
            yield finding


async def _check_peers(
    settings: KeeperSettings, rpc: Rpc, suite: Suite, member: str
) -> AsyncIterator[Finding]:
    async with _endpoints(settings) as endpoints:
        for index in range(MAX_SEATS):
            license_id, signer = await read(rpc, suite.committee.seat(index))
            if not license_id or signer == member:
                continue
            announced: str = await read(rpc, suite.licenses.endpoint_of(license_id))
            yield await _peer(endpoints, license_id, settings.peers.get(license_id, announced))


def _endpoints(settings: KeeperSettings) -> Endpoints:
    return Endpoints(
        allow_private=settings.allow_private_endpoints, trusted=settings.peers.values()
    )


async def _peer(endpoints: Endpoints, license_id: int, address: str) -> Finding:
    name = f"member with license {license_id}"
    if not address:
        return Finding(name, "it announces no endpoint; its owner must, or set it under peers")
    try:
        await endpoints.get(address, "/healthz")
    except EndpointError as error:
        return Finding(name, f"{error}; its operator must start it, or correct its endpoint")
    return Finding(name, note=address)


async def _finding(name: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(name, note=await check())
    except (ChainError, SdkError, KeeperError) as error:
        return Finding(name, str(error))


async def _serves(rpc: Rpc, deployment: Deployment) -> str:
    await check_chain(rpc, deployment)
    return f"chain {deployment.chain_id}, {len(deployment.contracts)} contracts"


async def _head_is_fresh(rpc: Rpc) -> str:
    age = time.time() - (await rpc.head()).timestamp
    if abs(age) > MAX_HEAD_AGE:
        raise KeeperError(
            f"the head is {abs(age):.0f} s {'old' if age > 0 else 'in the future'}; let the node "
            "sync, or set this machine's clock"
        )
    return f"{max(age, 0):.0f} s old"


async def _calendar(rpc: Rpc, deployment: Deployment) -> str:
    committee = Suite.of(deployment).committee
    found = await read(rpc, committee.genesis()), await read(rpc, committee.window())
    if found != (deployment.genesis, deployment.window):
        raise KeeperError(
            f"the committee's windows (genesis, length) are {found}, the deployment file says "
            f"{deployment.genesis, deployment.window}; correct the file"
        )
    window: int = await read(rpc, committee.current_window())
    return f"window {window}, {deployment.window} s each"


async def _check_database(settings: KeeperSettings) -> AsyncIterator[Finding]:
    """Look at the database, without changing it, and tell who has its leases."""
    try:
        missing = missing_file(settings.database)
        if missing is not None:
            _touch(missing.parent)
            yield Finding("database", note="SQLite, made at the next start")
            return
        found = await asyncio.to_thread(survey, settings.database)
    except (StoreError, KeeperError) as error:
        yield Finding("database", str(error))
        return
    yield Finding("database", note=_tables(found))
    for lease in found.leases:
        yield Finding(f"lease {lease.name}", note=_holder(lease, settings.lease))


def _tables(found: Survey) -> str:
    if found.revision is None:
        return f"{found.product}, empty; its tables are made at the next start"
    later = "; brought to the newest at the next start" if found.is_behind else ""
    return f"{found.product}, tables of revision {found.revision}{later}"


def _holder(lease: LeaseState, settings: LeaseSettings) -> str:
    if lease.is_free:
        return "free"
    # It may be this very keeper, at work while it is checked: no problem, then.
    alone = "" if settings.standby else "; a second keeper with this key needs lease.standby = true"
    return f"held by {lease.holder} for {lease.seconds:.0f} s more{alone}"


def _touch(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".check-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise KeeperError(
            f"{folder} cannot be written ({error.strerror}); choose another folder"
        ) from error


async def _writable(folder: Path) -> str:
    _touch(folder)
    return str(folder)


def _key(name: str, source: KeySource | None, *, required: bool) -> tuple[str | None, Finding]:
    if source is None:
        problem = "it is not set, and an oracle needs it; set it" if required else ""
        return None, Finding(name, problem, "not set" if not required else "")
    try:
        address = LocalSigner.from_source(source).address
    except ChainError as error:
        return None, Finding(name, str(error))
    return address, Finding(name, note=address)


async def _balance(rpc: Rpc, sender: str) -> str:
    wei = await balance_of(rpc, sender)
    if wei < LOW_BALANCE:
        raise KeeperError(f"{sender} has {wei / 10**18:.6f} for gas; fund it")
    return f"{wei / 10**18:.4f}"


async def _seat(rpc: Rpc, suite: Suite, member: str) -> str:
    seat: int = await read(rpc, suite.committee.seat_of_signer(member))
    if seat == 0:
        raise KeeperError(f"{member} has no seat; the governor must add one, or set another key")
    return f"seat {seat - 1}"
