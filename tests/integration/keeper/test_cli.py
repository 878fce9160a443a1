"""Commands against the real contracts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from keeper_support import (
    CHAIN_ID,
    DELEGATE,
    GOVERNOR,
    GUARDIAN,
    ISSUER,
    KEEPER,
    OPERATOR,
    ORACLE_KEYS,
    PAYER,
    PRICE,
    UNBOND_DELAY,
    FakeKeeper,
    LocalChain,
    Quorum,
    key_of,
    signer_of,
)

from workdeed.chain.bindings.suite import Suite
from workdeed.chain.rpc import RpcClient
from workdeed.chain.transactor import Transactor
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
        self.chain = chain
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
def shell(instant_chain: LocalChain, keeper: FakeKeeper, tmp_path: Path) -> Shell:
    return Shell(instant_chain, keeper.url, tmp_path)


@pytest.fixture
def calm_shell(calm_chain: LocalChain, keeper: FakeKeeper, tmp_path: Path) -> Shell:
    """Commands for a chain whose windows end only when a test says so."""
    return Shell(calm_chain, keeper.url, tmp_path)


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


async def test_a_payer_scales_a_job(calm_shell: Shell, quorum: Quorum) -> None:
    shell = calm_shell
    spec = shell.folder / "spec.toml"
    spec.write_text(SPEC)
    nodes = [await add_node(shell, b"node %d" % one) for one in range(2)]
    await shell.run("faucet", "20", by=PAYER)
    await shell.run("deploy", str(spec), "--windows", "5", by=PAYER)
    grown = await shell.run("scale", "1", "--slots", "2", by=PAYER)
    assert grown.splitlines()[-1] == ("job 1 has 2 slots from the next window on, deposit 0.500015")
    await quorum.place(1, nodes)
    shrunk = json.loads(
        last_json(await shell.run("scale", "1", "--slots", "1", "--json", by=PAYER))
    )
    assert shrunk == {
        "job_id": 1,
        "slots": 1,
        "released": nodes[:1],
        "deposit": "0",
        "refund": str(5 * PRICE),
    }
    (shown,) = json.loads(await shell.run("status", "1", "--json"))
    assert (shown["slots"], shown["active"], shown["locked"]) == (1, 1, str(5 * PRICE))
    grown = await shell.run("scale", "1", "--slots", "2", by=PAYER)
    named = await shell.run("scale", "1", "--slots", "1", "--release", "9", by=PAYER, code=1)
    assert "release: name 0 licenses" in named
    assert "slots: it must be at least 1, and not 2" in await shell.run(
        "scale", "1", "--slots", "2", by=PAYER, code=1
    )


async def test_a_delegate_acts_for_a_payer(calm_shell: Shell) -> None:
    shell = calm_shell
    spec = shell.folder / "spec.toml"
    spec.write_text(SPEC)
    payer, delegate = signer_of(PAYER).address, signer_of(DELEGATE).address
    await shell.run("faucet", "20", by=PAYER)
    scopes = ("--scope", "open", "--scope", "cancel")
    granted = await shell.run(
        "delegate", "grant", delegate, *scopes, "--budget", "0.6", "--days", "2", by=PAYER
    )
    assert granted.splitlines()[-1] == f"{delegate} may open, cancel with a budget of 0.6"
    opened = await shell.run("deploy", str(spec), "--windows", "5", "--for", payer, by=DELEGATE)
    assert opened.splitlines()[-1] == "job 1"
    refused = await shell.run("extend", "1", "--windows", "1", by=DELEGATE, code=1)
    assert f"its payer is {payer}" in refused
    refused = await shell.run("extend", "1", "--windows", "1", "--for", payer, by=DELEGATE, code=1)
    assert "allowance: " in refused
    refused = await shell.run("update", "1", str(spec), "--for", payer, by=DELEGATE, code=1)
    assert "this very spec" in refused
    refused = await shell.run("scale", "1", "--slots", "1", "--for", payer, by=DELEGATE, code=1)
    assert "not 1 as it is" in refused
    shown = json.loads(await shell.run("delegate", "show", payer, delegate, "--json"))
    assert (shown["scopes"], shown["budget"]) == (["open", "cancel"], "99985")
    assert "scopes: open, cancel" in await shell.run("delegate", "show", payer, delegate)
    cancelled = await shell.run("cancel", "1", "--yes", "--for", payer, by=DELEGATE)
    assert cancelled.splitlines()[-1] == "job 1 refund 0.500015"
    await shell.run("delegate", "revoke", delegate, by=PAYER)
    assert "scopes: none" in await shell.run("delegate", "show", payer, delegate)
    wrong = await shell.run("cancel", "1", "--yes", "--for", "0x1", by=DELEGATE, code=1)
    assert "--for: '0x1' is no address" in wrong


async def test_an_operator_bonds_a_license(calm_shell: Shell, quorum: Quorum) -> None:
    shell = calm_shell
    issued = await shell.run("license", "issue", signer_of(OPERATOR).address, by=ISSUER)
    license_id = issued.split()[-1]
    await link(shell, license_id, NODE_KEY)
    shown = await shell.run("license", "show", license_id)
    assert "obstacle: its bond is below the minimum" in shown
    assert "min_bond: 1" in shown
    await shell.run("faucet", "2", by=OPERATOR)
    bonded = await shell.run("license", "bond", license_id, "1.5", by=OPERATOR)
    assert bonded.splitlines()[-1] == f"license {license_id} bond 1.5"
    assert json.loads(await shell.run("license", "show", license_id, "--json"))["eligible"]
    leaving = await shell.run("license", "unbond", license_id, "0.5", by=OPERATOR)
    assert leaving.splitlines()[-1] == f"license {license_id} unbonding 0.5"
    leaving = await shell.run("license", "unbond", license_id, by=OPERATOR)
    assert leaving.splitlines()[-1] == f"license {license_id} unbonding 1.5"
    both = await shell.run("license", "unbond", license_id, "1", "--cancel", by=OPERATOR, code=1)
    assert "give one of them" in both
    early = await shell.run("license", "withdraw", license_id, by=OPERATOR, code=1)
    assert "the delay still runs" in early
    kept = await shell.run("license", "unbond", license_id, "--cancel", by=OPERATOR)
    assert kept.splitlines()[-1] == f"license {license_id} bond 1.5"
    await shell.run("license", "unbond", license_id, "0.5", by=OPERATOR)
    await quorum.wait(UNBOND_DELAY)
    withdrawn = await shell.run("license", "withdraw", license_id, by=OPERATOR)
    assert withdrawn.splitlines()[-1] == f"license {license_id} withdrawn 0.5"


async def test_an_operator_buys_licenses(calm_shell: Shell) -> None:
    shell = calm_shell
    await shell.run("faucet", "2", by=OPERATOR)
    assert "would buy 3 for 1.7" in await shell.run("license", "buy", "3", "--dry-run")
    closed = await shell.run("license", "buy", by=OPERATOR, code=1)
    assert "it is closed; the governor opens it" in closed
    await open_sale(shell.chain)
    dear = await shell.run("license", "buy", "3", "--max-cost", "1.6", by=OPERATOR, code=1)
    assert "max_cost: they cost 1700000 now" in dear
    bought = await shell.run("license", "buy", "3", by=OPERATOR)
    assert bought.splitlines()[-3:] == ["license 2", "license 3", "license 4"]
    shown = json.loads(await shell.run("license", "show", "4", "--json"))
    assert shown["owner"] == signer_of(OPERATOR).address
    await shell.run("faucet", "2", by=OPERATOR)
    over = await shell.run("license", "buy", "2", by=OPERATOR, code=1)
    assert "an account may not buy so many licenses" in over
    assert "not so many licenses left" in await shell.run(
        "license", "buy", "9", "--dry-run", code=1
    )


async def test_where_no_licenses_are_sold_an_issuer_issues_them(shell: Shell) -> None:
    assert "sells no licenses" in await shell.run("license", "buy", "--dry-run", code=1)


async def open_sale(chain: LocalChain) -> None:
    """Let the governor make the sale an issuer."""
    suite = Suite.of(chain.deployment)
    assert suite.sale is not None
    call = suite.registry.set_issuer(suite.sale.address, True)
    async with RpcClient(chain.url) as rpc:
        await Transactor(rpc, signer_of(GOVERNOR)).send_and_wait(call)


async def test_fees_and_forfeits_reach_whom_they_belong_to(
    calm_shell: Shell, quorum: Quorum, keeper: FakeKeeper
) -> None:
    shell = calm_shell
    spec = shell.folder / "spec.toml"
    spec.write_text(SPEC)
    nodes = [await add_node(shell, b"node %d" % one) for one in range(2)]
    await shell.run("faucet", "20", by=PAYER)
    await shell.run("deploy", str(spec), "--windows", "5", "--slots", "2", by=PAYER)
    await quorum.place(1, nodes)
    await quorum.to_next_window()
    await quorum.to_next_window()
    keeper.tell(*await quorum.report({(1, one): 10_000 for one in nodes}))
    claimed = await shell.run("claim", str(nodes[0]), "--job", "1", by=DELEGATE)
    assert "1\t0.080003\t" in claimed
    payee = claimed.split()[-1]
    paid = await shell.run("license", "earnings", str(nodes[0]))
    assert paid.splitlines()[1:] == [f"1\t1\t0.080003\t{payee}", "all\t1\t0.080003"]
    (told,) = json.loads(await shell.run("license", "earnings", str(nodes[0]), "--json"))
    assert told == {"job_id": 1, "payee": payee, "claims": 1, "amount": "80003"}
    refused = await shell.run("forfeit", "1", str(nodes[1]), by=DELEGATE, code=1)
    assert "claim instead" in refused
    await shell.run("trust", "blacklist", str(nodes[1]), "--reason", "1", by=GOVERNOR)
    forfeited = await shell.run("forfeit", "1", str(nodes[1]), by=DELEGATE)
    assert "payer\t0.040001" in forfeited
    again = await shell.run("forfeit", "1", str(nodes[1]), by=DELEGATE)
    assert "nothing to take" in again

    shown = json.loads(await shell.run("fees", "show", "--json"))
    assert shown["policies"] == [
        {"policy_version": 1, "fees": "40000", "flushed": "0", "waiting": "40000"}
    ]
    assert "1\t0.04\t0.04" in await shell.run("fees", "show")
    assert "the latest is 1" in await shell.run("fees", "flush", "--policy", "2", by=PAYER, code=1)
    kept = await shell.run("fees", "flush", "--policy", "1", "--no-pull", by=PAYER)
    assert kept.splitlines()[-1] == "policy 1\t0.01\t0.02\t0.01"
    sent = await shell.run("fees", "flush", by=PAYER)
    # What was forfeited to burn and treasury is in the pots as well.
    assert sent.splitlines()[-1] == "sent on\t0.01\t0.044001\t0.026001"


async def add_node(shell: Shell, seed: bytes) -> int:
    """Let the issuer and the operator bring a bonded node; return its license."""
    issued = await shell.run("license", "issue", signer_of(OPERATOR).address, by=ISSUER)
    license_id = issued.split()[-1]
    await link(shell, license_id, keccak(seed))
    await shell.run("faucet", "1", by=OPERATOR)
    await shell.run("license", "bond", license_id, "1", by=OPERATOR)
    return int(license_id)


async def link(shell: Shell, license_id: str, node_key: bytes) -> None:
    """Link a node key to a license of the operator."""
    (shell.folder / "node.key").write_text(node_key.hex())
    file = {"NODE_KEY_FILE": str(shell.folder / "node.key")}
    consent = ["license", "consent", license_id, "--key-env", "NODE_KEY", "--hours", "720"]
    signed = await asyncio.to_thread(CliRunner().invoke, root, [*consent, *shell._shared], env=file)
    text = signed.output.strip()
    await shell.run("license", "link", license_id, "--consent", text, by=OPERATOR)


def last_json(output: str) -> str:
    """Return the JSON that follows the notes on mined transactions."""
    return output[output.index("{") :]


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
    assert "nothing new in the final report" in await shell.run("claim", license_id, by=OPERATOR)
    paid = await shell.run("license", "earnings", license_id)
    assert paid == "job\tclaims\tamount\tpayee\nall\t0\t0"
    assert "no such license" in await shell.run("license", "earnings", "999", code=1)
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
