"""Set the stage: a chain, contracts, a repository, licensed nodes, oracles, and who pays."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.markup import escape

from scripts._demo.containers import Host, NoContainersError, borrow
from scripts._demo.ports import free_port, free_ports
from scripts._demo.processes import Crew, run_keeper, run_node
from scripts._demo.specs import git_spec
from workdeed.chain.deployment import Deployment, load_deployment
from workdeed.chain.errors import ChainError
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.intent.spec import Spec
from workdeed.node.run import profile_of
from workdeed.node.settings import load_settings as load_node_settings
from workdeed.protocol.signing import address_of
from workdeed.sdk.client import Client

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "hello-service"
PRESET = ROOT / "deployments" / "presets" / "local.toml"
CHAIN_ID = 31_337
ACCOUNTS = 24
MNEMONIC = "test test test test test test test test test test test junk"
"""The well-known accounts of every local chain; the preset gives them their roles."""

ISSUER, PAYER = 3, 8
ORACLE_OWNERS, MEMBERS = (4, 5, 6, 7), (10, 11, 12, 13)
OPERATORS = (14, 15, 16, 17, 18)
WITHOUT_ENGINE = OPERATORS[-1]
"""The operator whose node has no container engine, wherever there is one."""
SENDERS = (19, 20, 21, 22)
NO_ENGINE = "enabled = false"
FUNDS = 1_000 * 10**6
FOREVER = 2**40
READY_SECONDS = 90.0

Say = Callable[[str], None]


class DemoError(Exception):
    """The demo cannot go on; the text says why in one sentence."""


@dataclass
class Stage:
    """What the story plays on.

    Attributes:
        spec: of the jobs that run a commit.
        host: the container engine, None where no job can run an image; `no_host` says why.
        open: closes every connection.
        nodes: endpoint of each node license, by license id.
        keepers: endpoint of each oracle license, by license id.
        runners: what each node offers to run, by license id.

    """

    folder: Path
    crew: Crew
    rpc_url: str
    deployment: Deployment
    spec: Spec
    host: Host | None
    no_host: str
    open: AsyncExitStack
    nodes: dict[int, str] = field(default_factory=dict)
    keepers: dict[int, str] = field(default_factory=dict)
    runners: dict[int, tuple[str, ...]] = field(default_factory=dict)
    payer: Client | None = None

    def rpc(self) -> RpcClient:
        """Return a client of the chain, closed with the stage."""
        rpc = RpcClient(self.rpc_url)
        self.open.push_async_callback(rpc.close)
        return rpc


def account_key(index: int) -> bytes:
    """Return the private key of a well-known test account."""
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    return bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key)


async def set_stage(
    crew: Crew, say: Say, connections: AsyncExitStack, sockets: Sequence[str]
) -> Stage:
    """Start everything and return once all of it is ready.

    Args:
        crew: starts the processes.
        say: tells the person in front of it.
        connections: closes what is opened here.
        sockets: where a container engine may listen.

    Raises:
        DemoError: if a part does not come up; the text names its log.

    """
    folder, port = crew.folder, free_port()
    rpc_url = f"http://127.0.0.1:{port}"
    start_chain(crew, port)
    crew.warm_up()
    say(f"a local chain runs at {rpc_url}, a block each second")
    deployment, (url, commit), (host, no_host) = await asyncio.gather(
        deploy(folder, rpc_url),
        asyncio.to_thread(make_repository, folder / "hello.git"),
        find_host(folder, sockets),
    )
    say(f"contracts deployed; {EXAMPLE.name} served from git at commit {commit[:12]}")
    spec = git_spec(url, commit)
    stage = Stage(folder, crew, rpc_url, deployment, spec, host, no_host, connections)
    announce_oracles(stage)
    start_oracles(stage)
    await onboard(stage, say)
    say(tell_host(stage))
    start_nodes(stage)
    say(f"started {len(stage.nodes)} nodes and {len(stage.keepers)} oracles, a process each")
    await wait_until_ready(stage)
    say("every process is ready and the oracles see each other")
    return stage


async def find_host(folder: Path, sockets: Sequence[str]) -> tuple[Host | None, str]:
    """Return the container engine for a job that runs an image, or why there is none."""
    try:
        return await asyncio.to_thread(borrow, folder, sockets, free_port()), ""
    except NoContainersError as error:
        return None, str(error)


def tell_host(stage: Stage) -> str:
    """Say in one line which nodes run images, or why none does."""
    if stage.host is None:
        return f"without a job that runs an image: {escape(stage.no_host)}"
    able = ", ".join(str(one) for one, names in sorted(stage.runners.items()) if "car" in names)
    return f"{stage.host.engine} runs images for the nodes of license {able}"


def start_chain(crew: Crew, port: int) -> None:
    """Start anvil; raises `DemoError` if it is not installed."""
    binary = shutil.which("anvil") or str(ROOT / "node_modules" / ".bin" / "anvil")
    if not Path(binary).exists():
        raise DemoError("anvil: it is not installed; run `make setup`")
    options = ["--hardfork", "cancun", "--block-time", "1", "--accounts", str(ACCOUNTS)]
    crew.run("anvil", [binary, "--silent", "--port", str(port), *options])


async def deploy(folder: Path, rpc_url: str) -> Deployment:
    """Deploy with `ape run deploy`, as on any network."""
    await _until(lambda: _answers(rpc_url), 30.0, "anvil: it does not answer")
    record = folder / "deployment.json"
    ape = str(Path(sys.executable).with_name("ape"))
    process = await asyncio.create_subprocess_exec(
        *(ape, "run", "deploy", "--network", rpc_url, "--yes"),
        *("--parameters", str(PRESET), "--output", str(record)),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / "deploy.log").write_bytes(output)
    if process.returncode != 0:
        last = output.decode(errors="replace").strip().splitlines()[-1:]
        raise DemoError(f"deployment failed: {' '.join(last)}")
    return load_deployment(record, CHAIN_ID)


def make_repository(path: Path) -> tuple[str, str]:
    """Commit the example to a new repository; return its address and the commit."""
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(EXAMPLE, path, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "payer"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "payer@localhost"),
    }

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(path), *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    git("add", ".")
    git("commit", "--quiet", "--message", "Serve a greeting")
    return f"file://{path}", git("rev-parse", "HEAD")


def announce_oracles(stage: Stage) -> None:
    """Choose where each oracle answers."""
    for license_id, port in enumerate(free_ports(len(ORACLE_OWNERS)), start=1):
        stage.keepers[license_id] = f"http://127.0.0.1:{port}"


async def onboard(stage: Stage, say: Say) -> None:
    """Attest payer and operators, issue and link the nodes, announce where all answer."""
    ports = free_ports(len(OPERATORS))
    issuer = await connect(stage, ISSUER)
    licenses = [await issuer.issue_license(address_of(account_key(index))) for index in OPERATORS]
    await asyncio.gather(
        attest_everyone(issuer),
        fund_payer(stage),
        *(
            bring_node(stage, owner, license_id, port)
            for owner, license_id, port in zip(OPERATORS, licenses, ports, strict=False)
        ),
        *(
            announce_oracle(stage, owner, license_id)
            for license_id, owner in enumerate(ORACLE_OWNERS, start=1)
        ),
    )
    say(f"1 payer verified and funded, {len(licenses)} nodes licensed, 4 oracles seated")


async def attest_everyone(issuer: Client) -> None:
    """Let the issuer verify the payer and the operators."""
    for index in (PAYER, *OPERATORS):
        await issuer.attest(address_of(account_key(index)), 1, FOREVER, bytes(32))


async def fund_payer(stage: Stage) -> None:
    """Connect the payer and take test dollars."""
    stage.payer = await connect(stage, PAYER, keepers=tuple(stage.keepers.values()))
    await stage.payer.faucet(FUNDS)


async def connect(stage: Stage, account: int, keepers: Sequence[str] = ()) -> Client:
    """Return the client of a test account."""
    signer = LocalSigner(account_key(account))
    client = await Client.connect(
        stage.rpc(), stage.deployment, signer, keepers=keepers, allow_private=True
    )
    stage.open.push_async_callback(client.close)
    return client


async def bring_node(stage: Stage, owner: int, license_id: int, port: int) -> None:
    """Link a new node key to a license and announce the node's signed profile."""
    folder = stage.folder / f"node-{license_id}"
    engine = NO_ENGINE
    if stage.host is not None and owner != WITHOUT_ENGINE:
        engine = f'socket = "{stage.host.socket}"'
    config = write_node_config(stage, folder, license_id, port, engine)
    # In a thread, as it runs an event loop of its own.
    profile = await asyncio.to_thread(profile_of, load_node_settings(config))
    client = await connect(stage, owner)
    endpoint = f"http://127.0.0.1:{port}"
    await client.link_node(license_id, LocalSigner(_read_key(folder / "node.key")), FOREVER)
    await client.set_profile(license_id, endpoint, profile.profile_hash)
    stage.nodes[license_id] = endpoint
    stage.runners[license_id] = profile.runners


