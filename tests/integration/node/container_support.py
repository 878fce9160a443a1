"""Tasks for tests of the container driver, and what waits for them."""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from node_support import eventually

from tests.podman import Podman
from workdeed.node.drivers.base import DriverContext, Handle, Limits, Task, TaskKey
from workdeed.node.drivers.container import ContainerDriver, container_driver

KEY = TaskKey("0x" + "e5" * 20, 3, 7, 0)
LOG_BYTES = 64 * 1024


def make_driver(podman: Podman, folder: Path, owner: str, **options: Any) -> ContainerDriver:
    chosen = {"socket": str(podman.socket), **options}
    context = DriverContext(folder / "driver", owner, log_bytes=LOG_BYTES, options=chosen)
    return container_driver(context)


def task(image: str, folder: Path, *argv: str, key: TaskKey = KEY, **more: Any) -> Task:
    limits = more.pop("limits", Limits(64, 64))
    values = {"mount_tree": False, "env": {"COLOR": "blue"}, **more}
    folder.mkdir(exist_ok=True)
    return Task(key=key, argv=argv, directory=folder, limits=limits, image=image, **values)


def shell(image: str, folder: Path, script: str, **more: Any) -> Task:
    return task(image, folder, "sh", "-c", script, **more)


async def printed(driver: ContainerDriver, handle: Handle, text: str) -> None:
    async def has() -> bool:
        return text in (await driver.logs(handle, 1_000_000)).decode()

    await eventually(has, f"output of {text!r}")


def fetch(url: str, seconds: float = 60.0) -> str:
    """Return the page at `url`; a server that has just been started gets some time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=seconds) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
