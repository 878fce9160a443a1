"""A chain that tests can bend, served over JSON-RPC; git repositories; waiting."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from eth_abi.abi import decode, encode

from workdeed.intent import encode_spec, load_spec, spec_hash
from workdeed.node.chain_view import OPEN_END
from workdeed.node.run import Node
from workdeed.node.settings import NodeSettings
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of, to_checksum

NODE_KEY = keccak(b"node key")
ESCROW = "0x" + "E5" * 20
LICENSES = "0x" + "11" * 20
COMMITTEE = "0x" + "C0" * 20
DESK = "0x" + "DE" * 20
TARIFF = "0x" + "7A" * 20
LICENSE_ID = 7
CHAIN_ID = 31_337
WINDOW_SECONDS = 1_000
STATES = 128
"""Blocks whose state an RPC still knows; as many as real ones, so that a slow agent finds it."""
PAYER = "0x" + "aa" * 20

JOB = 3

JOB_TYPE = (
    "(address,bytes32,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,"
    "uint256,uint256,uint256,uint256,uint256,bool,bool,bool,uint256)"
)

CLASS_TYPE = "(uint256,uint256,uint256,uint256,bool,bool)"


def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


@dataclass
class ChainJob:
    """What the escrow says of one job and of the license under test in it."""

    spec_hash: bytes
    revision: int = 0
    start: int = 11
    end: int = 21
    cancelled: bool = False
    closed: bool = False
    first: int = 11
    until: int = OPEN_END
    class_id: int = 1


@dataclass
class Chain:
    """The state of the chain; the head's timestamp is `now`, in window 10 at first."""

    window: int = 10
    number: int = 100
    fork: bytes = b"main"
    jobs: dict[int, ChainJob] = field(default_factory=dict)
    linked: str = field(default_factory=lambda: address_of(NODE_KEY))
    standing: int = 0
    """The worst of the license's, its owner's and its node's."""
    report: tuple[int, bytes] = (0, bytes(32))
    committee: str = COMMITTEE
    age: float = 0.0
    grants: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What the payer of all jobs granted: scopes and end, by delegate."""
    members: dict[str, int] = field(default_factory=dict)
    """The last epoch of who is or was in the committee, 0 while it is."""

    paid: tuple[int, int, int] = (1_000, 1_024, 1_024)
    """What class 1 gives, the class of all jobs: thousandths of a core, MB of memory and disk."""

    began: int = field(default_factory=lambda: int(time.time()))

    @property
    def genesis(self) -> int:
        # So placed that the test begins in the middle of window 10.
        return self.began - 9 * WINDOW_SECONDS - WINDOW_SECONDS // 2

    @property
    def now(self) -> int:
        # Frozen, as all servers of a chain must give a block one timestamp.
        return int(self.began + (self.window - 10) * WINDOW_SECONDS - self.age)

    def go_on(self, window: int | None = None) -> None:
        """Let blocks pass, and windows up to `window` too."""
        self.window = window or self.window
        self.number += 2

    def block(self, number: int) -> dict[str, Any]:
        return {
            "number": hex(number),
            "hash": "0x" + keccak(self.fork + number.to_bytes(8, "big")).hex(),
            "parentHash": "0x" + keccak(self.fork + (number - 1).to_bytes(8, "big")).hex(),
            "timestamp": hex(self.now - (self.number - number)),
        }

    def call(self, to: str, data: bytes) -> bytes:
        found = self._constant(to.lower(), data[:4])
        return found if found is not None else self._state(to.lower(), data)

    def _constant(self, to: str, function: bytes) -> bytes | None:
        if to == COMMITTEE.lower() and function == selector("GENESIS()"):
            return encode(["uint256"], [self.genesis])
        if to == COMMITTEE.lower() and function == selector("WINDOW()"):
            return encode(["uint256"], [WINDOW_SECONDS])
        if to == ESCROW.lower() and function == selector("COMMITTEE()"):
            return encode(["address"], [self.committee])
        if to == ESCROW.lower() and function == selector("LICENSES()"):
            return encode(["address"], [LICENSES])
        if to == ESCROW.lower() and function == selector("DESK()"):
            return encode(["address"], [DESK])
        if to == ESCROW.lower() and function == selector("TARIFF()"):
            return encode(["address"], [TARIFF])
        return None

    def _state(self, to: str, data: bytes) -> bytes:
        function, arguments = data[:4], data[4:]
        if to == LICENSES.lower() and function == selector("node_of(uint256)"):
            return encode(["address"], [self.linked])
        if to == LICENSES.lower() and function == selector("payee_of(uint256)"):
            return encode(["address", "uint256"], [PAYER, self.standing])
        if to == COMMITTEE.lower() and function == selector("final_report()"):
            return encode(["uint256", "bytes32"], list(self.report))
        if to == DESK.lower() and function == selector("job(uint256)"):
            return self._job(decode(["uint256"], arguments)[0])
        if to == DESK.lower() and function == selector("grant_of(address,address)"):
            payer, delegate = decode(["address", "address"], arguments)
            granted = self.grants.get(delegate, (0, 0)) if payer == PAYER else (0, 0)
            return encode(["uint256"] * 3, [granted[0], 10**6, granted[1]])
        if to == TARIFF.lower() and function == selector("class_of(uint256)"):
            known = decode(["uint256"], arguments)[0] == 1
            offer = [1, *(self.paid if known else (0, 0, 0)), known, False]
            return encode([CLASS_TYPE], [offer])
        if to == COMMITTEE.lower() and function == selector("member_of(address)"):
            (signer,) = decode(["address"], arguments)
            known = signer in self.members
            return encode(["uint256"] * 4, [int(known), int(known), self.members.get(signer, 0), 0])
        if to == ESCROW.lower() and function == selector("assignment(uint256,uint256)"):
            job_id, license_id = decode(["uint256", "uint256"], arguments)
            job = self.jobs.get(job_id)
            known = job is not None and license_id == LICENSE_ID
            words = [job.first, job.until, 0, 0] if known and job else [0, 0, 0, 0]
            return encode(["(uint256,uint256,uint256,uint256)"], [words])
        return b""

    def _job(self, job_id: int) -> bytes:
        job = self.jobs.get(job_id)
        if job is None:
            nothing = ["0x" + "00" * 20, bytes(32), *[0] * 14, False, False, False, 0]
            return encode([JOB_TYPE], [nothing])
        words = [PAYER, job.spec_hash, job.revision, 0, job.class_id, 1, 10**6, 1, 1, 1, 1]
        words += [job.start, job.end, 10, 10**5, 0, job.cancelled, False, job.closed, 0]
        return encode([JOB_TYPE], [words])


class FakeRpc:
    """One JSON-RPC server in this process; `chain` may be swapped, `down` makes it fail.

    Where `latest` is a number, it says of that block that it is the latest, and of this moment.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.down = False
        self.latest: int | None = None
        self.chain_id = CHAIN_ID
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=500)
        body = await request.json()
        many = isinstance(body, list)
        answers = [self._one(one) for one in (body if many else [body])]
        return web.json_response(answers if many else answers[0])

    def _one(self, request: dict[str, Any]) -> dict[str, Any]:
        base = {"jsonrpc": "2.0", "id": request["id"]}
        method, params = request["method"], request["params"]
        if method == "eth_chainId":
            return base | {"result": hex(self.chain_id)}
        if method == "eth_getBlockByNumber" and params[0] == "latest" and self.latest is not None:
            lie = self.chain.block(self.latest) | {"timestamp": hex(self.chain.now)}
            return base | {"result": lie}
        if method == "eth_getBlockByNumber":
            number = self.chain.number if params[0] == "latest" else int(params[0], 16)
            found = self.chain.block(number) if number <= self.chain.number else None
            return base | {"result": found}
        assert method == "eth_call"
        wanted = params[1]["blockHash"]
        recent = range(self.chain.number, max(0, self.chain.number - STATES), -1)
        if not any(wanted == self.chain.block(number)["hash"] for number in recent):
            return base | {"error": {"code": -32000, "message": "header not found"}}
        data = bytes.fromhex(params[0]["data"][2:])
        return base | {"result": "0x" + self.chain.call(params[0]["to"], data).hex()}