async def announce_oracle(stage: Stage, owner: int, license_id: int) -> None:
    """Announce where an oracle answers."""
    client = await connect(stage, owner)
    await client.set_profile(license_id, stage.keepers[license_id], bytes(32))


def write_key(path: Path, key: bytes) -> None:
    """Write a development key that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("0x" + key.hex())


def _read_key(path: Path) -> bytes:
    return bytes.fromhex(path.read_text().removeprefix("0x"))


def write_node_config(stage: Stage, folder: Path, license_id: int, port: int, engine: str) -> Path:
    """Write a node's configuration and a new node key; return the configuration.

    Args:
        stage: where the chain and the oracles are.
        folder: the node's own; made if it is missing.
        license_id: that the key is or will be linked to.
        port: where the agent listens.
        engine: a line for the table `node.container`.

    """
    write_key(folder / "node.key", os.urandom(32))
    keepers = ", ".join(f'"{url}"' for url in stage.keepers.values())
    path = folder / "node.toml"
    path.write_text(
        f"""[node]
chain_id = {CHAIN_ID}
rpc_urls = ["{stage.rpc_url}"]
min_rpcs = 1
deployment = "../deployment.json"
license_id = {license_id}
port = {port}
state_dir = "state"
allow_unsandboxed = true
allow_private_endpoints = true
overcommit = true
poll_seconds = 0.5
stop_seconds = 2.0
stop_workloads_on_exit = true
oracle_urls = [{keepers}]

