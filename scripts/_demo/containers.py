"""The container engine that the demo borrows: an image is put there, and all is taken away again.

What may be there stands on disk before it is made: after a demo that was killed, the next one takes
it away.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import secrets
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from requests import RequestException

from workdeed.node.drivers.base import DriverContext, Limits, Phase, Published, Task, TaskKey
from workdeed.node.drivers.container import ContainerDriver, container_driver
from workdeed.node.drivers.container_spec import OWNER_LABEL
from workdeed.node.errors import DriverError
from workdeed.node.files import write_atomic

RECORD = "containers.json"
REPOSITORY = "localhost/workdeed-demo"
PULLED = (
    "docker.io/library/busybox"
    "@sha256:73aaf090f3d85aa34ee199857f03fa3a95c8ede2ffd4cc2cdb5b94e566b11662"
)
"""busybox 1.36.1 for all processors, for machines without one that could be imported."""

APPLETS = ("httpd", "mkdir", "sh")
CALL_SECONDS = 60.0
TRIAL_SECONDS = 30.0

_NAMES = ("busybox", "busybox.static", "busybox-static")
_PT_INTERP = 3


class ContainersError(Exception):
    """An engine does not do what the demo needs; one sentence."""


class NoContainersError(ContainersError):
    """No job can run an image here; the text says why, and what helps."""


@dataclass(frozen=True)
class Host:
    """An engine that runs the demo's image.

    Attributes:
        socket: path of its API.
        engine: its kind and version.
        image: name of the image, there already.

    """

    socket: str
    engine: str
    image: str


def borrow(folder: Path, sockets: Sequence[str], port: int) -> Host:
    """Put the image into the first engine that answers, and try it once.

    It is not to be cancelled in the middle: `give_back` would miss what the engine is making.

    Args:
        folder: the demo's, where `give_back` finds what to take away.
        sockets: where engines may listen.
        port: a free one, for the trial.

    Raises:
        NoContainersError: if there is no engine, no image, or the image does not run.

    """
    trial = folder / "trial"
    trial.mkdir(parents=True)
    return asyncio.run(_borrow(folder, trial, sockets, port))


def give_back(folder: Path) -> str:
    """Remove all that this folder's demo made in its engine.

    Returns:
        Why it could not be removed, in one sentence; "" if nothing is left.

    """
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return ""
    try:
        with _client(record["socket"]) as client:
            for owner in (record["owner"], *_agents(folder)):
                _remove_of(client, owner)
            if record["image"]:
                _remove_image(client, record["image"])
    except (DockerException, RequestException) as error:
        return (
            f"what the demo made in the engine at {record['socket']} is still there ({error}); "
            f"remove the containers with the label {OWNER_LABEL} and the image {record['image']}"
        )
    (folder / RECORD).unlink()
    return ""


def cut_power(host: Host, node: Path) -> None:
    """End the containers of the node in this folder at once, as with its machine.

    Raises:
        ContainersError: if the engine does not do it.

    """
    try:
        with _client(host.socket) as client:
            _remove_of(client, _agent_of(node))
    except (DockerException, RequestException) as error:
        raise ContainersError(f"{host.engine} does not end containers: {error}") from error


def find_busybox() -> Path | None:
    """Return a busybox of this machine that needs no library and has what the image needs."""
    found = (Path(path) for name in _NAMES if (path := shutil.which(name)))
    return next((path for path in found if _is_static(path) and _has_applets(path)), None)


def root_archive(busybox: Path) -> bytes:
    """Return a root file system that is nothing but `busybox` under the names of the image."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        program = tarfile.TarInfo("bin/busybox")
        content = busybox.read_bytes()
        program.size, program.mode = len(content), 0o755
        tar.addfile(program, io.BytesIO(content))
        for name in APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return archive.getvalue()


async def _borrow(folder: Path, trial: Path, sockets: Sequence[str], port: int) -> Host:
    owner = secrets.token_hex(8)
    socket, driver, engine = await _find_engine(trial, sockets, owner)
    try:
        image = _bring_image(folder, socket, owner)
        await _try(driver, trial, _id_of(socket, image), port)
    except (DriverError, DockerException, RequestException, OSError) as error:
        reason = " ".join(str(error).split())
        raise NoContainersError(f"{engine} runs no image here: {reason}") from error
    finally:
        await driver.close()
    return Host(socket, engine, image)


async def _find_engine(
    folder: Path, sockets: Sequence[str], owner: str
) -> tuple[str, ContainerDriver, str]:
    """Return socket, driver and name of the first engine that an agent would use."""
    reasons = []
    for number, socket in enumerate(filter(_is_socket, sockets)):
        options = {"socket": socket}
        driver = container_driver(
            DriverContext(folder / str(number), owner, allow_unsandboxed=True, options=options)
        )
        found = await driver.fingerprint()
        if found.available:
            return socket, driver, f"{found.attributes['engine']} {found.attributes['version']}"
        await driver.close()
        reasons.append(found.reason)
    own = "" if os.geteuid() == 0 else "--user "
    raise NoContainersError(
        reasons[0]
        if reasons
        else "no container engine listens; "
        f"start Podman (systemctl {own}start podman.socket) or Docker"
    )