@dataclass
class Repository:
    """A real git repository."""

    path: Path

    def git(self, *arguments: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "author",
            "GIT_AUTHOR_EMAIL": "author@example.org",
            "GIT_COMMITTER_NAME": "author",
            "GIT_COMMITTER_EMAIL": "author@example.org",
        }
        command = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def commit(self, files: dict[str, str], message: str = "change") -> str:
        for name, content in files.items():
            place = self.path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD").strip()


HELLO = Path(__file__).parents[3] / "examples" / "hello-service"


def has_sandbox() -> bool:
    """Tell whether bubblewrap can make a sandbox on this machine."""
    if shutil.which("bwrap") is None:
        return False
    command = ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide bubblewrap from the driver."""
    found = shutil.which

    def which(name: str) -> str | None:
        return None if name == "bwrap" else found(name)

    monkeypatch.setattr("workdeed.node.drivers.sandbox.shutil.which", which)


def marked(owner: str) -> list[int]:
    """Return the living processes that carry the marker of the agent `owner`."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"WORKDEED_WORKLOAD={owner}/".encode() in (
                (entry / "environ").read_bytes()
            ):
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid)]


def alive(pid: int) -> bool:
    """Tell whether `pid` runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def eventually(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Wait until `condition` holds; fail with `what` after a time no healthy run needs."""
    for _ in range(6_000):
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{what} did not happen")


