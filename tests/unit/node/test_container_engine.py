"""Which engine is asked, and how its answers and its silence are told."""

import asyncio
import errno
import json
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from workdeed.node.drivers import container
from workdeed.node.drivers.base import DriverContext, Limits, Task, TaskKey
from workdeed.node.drivers.container import ContainerDriver, container_driver
from workdeed.node.drivers.container_engine import (
    Engine,
    EngineDownError,
    EngineRefusedError,
    default_sockets,
)
from workdeed.node.drivers.container_images import ImageStore, ImageTooLargeError, PullFailedError
from workdeed.node.drivers.container_networks import Networks
from workdeed.node.drivers.container_oom import killed_for_memory
from workdeed.node.drivers.container_spec import arguments
from workdeed.node.errors import DriverError

KEY = TaskKey("0x" + "e5" * 20, 3, 7, 0)
IMAGE = "docker.io/library/x@sha256:" + "0" * 64
DOCKER_VERSION = {"ApiVersion": "1.44", "Version": "25", "Components": [{"Name": "Engine"}]}


class FakeEngine:
    """Answers on a unix socket with what a test says, and takes down what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, tuple[int, bytes]] = {
            "/version": (200, json.dumps(DOCKER_VERSION).encode()),
            "/_ping": (200, b"OK"),
            "/info": (200, b"{}"),
        }
        self.first: dict[str, list[tuple[int, bytes]]] = {}
        """Answers that come before, one each time."""
        self.asked: list[tuple[str, Any]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def address_string(self) -> str:
                return ""

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                pass

            def do_GET(self) -> None:
                self.respond()

            def do_POST(self) -> None:
                self.respond()

            def respond(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                fake.asked.append((self.path, body))
                place = self.path.partition("?")[0]
                place = "/" + place.split("/", 2)[2] if place.startswith("/v1.") else place
                usual = fake.answers.get(place, (404, b'{"message": "no such thing"}'))
                status, answer = fake.first[place].pop(0) if fake.first.get(place) else usual
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.server = ThreadingUnixStreamServer(str(path), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.path.unlink()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    made = FakeEngine(tmp_path / "engine.sock")
    yield made
    if made.path.exists():
        made.stop()


@pytest.fixture
def engine(fake: FakeEngine, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(str(fake.path), tmp_path / "memory", 2, 5.0)
    yield made
    made.close()


@pytest.fixture
def driver(fake: FakeEngine, tmp_path: Path) -> ContainerDriver:
    options = {"socket": f"unix://{fake.path}", "host": "localhost"}
    return container_driver(DriverContext(tmp_path / "driver", "owner", options=options))


def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def test_where_an_engine_is_looked_for(monkeypatch: pytest.MonkeyPatch):
    no_sockets(monkeypatch)
    assert default_sockets() == ("/run/podman/podman.sock", "/run/docker.sock")
    monkeypatch.setenv("DOCKER_HOST", "unix:///custom.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert default_sockets() == (
        "/custom.sock",
        "/run/podman/podman.sock",
        "/run/user/7/podman/podman.sock",
        "/run/docker.sock",
    )
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    assert "elsewhere" not in "".join(default_sockets())


async def test_a_folder_that_is_closed_hides_no_other_engine(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    closed, is_socket = tmp_path / "closed.sock", Path.is_socket

    def look(path: Path) -> bool:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return is_socket(path)

    monkeypatch.setattr(Path, "is_socket", look)
    sockets = (str(closed), str(fake.path))
    place = "workdeed.node.drivers.container_engine.default_sockets"
    monkeypatch.setattr(place, lambda: sockets)
    engine = Engine(None, tmp_path / "socket", 2, 2.0)
    assert (await engine.facts()).kind == "docker"
    fake.stop()
    alone = Engine(None, tmp_path / "socket", 2, 2.0)
    with pytest.raises(EngineDownError, match=r"closed\.sock: .*Permission denied"):
        await alone.ping()
    for one in (engine, alone):
        one.close()


async def test_the_engine_that_has_containers_is_asked_again_and_no_other(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    no_sockets(monkeypatch)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{fake.path}")
    first = Engine(None, tmp_path / "memory", 2, 5.0)
    await first.ping()
    assert not (tmp_path / "memory").exists()
    first.remember()
    first.close()
    fake.stop()
    other = FakeEngine(tmp_path / "other.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{other.path}")
    second = Engine(None, tmp_path / "memory", 2, 5.0)
    with pytest.raises(EngineDownError, match=r"engine.sock is no socket.*set socket"):
        await second.ping()
    second.close()
    told = Engine(str(other.path), tmp_path / "memory", 2, 5.0)
    await told.ping()
    told.remember()
    assert (tmp_path / "memory").read_text() == str(other.path)
    told.close()
    other.stop()


async def test_a_socket_behind_which_nobody_listens(tmp_path: Path):
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    engine = Engine(str(path), tmp_path / "memory", 2, 5.0)
    with pytest.raises(EngineDownError, match="start Podman or Docker"):
        await engine.ping()
    engine.close()


async def test_no_and_silence_are_different_errors(fake: FakeEngine, engine: Engine):
    with pytest.raises(EngineRefusedError, match="no such thing") as refused:
        await engine.call("looking", lambda client: client.inspect_container("x"))
    assert refused.value.missing
    fake.answers["/containers/y/json"] = (200, b"")
    with pytest.raises(EngineRefusedError, match="no JSON"):
        await engine.call("looking", lambda client: client.inspect_container("y"))
    fake.stop()
    with pytest.raises(EngineDownError):
        await engine.ping()
    again = FakeEngine(fake.path)
    await engine.ping()
    again.stop()
    engine.close()
    with pytest.raises(EngineDownError, match="closed"):
        await engine.ping()


async def test_an_engine_that_can_not_limit_is_not_used(
    fake: FakeEngine, driver: ContainerDriver, tmp_path: Path
):
    fake.answers["/info"] = (200, b'{"MemoryLimit": false, "PidsLimit": false}')
    found = await driver.fingerprint()
    assert not found.available
    assert "memory and processes" in found.reason
    with pytest.raises(DriverError, match="can't limit memory and processes"):
        await driver.start(Task(KEY, (), {}, tmp_path, Limits(64, 64), image=IMAGE))
    local = container_driver(
        DriverContext(
            tmp_path / "local", "owner", allow_unsandboxed=True, options={"socket": str(fake.path)}
        )
    )
    found = await local.fingerprint()
    assert (found.available, set(found.unenforced)) == (True, {"memory", "processes"})
    await local.close()
    await driver.close()


async def test_an_engine_that_is_too_old_is_not_used(fake: FakeEngine, driver: ContainerDriver):
    fake.answers["/version"] = (200, json.dumps({**DOCKER_VERSION, "ApiVersion": "1.40"}).encode())
    assert "older than 1.41" in (await driver.fingerprint()).reason
    await driver.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"socket": "tcp://host:2375"}, "container.socket"),
        ({"host": "a name"}, "container.host"),
        ({"sockets": "/x"}, "container.sockets"),
        ({"workers": 0}, "container.workers"),
    ],
)
def test_options_that_are_wrong(tmp_path: Path, options: dict[str, Any], message: str):
    with pytest.raises(DriverError, match=message):
        container_driver(DriverContext(tmp_path, "owner", options=options))


@pytest.mark.parametrize("owner", ["", "a/b", "a b", "ü"])
async def test_an_owner_that_is_no_part_of_a_name(fake: FakeEngine, tmp_path: Path, owner: str):
    driver = container_driver(
        DriverContext(tmp_path / "driver", owner, options={"socket": str(fake.path)})
    )
    with pytest.raises(DriverError, match="owner"):
        await driver.start(Task(KEY, (), {}, tmp_path, Limits(64, 64), image=IMAGE))
    await driver.close()


async def test_what_docker_is_told_of_output(engine: Engine, tmp_path: Path):
    """Docker's local logs rotate by files; Podman's tests are with the real one."""
    task = Task(KEY, ("x",), {}, tmp_path, Limits(64, 64, cpu_milli=1), image=IMAGE)

    def ask(client: Any) -> dict[str, Any]:
        return arguments(client, task, "owner", kind="docker", host="127.0.0.1", log_bytes=1000)

    config = (await engine.call("asking", ask))["host_config"]
    assert config["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "500", "max-file": "2"},
    }
    # The least share that engines take.
    assert config["CpuQuota"] == 1_000


async def test_docker_is_asked_for_no_less_memory_than_it_gives(engine: Engine, tmp_path: Path):
    def ask(client: Any, memory_mb: int) -> Any:
        task = Task(KEY, ("x",), {}, tmp_path, Limits(memory_mb, 64), image=IMAGE)
        return arguments(client, task, "o", kind="docker", host="127.0.0.1", log_bytes=1)

    for memory_mb, expected in ((1, 6 * 1024 * 1024), (6, 6 * 1024 * 1024), (7, 7_000_000)):
        asked = await engine.call("asking", partial(ask, memory_mb=memory_mb))
        config = asked["host_config"]
        assert (config["Memory"], config["MemorySwap"]) == (expected, expected)


async def test_a_full_disk_is_not_taken_for_an_engine_that_is_down(
    fake: FakeEngine, driver: ContainerDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fake.answers["/networks"] = (200, b"[]")
    fake.answers["/networks/create"] = (200, b'{"Id": "n"}')

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(container, "write_atomic", full)
    with pytest.raises(DriverError, match=r"^task: .*No space left on device.*free some disk") as e:
        await driver.start(Task(KEY, (), {}, tmp_path, Limits(64, 64), image=IMAGE))
    assert not isinstance(e.value, EngineDownError)
    connections = sum(path.endswith("/version") for path, _ in fake.asked)
    assert (await driver.fingerprint()).available
    assert sum(path.endswith("/version") for path, _ in fake.asked) == connections
    await driver.close()


async def test_a_lock_lasts_as_long_as_somebody_has_it(driver: ContainerDriver):
    entered: list[int] = []

    async def hold(number: int) -> None:
        async with driver._lock(KEY), driver._networks.lock(KEY):
            entered.append(number)
            await asyncio.sleep(0)
            assert entered[-1] == number

    holders = [asyncio.create_task(hold(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert len(driver._locks) == len(driver._networks._locks) == 1
    await asyncio.gather(*holders)
    assert entered == list(range(5))
    assert len(driver._locks) == len(driver._networks._locks) == 0
    await driver.close()


async def test_docker_tells_the_digest_and_the_sizes_of_a_pull(fake: FakeEngine, engine: Engine):
    images = ImageStore(engine)
    digest = "sha256:" + "ab" * 32
    lines: list[dict[str, Any]] = [
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 1, "total": 600}},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 9, "total": 600}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 1, "total": 500}},
        {"status": f"Digest: {digest}"},
    ]
    answer = b"\r\n".join(json.dumps(line).encode() for line in lines)
    fake.answers["/images/create"] = (200, answer)
    assert await images.pull("r.example/x", "v1", None, seconds=5, max_bytes=1_100) == digest
    with pytest.raises(ImageTooLargeError, match=r"r\.example/x"):
        await images.pull("r.example/x", "v1", None, seconds=5, max_bytes=1_099)


@pytest.mark.parametrize(
    ("status", "answer", "final"),
    [
        (404, b'{"message": "pull access denied for x"}', True),
        (500, b'{"message": "unauthorized: bad login"}', True),
        (200, b'{"error": "manifest unknown"}', True),
        (200, b'{"error": "connection reset by peer"}', False),
        (503, b"not even JSON", False),
    ],
)
async def test_pulls_that_fail(
    fake: FakeEngine, engine: Engine, status: int, answer: bytes, final: bool
):
    fake.answers["/images/create"] = (status, answer)
    with pytest.raises(PullFailedError) as failed:
        await ImageStore(engine).pull("r.example/x", "v1", None, seconds=5, max_bytes=100)
    assert failed.value.final is final


async def test_a_network_is_made_though_podman_lost_sight_of_another(
    fake: FakeEngine, engine: Engine
):
    """Podman looks at all bridges, and fails when one of them goes away meanwhile."""
    refused = (500, b'{"message": "route ip+net: no such network interface"}')
    fake.answers["/networks"] = (200, b"[]")
    fake.answers["/networks/create"] = (201, b'{"Id": "x"}')
    fake.first["/networks/create"] = [refused] * 5
    networks = Networks(engine, "owner")
    with pytest.raises(DriverError, match=r"no such network interface.*address pools"):
        await networks.ensure(KEY)
    await networks.ensure(KEY)
    tries = [path for path, _ in fake.asked if path.endswith("/networks/create")]
    assert len(tries) == 6


def test_the_kernels_log_names_what_it_killed(tmp_path: Path):
    log = tmp_path / "kmsg"
    log.write_text("6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/libpod-abc,task=sh\n")
    assert killed_for_memory("abc", log)
    assert not killed_for_memory("def", log)
    log.write_text("6,1,1,-;a container abc did something else\n")
    assert not killed_for_memory("abc", log)
    assert not killed_for_memory("abc", tmp_path / "absent")