def _bring_image(folder: Path, socket: str, owner: str) -> str:
    """Import or pull the image; return its name."""
    busybox = find_busybox()
    with _client(socket) as client:
        if busybox is None:
            return _pull(client, folder, socket, owner)
        tag = secrets.token_hex(4)
        _write_record(folder, socket, owner, f"{REPOSITORY}:{tag}")
        answer = client.import_image_from_data(root_archive(busybox))
        # Named by a second call, as Podman drops the tag of the first.
        client.tag(_imported_id(answer), REPOSITORY, tag)
        return f"{REPOSITORY}:{tag}"


def _pull(client: Any, folder: Path, socket: str, owner: str) -> str:
    """Bring the image from its registry, unless it is there; then it is not the demo's to remove.

    Raises:
        NoContainersError: if it can't be brought.

    """
    with contextlib.suppress(NotFound):
        client.inspect_image(PULLED)
        _write_record(folder, socket, owner, "")
        return PULLED
    _write_record(folder, socket, owner, PULLED)
    name, _, digest = PULLED.partition("@")
    try:
        client.pull(name, digest)
        # A pull that fails in the middle is no error to the SDK.
        client.inspect_image(PULLED)
    except (DockerException, RequestException) as error:
        raise NoContainersError(
            "there is no static busybox to make an image of, and none can be pulled; "
            "install the package busybox-static"
        ) from error
    return PULLED


def _imported_id(answer: str) -> str:
    """Return the id in the last line of what an engine says of an import."""
    last = json.loads(answer.strip().splitlines()[-1])
    if "error" in last:
        raise DriverError(str(last["error"]))
    return str(last["status"])


async def _try(driver: ContainerDriver, folder: Path, image: str, port: int) -> None:
    """Run the image once, bounded and published as a job's would be.

    Raises:
        DriverError: if it does not end well.

    """
    key = TaskKey("0x" + "00" * 20, 0, 0, 0)
    task = Task(
        key=key,
        argv=("sh", "-c", "exit 0"),
        env={},
        directory=folder,
        limits=Limits(memory_mb=64, storage_mb=64),
        ports=(Published(port, port),),
        image=image,
        mount_tree=False,
    )
    end = await driver.wait(await driver.start(task), TRIAL_SECONDS)
    if end.phase is Phase.RUNNING or end.code != 0:
        raise DriverError(f"a trial of it went wrong ({end})")
    await driver.destroy(key)


def _is_socket(path: str) -> bool:
    try:
        return Path(path).is_socket()
    except PermissionError:
        # In a folder of root's, so nothing for this user.
        return False


def _id_of(socket: str, image: str) -> str:
    with _client(socket) as client:
        found: str = client.inspect_image(image)["Id"]
    return found if found.startswith("sha256:") else f"sha256:{found}"


def _write_record(folder: Path, socket: str, owner: str, image: str) -> None:
    record = {"socket": socket, "owner": owner, "image": image}
    write_atomic(folder / RECORD, json.dumps(record).encode())


def _agents(folder: Path) -> list[str]:
    """Return the ids of all agents that the demo has started: containers name them."""
    return [_agent_of(one.parents[1]) for one in folder.glob("node-*/state/instance")]


def _agent_of(node: Path) -> str:
    return (node / "state" / "instance").read_text(encoding="ascii").strip()


def _remove_of(client: Any, owner: str) -> None:
    """Remove an agent's containers and networks."""
    filters = {"label": f"{OWNER_LABEL}={owner}"}
    for one in client.containers(all=True, filters=filters):
        # Killed first, as Podman would wait for it to end by itself; an ended one can't be.
        with contextlib.suppress(APIError):
            client.kill(one["Id"])
        with contextlib.suppress(NotFound):
            client.remove_container(one["Id"], v=True, force=True)
    for one in client.networks(filters=filters):
        with contextlib.suppress(NotFound):
            client.remove_network(one["Id"])


def _remove_image(client: Any, image: str) -> None:
    with contextlib.suppress(NotFound):
        client.remove_image(image)


@contextlib.contextmanager
def _client(socket: str) -> Iterator[Any]:
    client = docker.APIClient(f"unix://{socket}", version="auto", timeout=CALL_SECONDS)
    try:
        yield client
    finally:
        client.close()


def _is_static(program: Path) -> bool:
    """Tell whether a 64-bit ELF program names no loader."""
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return False
    order = "<" if data[5] == 1 else ">"
    (table,) = struct.unpack_from(f"{order}Q", data, 32)
    size, count = struct.unpack_from(f"{order}HH", data, 54)
    kinds = (
        struct.unpack_from(f"{order}I", data, table + number * size)[0] for number in range(count)
    )
    return _PT_INTERP not in kinds


def _has_applets(busybox: Path) -> bool:
    done = subprocess.run([busybox, "--list"], capture_output=True, text=True)
    return done.returncode == 0 and set(APPLETS) <= set(done.stdout.split())
