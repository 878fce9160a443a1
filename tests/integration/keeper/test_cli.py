"""Commands against the real contracts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result
from keeper_support import (
    CHAIN_ID,
    GOVERNOR,
    GUARDIAN,
    ISSUER,
    KEEPER,
    OPERATOR,
    ORACLE_KEYS,
    PAYER,
    LocalChain,
    key_of,
    signer_of,
)

from workdeed.cli.root import root
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of

pytestmark = pytest.mark.anvil

NODE_KEY = keccak(b"node key")
SPEC = """
name = "hello"
class_id = 1
runner = "war"
run = ["python3", "server.py"]

[source.git]
url = "https://example.org/hello"
commit = "0000000000000000000000000000000000000000"

[resources]
cpu_milli = 100
memory_mb = 64
storage_mb = 64
"""


class Shell:
    """Types commands for one chain."""

    def __init__(self, chain: LocalChain, keeper: str, folder: Path) -> None:
        self._shared = ["--network", str(chain.file), "--rpc", chain.url, "--keeper", keeper]
        self.folder = folder

    async def run(self, *arguments: str, by: int | None = None, code: int = 0) -> str:
        """Run a command that sends from an account; return what it prints."""
        words = [*arguments, *self._shared]
        env = {} if by is None else {"WORKDEED_PRIVATE_KEY": key_of(by).hex()}
        # A thread of its own: the command runs its own event loop, as on a command line.
        result: Result = await asyncio.to_thread(CliRunner().invoke, root, words, env=env)
        assert result.exit_code == code, result.output
        return result.output.strip()


@pytest.fixture
async def shell(instant_chain: LocalChain, tmp_path: Path) -> AsyncIterator[Shell]:
    async def take(_: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.put("/specs/{hash}", take)])
    server = TestServer(app)
    await server.start_server()
    yield Shell(instant_chain, f"http://127.0.0.1:{server.port}", tmp_path)
    await server.close()


async def test_a_payer_types_the_life_of_a_job(shell: Shell) -> None:
    spec = shell.folder / "spec.toml"
    spec.write_text(SPEC)
    assert "balance 2" in await shell.run("faucet", "2", by=PAYER)
    quote = await shell.run("quote", str(spec), "--windows", "5", "--slots", "2")
    assert "deposit: 1.00003" in quote
    dry = await shell.run("deploy", str(spec), "--windows", "5", "--dry-run")
    assert "would open a job with a deposit of 0.500015" in dry
    job = await shell.run("deploy", str(spec), "--windows", "5", "--max-price", "0.2", by=PAYER)
    assert job.splitlines()[-1] == "job 1"
    refused = await shell.run(
        "deploy", str(spec), "--windows", "5", "--max-price", "0.1", by=PAYER, code=1
    )
    assert "max_price" in refused
    assert "waits to start" in await shell.run("extend", "1", "--windows", "1", by=PAYER)
    spec.write_text(SPEC.replace('"hello"', '"hello-2"'))
    assert "job 1 revision 1" in await shell.run("update", "1", str(spec), by=PAYER)
    (shown,) = json.loads(await shell.run("status", "--json"))
    assert (shown["state"], shown["revision"], shown["locked"]) == ("waiting", 1, "600018")
    assert "no such job" in await shell.run("status", "9", code=1)
    assert "the job has not started" in await shell.run("close", "1", "--request", by=PAYER, code=1)
    cancelled = await shell.run("cancel", "1", "--yes", by=PAYER)
    assert cancelled.splitlines()[-1] == "job 1 refund 0.600018"
    assert "\tclosed\t" in await shell.run("status", "1")


async def test_people_of_trust_and_licenses(shell: Shell) -> None:
    operator = signer_of(OPERATOR).address
    issued = await shell.run("license", "issue", operator, by=ISSUER)
    license_id = issued.split()[-1]
    refused = await shell.run("license", "issue", operator, by=OPERATOR, code=1)
    assert "only an issuer may do this (roles: not an issuer)" in refused
    node_file = shell.folder / "node.key"
    node_file.write_text(NODE_KEY.hex())
    consent = await shell.run("license", "consent", license_id, "--key-env", "NODE_KEY", code=1)
    assert "NODE_KEY" in consent
    result = await asyncio.to_thread(
        CliRunner().invoke,
        root,
        ["license", "consent", license_id, "--key-env", "NODE_KEY", *shell._shared],
        env={"NODE_KEY_FILE": str(node_file)},
    )
    linked = await shell.run(
        "license", "link", license_id, "--consent", result.output.strip(), by=OPERATOR
    )
    assert linked.splitlines()[-1] == f"license {license_id} node {address_of(NODE_KEY)}"
    await shell.run(
        "license", "profile", license_id, "http://127.0.0.1:1", "--no-profile", by=OPERATOR
    )
    await shell.run("license", "payout", license_id, signer_of(PAYER).address, by=OPERATOR)
    shown = json.loads(await shell.run("license", "show", license_id, "--json"))
    assert shown["eligible"] is True
    assert shown["payout"] == signer_of(PAYER).address
    await shell.run("license", "payout", license_id, by=OPERATOR)
    await shell.run("trust", "attest", operator, "--level", "2", by=ISSUER)
    assert json.loads(await shell.run("trust", "show", operator, "--json"))["level"] == 2
    await shell.run("trust", "freeze", license_id, "--reason", "1", by=GUARDIAN)
    await shell.run("trust", "suspend", operator, "--days", "2", "--reason", "1", by=GOVERNOR)
    await shell.run("trust", "blacklist", operator, "--reason", "1", by=GOVERNOR)
    assert "blacklisted" in await shell.run("trust", "show", operator)
    await shell.run("trust", "reinstate", operator, by=GOVERNOR)
    await shell.run("trust", "revoke", operator, by=ISSUER)
    assert "nothing to collect" in await shell.run("claim", license_id, by=OPERATOR, code=1)
    held = await shell.run("license", "unlink", license_id, by=OPERATOR, code=1)
    assert "not in good standing" in held
    await shell.run("trust", "reinstate", license_id, by=GOVERNOR)
    await shell.run("license", "unlink", license_id, by=OPERATOR)


async def test_check_tells_what_to_mend(
    shell: Shell, instant_chain: LocalChain, tmp_path: Path
) -> None:
    assert "MEND" not in await shell.run("check")
    member, sender = tmp_path / "member.key", tmp_path / "sender.key"
    member.write_text(key_of(ORACLE_KEYS).hex())
    sender.write_text(key_of(KEEPER).hex())
    config = tmp_path / "keeper.toml"
    text = f"""
database = "keeper.db"
state_dir = "state"
allow_private_endpoints = true

[chain]
rpc_urls = ["{instant_chain.url}"]
chain_id = {CHAIN_ID}
deployment = "{instant_chain.file}"

[keys]
sender = {{ private_key_file = "sender.key" }}
member = {{ private_key_file = "member.key" }}

[oracle]
enabled = true
"""
    config.write_text(text)
    found = json.loads(await shell.run("check", "--config", str(config), "--json"))
    assert {one["name"] for one in found} >= {"deployment", "calendar", "database", "seat"}
    assert all(one["ok"] for one in found)
    member.write_text(keccak(b"stranger").hex())
    sender.write_text(keccak(b"poor").hex())
    wrong = await shell.run("check", "--config", str(config), code=1)
    assert "has no seat" in wrong
    assert "fund it" in wrong
    # The seated member is now a peer, and nobody answers for it.
    assert "announces no endpoint" in wrong
    assert "3 of 11 checks failed" in wrong