[node.key]
private_key_file = "node.key"

[node.container]
{engine}

[node.resources]
cpu_milli = 2000
memory_mb = 2048
storage_mb = 4096
"""
    )
    return path


def write_keeper_config(stage: Stage, folder: Path, index: int) -> Path:
    """Write an oracle's configuration; member and sender keys are well-known test keys."""
    write_key(folder / "sender.key", account_key(SENDERS[index]))
    write_key(folder / "member.key", account_key(MEMBERS[index]))
    port = stage.keepers[index + 1].rpartition(":")[2]
    path = folder / "keeper.toml"
    path.write_text(
        f"""database = "keeper.db"
state_dir = "state"
allow_private_endpoints = true

[chain]
rpc_urls = ["{stage.rpc_url}"]
chain_id = {CHAIN_ID}
deployment = "../deployment.json"
confirmations = 0
poll_seconds = 0.5

[keys.sender]
private_key_file = "sender.key"

[keys.member]
private_key_file = "member.key"

[http]
port = {port}

[oracle]
enabled = true
turn_seconds = 1.5
probe_interval = 1.0
probe_timeout = 1.0
open_windows = 2

[placement]
k = 2

[log]
format = "console"
"""
    )
    return path


def start_nodes(stage: Stage) -> None:
    """Start every node as a process of its own."""
    for license_id in stage.nodes:
        config = stage.folder / f"node-{license_id}" / "node.toml"
        stage.crew.fork(f"node-{license_id}", run_node, config)


def start_oracles(stage: Stage) -> None:
    """Start every oracle as a process of its own; they find each other once they are announced."""
    for license_id in stage.keepers:
        config = write_keeper_config(stage, stage.folder / f"oracle-{license_id}", license_id - 1)
        stage.crew.fork(f"oracle-{license_id}", run_keeper, config)


async def wait_until_ready(stage: Stage) -> None:
    """Wait until every process says that it is ready."""
    async with aiohttp.ClientSession() as session:

        async def ready() -> bool:
            lost = stage.crew.lost()
            if lost:
                raise DemoError(f"{lost[0]} ended; see {stage.crew.logs(lost[0])}")
            urls = [*stage.nodes.values(), *stage.keepers.values()]
            answers = await asyncio.gather(*(_status(session, f"{url}/readyz") for url in urls))
            return all(answer == 200 for answer in answers)

        await _until(ready, READY_SECONDS, "a process is not ready; see the logs of the demo")


async def read_json(session: aiohttp.ClientSession, url: str) -> Any:
    """Return what a process answers, None if it does not."""
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
            return await response.json() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


async def _status(session: aiohttp.ClientSession, url: str) -> int:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return 0


async def _answers(rpc_url: str) -> bool:
    rpc = RpcClient(rpc_url)
    try:
        return await rpc.chain_id() == CHAIN_ID
    except ChainError:
        return False
    finally:
        await rpc.close()


async def _until(condition: Callable[[], Awaitable[bool]], seconds: float, failure: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await condition():
        if loop.time() > deadline:
            raise DemoError(failure)
        await asyncio.sleep(0.1)
