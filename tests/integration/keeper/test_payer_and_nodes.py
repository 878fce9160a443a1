"""What payers type about secrets and running jobs: real contracts, nodes of straw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner
from keeper_support import (
    DELEGATE,
    OPERATOR,
    PAYER,
    FakeKeeper,
    LocalChain,
    Quorum,
    key_of,
    signer_of,
)
from test_cli import SPEC, Shell, add_node

from workdeed.chain.bindings.suite import Suite
from workdeed.cli.root import root
from workdeed.intent import parse_spec
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import NodeProfile, Resources, sign
from workdeed.protocol.noderequest import (
    InspectionReply,
    LogReply,
    NodeRequest,
    PluginReply,
    ServicePort,
)
from workdeed.protocol.sealing import Owner, open_box
from workdeed.protocol.signing import address_of, public_key_of

pytestmark = pytest.mark.anvil

SECRET_SPEC = SPEC.replace(
    "[source.git]", '[env]\nTOKEN = { secret = "api-token" }\n\n[source.git]'
)
VALUE = "s3cret word"


class StrawNode:
    """Answers as a node of one license, and checks what it is asked by signature."""

    def __init__(self, chain: LocalChain, license_id: int, seed: bytes) -> None:
        self.license_id = license_id
        self.key = keccak(seed)
        self.asked: list[NodeRequest] = []
        self.output = b""
        self.refuses = ""
        self._domain = chain.deployment.domain(COMMITTEE_DOMAIN)
        unsigned = NodeProfile(
            chain_id=chain.deployment.chain_id,
            license_id=license_id,
            node=address_of(self.key),
            resources=Resources(cpu_milli=1_000, memory_mb=1_000, storage_mb=1_000),
            tags=(),
            runners=("war",),
            public_key=public_key_of(self.key),
        )
        self.profile = sign(unsigned, self._domain, self.key)
        app = web.Application()
        app.add_routes(
            [web.get("/profile", self._show), web.post("/requests", self._do)],
        )
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    async def _show(self, _: web.Request) -> web.Response:
        return web.Response(body=self.profile.canonical())

    async def _do(self, request: web.Request) -> web.Response:
        asked = NodeRequest.parse(await request.read())
        asked.verify(self._domain)
        self.asked.append(asked)
        if self.refuses:
            body = json.dumps({"error": self.refuses, "field": "account"})
            return web.Response(text=body, status=403)
        if asked.action == "logs":
            start = int(asked.argument or 0)
            piece = self.output[start : start + 8]
            return self._reply(LogReply(data=piece, cursor=str(start + len(piece))).to_json())
        if asked.action == "inspect":
            return self._reply(self._inspection(asked).to_json())
        if asked.action in ("command", "configure"):
            data = b'{"applied":true}' if asked.action == "configure" else b'"Hello\\u001b"'
            return self._reply(PluginReply(data=data).to_json())
        return self._reply(b'{"state": "running"}')

    @staticmethod
    def _reply(body: bytes) -> web.Response:
        return web.Response(body=body)

    @staticmethod
    def _inspection(asked: NodeRequest) -> InspectionReply:
        return InspectionReply(
            revision=asked.revision,
            service=asked.service,
            state="unhealthy",
            reason="HTTP 500\x1b[31m",
            version="0" * 40,
            cpu_ms=1_540,
            memory_bytes=25_000_000,
            disk_bytes=1_000_000,
            processes=3,
            restarts=2,
            ports=(ServicePort(name="main", port=8_080),),
        )


@pytest.fixture
async def shell(calm_chain: LocalChain, keeper: FakeKeeper, tmp_path: Path) -> Shell:
    return Shell(calm_chain, keeper.url, tmp_path)


@pytest.fixture
async def nodes(shell: Shell, quorum: Quorum, keeper: FakeKeeper) -> AsyncIterator[list[StrawNode]]:
    """Three nodes, bonded and announced, that the keeper shows in this order."""
    made = []
    for index in range(3):
        seed = b"straw node %d" % index
        node = StrawNode(shell.chain, await add_node(shell, seed), seed)
        await node.server.start_server()
        await shell.run("license", "profile", str(node.license_id), node.url, by=OPERATOR)
        made.append(node)
    keeper.profiles = [one.profile for one in made]
    await shell.run("faucet", "20", by=PAYER)
    yield made
    for node in made:
        await node.server.close()


async def opened(shell: Shell, keeper: FakeKeeper, node: StrawNode) -> dict[str, str] | None:
    """Return what a node can open of the spec that stands on chain for job 1."""
    (shown,) = json.loads(await shell.run("status", "1", "--json"))
    spec = parse_spec(keeper.specs[shown["spec_hash"]])
    assert spec.secrets is not None
    box = spec.secrets.by_license.get(node.license_id)
    if box is None:
        return None
    suite = Suite.of(shell.chain.deployment)
    owner = Owner(shell.chain.deployment.chain_id, suite.escrow.address, signer_of(PAYER).address)
    return open_box(node.key, box.box, owner)


async def test_secrets_from_the_first_deploy_to_an_update_by_a_delegate(
    shell: Shell, nodes: list[StrawNode], keeper: FakeKeeper, quorum: Quorum
) -> None:
    spec, word = shell.folder / "spec.toml", shell.folder / "word"
    spec.write_text(SECRET_SPEC)
    word.write_text(f"{VALUE}\n")
    deploy = ("deploy", str(spec), "--windows", "5")
    secret = ("--secret", f"api-token=@{word}")

    assert "deposit" in await shell.run("quote", str(spec), "--windows", "5")
    assert "would open" in await shell.run(*deploy, "--dry-run")
    missing = await shell.run(*deploy, by=PAYER, code=1)
    assert "the spec uses api-token; give its value with --secret api-token" in missing
    few = await shell.run(*deploy, *secret, "--spares", "3", by=PAYER, code=1)
    assert "3 nodes could take the job and 4 are wanted" in few

    done = await shell.run(*deploy, *secret, "--spares", "1", by=PAYER)
    first, second, third = nodes
    assert f"sealed for license {first.license_id}, {second.license_id}" in done
    assert await opened(shell, keeper, first) == {"api-token": VALUE}
    assert await opened(shell, keeper, second) == {"api-token": VALUE}
    assert await opened(shell, keeper, third) is None
    assert not any(VALUE.encode() in data for data in keeper.specs.values())

    # Whoever updates the spec need not know the values.
    await quorum.place(1, [second.license_id])
    scope = ("--scope", "revise", "--budget", "0", "--days", "2")
    await shell.run("delegate", "grant", signer_of(DELEGATE).address, *scope, by=PAYER)
    spec.write_text(SECRET_SPEC.replace('"hello"', '"hello-2"'))
    payer = signer_of(PAYER).address
    done = await shell.run("update", "1", str(spec), "--for", payer, by=DELEGATE)
    assert done.splitlines()[-1] == "job 1 revision 1"
    assert await opened(shell, keeper, first) == {"api-token": VALUE}

    # Sealed anew for the one in place and a spare, which now is the best of the others.
    await quorum.to_next_window()
    word.write_text("another")
    keeper.profiles = [third.profile, second.profile, first.profile]
    await shell.run("update", "1", str(spec), *secret, "--spares", "1", by=PAYER)
    assert await opened(shell, keeper, first) is None
    for node in (second, third):
        assert await opened(shell, keeper, node) == {"api-token": "another"}


class TestRunningJob:
    @pytest.fixture(autouse=True)
    async def job(self, shell: Shell, nodes: list[StrawNode], quorum: Quorum) -> None:
        spec = shell.folder / "spec.toml"
        spec.write_text(SPEC)
        await shell.run("deploy", str(spec), "--slots", "2", "--windows", "5", by=PAYER)
        await quorum.place(1, [one.license_id for one in nodes[:2]])

    async def test_logs_of_all_replicas_are_shown_by_line_and_license(
        self, shell: Shell, nodes: list[StrawNode]
    ) -> None:
        first, second, third = nodes
        first.output = b"one\n\x1b]0;title\x07two\nno end"
        second.output = "grüße\n".encode()
        shown = await shell.run("logs", "1", by=PAYER)
        a, b = first.license_id, second.license_id
        assert shown.splitlines() == [
            f"license {a} | one",
            f"license {a} | \\x1b]0;title\\x07two",
            f"license {b} | grüße",
            f"license {a} | no end",
        ]
        only = await shell.run("logs", "1", "--license", str(b), "--service", "cache", by=PAYER)
        assert only == "grüße"
        assert {one.account for one in first.asked} == {signer_of(PAYER).address}
        assert second.asked[-1].service == "cache"
        assert third.asked == []

    async def test_logs_are_followed_by_cursor(
        self, shell: Shell, nodes: list[StrawNode], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = nodes[0]
        first.output = b"one\n"
        rounds = []

        async def pause(seconds: float) -> None:
            rounds.append(seconds)
            first.output += b"round %d\n" % len(rounds)
            first.refuses = "down" if len(rounds) == 2 else ""
            if len(rounds) > 3:
                raise KeyboardInterrupt

        monkeypatch.setattr("workdeed.cli.workloads.asyncio.sleep", pause)
        words = ["logs", "1", "--follow", "--license", str(first.license_id), *shell._shared]
        env = {"WORKDEED_PRIVATE_KEY": key_of(PAYER).hex()}
        result = await asyncio.to_thread(CliRunner().invoke, root, words, env=env)
        lines = [line for line in result.output.splitlines() if "round" in line or line == "one"]
        assert lines[:4] == ["one", "round 1", "round 2", "round 3"]
        assert result.output.count("down") == 1

    async def test_replicas_are_restarted_stopped_and_resumed(
        self, shell: Shell, nodes: list[StrawNode]
    ) -> None:
        first, second, _ = nodes
        for action, done in (("restart", "restarted"), ("stop", "stopped"), ("resume", "resumed")):
            shown = await shell.run(action, "1", by=DELEGATE)
            assert shown.splitlines() == [
                f"job 1 license {one.license_id} main {done}" for one in (first, second)
            ]
            for node in (first, second):
                asked = node.asked[-1]
                assert (asked.action, asked.job_id, asked.revision) == (action, 1, 0)
                assert asked.license_id == node.license_id
                assert asked.account == signer_of(DELEGATE).address

    async def test_native_plugins_are_commanded_and_configured(
        self, shell: Shell, nodes: list[StrawNode]
    ) -> None:
        first, second, _ = nodes
        shown = await shell.run("command", "1", "greet", '{"name": "Ada"}', by=DELEGATE)
        assert [json.loads(line) for line in shown.splitlines()] == [
            {"license_id": one.license_id, "reply": "Hello\x1b"} for one in (first, second)
        ]
        assert "\x1b" not in shown
        assert json.loads(first.asked[-1].argument) == {
            "instance": "main",
            "command": "greet",
            "arguments": {"name": "Ada"},
        }
        config = shell.folder / "config.json"
        config.write_text('{"greeting": "Salut"}')
        to = ("--instance", "french", "--license", str(second.license_id))
        shown = await shell.run("configure", "1", f"@{config}", *to, by=PAYER)
        assert shown.strip() == f"job 1 license {second.license_id} main.french configured"
        assert json.loads(second.asked[-1].argument) == {
            "instance": "french",
            "config": {"greeting": "Salut"},
        }
        assert first.asked[-1].action == "command"

    async def test_what_one_node_refuses_the_others_do_all_the_same(
        self, shell: Shell, nodes: list[StrawNode]
    ) -> None:
        first, second, _ = nodes
        first.refuses = "0xab may not ask for stop"
        shown = await shell.run("stop", "1", by=DELEGATE, code=1)
        assert f"job 1 license {second.license_id} main stopped" in shown
        assert "may not ask for stop" in shown

    async def test_replicas_are_inspected(self, shell: Shell, nodes: list[StrawNode]) -> None:
        shown = await shell.run("inspect", "1", by=PAYER)
        assert "\x1b" not in shown
        row = shown.splitlines()[1].split("\t")
        assert row == [
            str(nodes[0].license_id),
            "unhealthy",
            "0" * 12,
            "2",
            "1.5",
            "25.0",
            "1.0",
            "3",
            "main:8080",
            r"HTTP 500\x1b[31m",
        ]
        found = json.loads(await shell.run("inspect", "1", "--json", by=PAYER))
        assert [one["license_id"] for one in found] == [one.license_id for one in nodes[:2]]
        assert found[0]["ports"] == [{"name": "main", "port": 8_080}]

    async def test_a_job_that_is_nowhere_has_nothing_to_ask(self, shell: Shell) -> None:
        spec = shell.folder / "spec.toml"
        await shell.run("deploy", str(spec), "--windows", "5", by=PAYER)
        assert "no license is in place" in await shell.run("logs", "2", by=PAYER, code=1)
        assert "no such job" in await shell.run("stop", "9", by=PAYER, code=1)
