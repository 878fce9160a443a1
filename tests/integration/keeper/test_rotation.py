"""A member changes its key, by the commands of `docs/operations.md`, while the committee works."""

from __future__ import annotations

import json
import re
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from keeper_processes import KeeperProcess, Site, eventually, site_on, typed
from keeper_support import (
    GOVERNOR,
    GUARDIAN,
    ISSUER,
    OPERATOR,
    ORACLE_KEYS,
    Anvil,
    deploy,
    key_of,
    signer_of,
)

from workdeed.chain.keys import write_keystore

pytestmark = pytest.mark.anvil

OLD = signer_of(ORACLE_KEYS).address
SENDERS = GUARDIAN, ISSUER
"""Accounts that do nothing else on this chain: each keeper sends with one of its own."""
LICENSE, OTHER_LICENSE = "1", "2"
PASSPHRASE = "a passphrase"
ORACLE = """
[oracle]
enabled = true
report_idle = true
turn_seconds = 1.0
probe_interval = 0.5
probe_timeout = 0.5
"""


@pytest.fixture
async def site(anvil: Anvil, tmp_path: Path) -> AsyncIterator[Site]:
    """A committee of two, both of which a report needs."""
    chain = await deploy(anvil.url, tmp_path, oracles=2, window=8)
    async with site_on(chain, tmp_path) as made:
        yield made


@pytest.fixture
async def keepers(site: Site) -> tuple[KeeperProcess, KeeperProcess]:
    """The keeper whose key changes, and the other member's."""
    made = []
    for index, name in enumerate(("changing", "other")):
        member, sender = (
            site.key_file(f"{name}-member", ORACLE_KEYS + index),
            site.key_file(f"{name}-sender", SENDERS[index]),
        )
        made.append(site.keeper(name, f"member = {member}\nsender = {sender}", ORACLE))
    changing, other = made
    changing.add(f'[peers]\n{OTHER_LICENSE} = "http://127.0.0.1:{other.port}"')
    other.add(f'[peers]\n{LICENSE} = "http://127.0.0.1:{changing.port}"')
    for keeper in made:
        await keeper.start()
    return changing, other


async def signed_by(site: Site, keeper: KeeperProcess, members: int) -> int:
    """Wait for a report later than the latest one that so many members signed."""
    after = await site.reported()

    async def found() -> int | None:
        window = await site.reported()
        signers = await keeper.signers(window) if window > after else None
        return window if signers == members else None

    return await eventually(found)


async def test_a_member_changes_its_key_and_the_committee_goes_on(
    site: Site, keepers: tuple[KeeperProcess, KeeperProcess]
) -> None:
    changing, other = keepers
    config, state = changing.config, changing.config.parent / "state"
    old_journal = state / f"signing-{OLD}.journal"
    await site.type("license", "link", LICENSE, "--node-key-env", "OLD", by=OPERATOR, OLD=old_key())

    before = await signed_by(site, other, 2)
    seat = (await checked(config))["seat"].removeprefix("seat ")

    # The operator makes a key beside the old one; its consent goes to the license's owner.
    keystore = config.parent / "member-2.json"
    new = write_keystore(keystore, secrets.token_bytes(32), PASSPHRASE)
    consent = await site.type(
        "license", "consent", LICENSE, "--keystore", str(keystore), WORKDEED_PASSPHRASE=PASSPHRASE
    )
    await site.type("license", "unlink", LICENSE, by=OPERATOR)
    await site.type("license", "link", LICENSE, "--consent", consent, by=OPERATOR)

    # The governor takes the seat away; the committee goes on without it.
    await site.type("governance", "propose", "unseat", seat, by=GOVERNOR)
    over = await signed_by(site, other, 1)
    assert over > before

    async def unseated() -> bool:
        _, ready = await changing.ask("/readyz")
        return ready["troubles"]["committee"] == f"the member key {OLD} has no seat"

    # It looks at the chain at a pace of its own.
    await eventually(unseated)
    signed = old_journal.read_bytes()

    # It gives one to the new key; the operator sets that and starts the keeper again.
    await site.type("governance", "propose", "seat", LICENSE, by=GOVERNOR)
    assert await changing.end(signal.SIGTERM) == 0
    text = config.read_text()
    line = f'member = {{ keystore = "{keystore}", passphrase_env = "MEMBER_PASSPHRASE" }}'
    config.write_text(re.sub(r"member = \{[^}]*\}", line, text, count=1))
    changing.environment["MEMBER_PASSPHRASE"] = PASSPHRASE
    await changing.start()
    after = await signed_by(site, other, 2)
    assert after > over

    found = await checked(config, MEMBER_PASSPHRASE=PASSPHRASE)
    assert (found["keys.member"], found["seat"]) == (new, f"seat {seat}")
    shown = await typed(
        "keeper", "journal", "show", "--config", str(config), MEMBER_PASSPHRASE=PASSPHRASE
    )
    assert f"signed roots of {new}" in shown
    assert (state / f"signing-{new}.journal").exists()
    assert old_journal.read_bytes() == signed
    holder, member = await site.view(lambda suite: suite.committee.seat(int(seat)))
    assert (holder, member) == (int(LICENSE), new)
    record = await site.view(lambda suite: suite.committee.member_of(OLD))
    assert (record.license_id, record.ended_at > 0) == (int(LICENSE), True)


async def checked(config: Path, **environment: str) -> dict[str, str]:
    """Return what `workdeed check` finds, which has to be in order."""
    found = json.loads(await typed("check", "--config", str(config), "--json", **environment))
    return {one["name"]: one["text"] for one in found}


def old_key() -> str:
    """Return the key that the member had, as a variable holds it."""
    return key_of(ORACLE_KEYS).hex()
