"""Fresh chains, runs of the deploy command in this process, and an RPC that fails when told to.

ape keeps to the folder that it is imported in and to one data folder, so both are set before.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from web3 import HTTPProvider, Web3

ROOT = Path(__file__).resolve().parents[3]
LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")
START_SECONDS = 60
PATIENCE_SECONDS = 600
"""After which a test gives up: many times what ape takes to start."""


@pytest.fixture(scope="session")
def ape_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of ape, with accounts and caches of these tests alone."""
    return tmp_path_factory.mktemp("ape")


@pytest.fixture(scope="module", autouse=True)
def ape_settings(ape_home: Path) -> Iterator[None]:
    """Where ape looks when it is imported, and no settings of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APE_DATA_FOLDER", str(ape_home))
        for name in ("WORKDEED_DEPLOYER", "WORKDEED_RPC_SEPOLIA", "WORKDEED_RPC_BASE_SEPOLIA"):
            patch.delenv(name, raising=False)
        patch.chdir(ROOT)
        yield


@dataclass
class Chain:
    """A running anvil."""

    url: str
    process: subprocess.Popen[str]
    web3: Web3 = field(init=False)

    def __post_init__(self) -> None:
        self.web3 = Web3(HTTPProvider(self.url))

    def sent_by(self, account: str) -> int:
        """How many transactions of an account are in blocks."""
        return self.web3.eth.get_transaction_count(Web3.to_checksum_address(account))

    def stop(self) -> None:
        """End the process that this fixture started; whoever reads its output closes that."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


StartChain = Callable[..., Chain]


@contextmanager
def _chains() -> Iterator[StartChain]:
    """Start anvils on free ports, and end them."""
    path = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ.get("PATH", "")])
    binary = shutil.which("anvil", path=path)
    if binary is None:
        pytest.skip("anvil is not installed: npm ci")
    chains: list[Chain] = []

    def start(*arguments: str) -> Chain:
        command = [binary, "--port", "0", "--hardfork", "cancun", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        chains.append(Chain(f"http://127.0.0.1:{_port(process)}", process))
        return chains[-1]

    try:
        yield start
    finally:
        for chain in chains:
            chain.stop()


@pytest.fixture
def start_chain() -> Iterator[StartChain]:
    """Start anvil on a free port; more arguments go to it."""
    with _chains() as start:
        yield start


def _port(process: subprocess.Popen[str]) -> int:
    """Return the port that anvil names, and keep reading so that it never waits for a reader."""
    found: queue.Queue[int] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if match := LISTENING.search(line):
                    found.put(int(match[1]))

    threading.Thread(target=read, daemon=True).start()
    return found.get(timeout=START_SECONDS)


@pytest.fixture
def chain(start_chain: StartChain) -> Chain:
    """A fresh chain that mines each transaction at once."""
    return start_chain()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where a test's deployment is recorded."""
    return tmp_path / "deployment.json"


Deploy = Callable[..., Result]


@pytest.fixture
def deploy(record: Path) -> Deploy:
    """Run `ape run deploy` in this process; returns exit code and output."""
    return partial(_deploy, record)


def _deploy(record: Path, network: str, *arguments: str) -> Result:
    from scripts.deploy import cli

    options = ["--network", network, "--output", str(record), *arguments]
    return CliRunner().invoke(cli, options)


@dataclass
class Standing:
    """A chain on which the local preset stands, for tests that send nothing.

    Attributes:
        chain: the chain.
        content: the record.
    """

    chain: Chain
    content: dict[str, Any]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """One deployment for all tests of a module that only read it."""
    record = tmp_path_factory.mktemp("standing") / "deployment.json"
    with _chains() as start:
        chain = start()
        result = _deploy(record, chain.url)
        assert result.exit_code == 0, result.output
        yield Standing(chain, json.loads(record.read_text()))


@dataclass
class Fault:
    """What the RPC does with the n-th transaction, counted from 0.

    Attributes:
        at: which one; none if negative.
        lost_answer: whether the transaction reaches the chain and its answer is lost; otherwise it
            is dropped.
        seen: set once it has happened.
        hold: the answer is never given, until the test lets go.
    """

    at: int = -1
    lost_answer: bool = False
    seen: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event | None = None
    sent: int = 0


@dataclass
class Rpc:
    """A server in front of a chain."""

    url: str
    fault: Fault


@pytest.fixture
def rpc(chain: Chain) -> Iterator[Rpc]:
    """The chain behind a server that fails as its `fault` says."""
    front = Rpc("", Fault())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if json.loads(body)["method"] != "eth_sendRawTransaction":
                self._answer(_forward(chain, body))
                return
            fault, front.fault.sent = front.fault, front.fault.sent + 1
            if fault.sent - 1 != fault.at:
                self._answer(_forward(chain, body))
                return
            if fault.lost_answer:
                sent = json.loads(_forward(chain, body))["result"]
                chain.web3.eth.wait_for_transaction_receipt(sent)
            fault.seen.set()
            if fault.hold is not None:
                fault.hold.wait(PATIENCE_SECONDS)
            self.close_connection = True

        def _answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    front.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield front
    server.shutdown()
    server.server_close()
    thread.join()


def _forward(chain: Chain, body: bytes) -> bytes:
    request = json.loads(body)
    provider = chain.web3.provider
    assert isinstance(provider, HTTPProvider)
    answer = provider.make_request(request["method"], request.get("params", []))
    return json.dumps({**answer, "id": request["id"]}).encode()