@asynccontextmanager
async def stranger(port: int) -> AsyncIterator[None]:
    """Listen on a port as another program, as soon as nobody else does."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def taken() -> bool:
            try:
                other.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

        await eventually(taken, "the end of the last listener")
        other.listen()
        yield


def spec_document(repository: Path, commit: str, **changes: Any) -> dict[str, Any]:
    """Return an intent that runs the demo's service."""
    return {
        "schema": "workdeed/spec@1",
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": str(repository), "commit": commit}},
        "run": ["/usr/bin/env", "python3", "server.py"],
        "env": {"GREETING": "Good morning"},
        "port": {"name": "main", "env": "PORT"},
        "health": {"kind": "http", "path": "/healthz", "interval_ms": 100, "timeout_ms": 2000},
        "restart": {"first_ms": 100, "longest_ms": 1_000},
        "resources": {"cpu_milli": 100, "memory_mb": 256, "storage_mb": 64},
    } | changes


class Client:
    """Speaks to one agent and, for looking behind it, holds it."""

    def __init__(self, node: Node, session: aiohttp.ClientSession) -> None:
        self.node = node
        self._session = session

    async def get(self, path: str, port: int | None = None) -> tuple[int, Any]:
        async with self._session.get(f"http://127.0.0.1:{port or self.node.port}{path}") as found:
            return found.status, await found.json(content_type=None)

    async def post(self, path: str, body: bytes, kind: str = "application/json") -> tuple[int, Any]:
        url, headers = f"http://127.0.0.1:{self.node.port}{path}", {"Content-Type": kind}
        async with self._session.post(url, data=body, headers=headers) as got:
            return got.status, await got.json(content_type=None)

    async def dispatch(self, data: bytes, revision: int = 0, **changes: Any) -> tuple[int, Any]:
        body = {
            "schema": "workdeed/dispatch@1",
            "escrow": to_checksum(ESCROW),
            "job_id": JOB,
            "revision": revision,
            "spec": base64.b64encode(data).decode(),
        }
        return await self.post("/dispatch", json.dumps(body | changes).encode())

    async def workloads(self) -> list[dict[str, Any]]:
        status, body = await self.get("/status")
        assert status == 200
        return list(body["workloads"])

    async def reaches(self, state: str, revision: int = 0) -> dict[str, Any]:
        """Wait until the workload is in `state`; return its status."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = [
                one
                for one in await self.workloads()
                if (one["state"], one["revision"]) == (state, revision)
            ]
            return bool(found)

        try:
            await eventually(there, f"state {state}")
        except pytest.fail.Exception:
            pytest.fail(f"it is not {state}: {await self.workloads()}")
        return found[0]

    async def reaches_another(self, port: int) -> None:
        """Wait until the workload runs at another port."""

        async def elsewhere() -> bool:
            (one,) = await self.workloads()
            return bool(one["state"] == "running" and one["port"] != port)

        await eventually(elsewhere, "a start at another port")

    async def settled(self) -> None:
        """Wait until the revision before the wanted one is dropped."""

        async def one() -> bool:
            return len(await self.workloads()) == 1

        await eventually(one, "end of the old revision")

    async def gone(self, chain: Chain | None = None) -> None:
        """Wait until it runs nothing; on `chain`, blocks pass meanwhile."""

        async def empty() -> bool:
            if chain is not None:
                chain.go_on()
            return await self.workloads() == []

        await eventually(empty, "end of the job")

    async def rounds(self, count: int = 2) -> None:
        """Let the agent look at the chain some more times."""
        for _ in range(count):
            await self.node.agent.reconcile()


Launch = Callable[..., Awaitable[Client]]


def settings(tmp_path: Path, rpcs: list[FakeRpc], **changes: Any) -> NodeSettings:
    values: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "rpc_urls": [one.url for one in rpcs],
        "contracts": {"escrow": ESCROW, "licenses": LICENSES, "committee": COMMITTEE},
        "license_id": LICENSE_ID,
        "key": {"private_key_file": tmp_path / "node.key"},
        "port": 0,
        "stale_seconds": 1800,
        "state_dir": tmp_path / "state",
        "allow_unsandboxed": True,
        "allow_private_endpoints": True,
        "poll_seconds": 0.1,
        "stop_seconds": 5,
        "resources": {"cpu_milli": 1000, "memory_mb": 1024, "storage_mb": 1024},
        "tags": ["eu"],
        "restart": {"pause_seconds": 0.1, "max_pause_seconds": 1, "settle_seconds": 0.1},
        "container": {"enabled": False},
        "sandbox": {"path": os.environ["PATH"]},
    }
    return NodeSettings(**(values | changes))


def spec_bytes(repository: Repository, commit: str, **changes: Any) -> bytes:
    return encode_spec(load_spec(spec_document(repository.path, commit, **changes)))


def revise(job: ChainJob, data: bytes) -> None:
    job.spec_hash = spec_hash(data)
    job.revision += 1
