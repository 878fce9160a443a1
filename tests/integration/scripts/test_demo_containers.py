"""What the demo borrows from a real engine, and that it gives all of it back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts._demo import containers
from scripts._demo.containers import (
    ContainersError,
    Host,
    NoContainersError,
    borrow,
    cut_power,
    give_back,
)
from scripts._demo.ports import free_port
from tests.podman import Podman
from workdeed.node.drivers.base import DriverContext, Limits, Task, TaskKey
from workdeed.node.drivers.container import container_driver

pytestmark = pytest.mark.container

ESCROW = "0x" + "5e" * 20


@pytest.fixture
def port() -> int:
    return free_port()


def images(podman: Podman) -> list[str]:
    lines = podman.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    return [one for one in lines if "workdeed-demo" in one]


def owned(podman: Podman) -> list[str]:
    """Return the owners of all containers, sorted."""
    form = '{{index .Labels "workdeed.owner"}}'
    listed = podman.run("ps", "--all", "--filter", "label=workdeed.owner", "--format", form).split()
    return sorted(listed)


def networks(podman: Podman, owner: str) -> list[str]:
    names = podman.run("network", "ls", "--format", "{{.Name}}").split()
    return [one for one in names if owner in one]


async def borrowed(podman: Podman, folder: Path) -> tuple[Host, str]:
    """Return the host, and the id of its image."""
    host = await asyncio.to_thread(borrow, folder, [str(podman.socket)], free_port())
    found = podman.run("image", "inspect", "--format", "{{.Id}}", host.image)
    return host, f"sha256:{found}"


async def run_as_agent(host: Host, node: Path, image: str, owner: str) -> None:
    """Start what an agent with its state in `node` would run."""
    state = node / "state"
    state.mkdir(parents=True)
    (state / "instance").write_text(owner)
    context = DriverContext(state / "driver", owner, True, options={"socket": host.socket})
    driver = container_driver(context)
    tree = node / "tree"
    tree.mkdir()
    await driver.start(
        Task(
            key=TaskKey(ESCROW, 1, 1, 0),
            # The first process of a container, which ignores what it has no handler for.
            argv=("sh", "-c", "while :; do :; done"),
            env={},
            directory=tree,
            limits=Limits(64, 64, cpu_milli=50),
            image=image,
            mount_tree=False,
        )
    )
    await driver.close()


def test_the_image_is_there_until_it_is_given_back_and_a_second_time(
    podman: Podman, tmp_path: Path, port: int
) -> None:
    for folder in (tmp_path / "first", tmp_path / "second"):
        host = borrow(folder, [str(tmp_path / "absent.sock"), str(podman.socket)], port)
        assert host.engine.startswith("podman ")
        assert images(podman) == [host.image]
        assert owned(podman) == []
        assert give_back(folder) == ""
        assert images(podman) == []
        assert give_back(folder) == ""


async def test_what_agents_left_is_removed_by_the_next_who_finds_the_folder(
    podman: Podman, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    host, image = await borrowed(podman, folder)
    one, two = "a1" * 16, "b2" * 16
    await run_as_agent(host, folder / "node-5", image, one)
    await run_as_agent(host, folder / "node-6", image, two)
    assert owned(podman) == [one, two]
    cut_power(host, folder / "node-5")
    assert owned(podman) == [two]
    assert networks(podman, one) == []
    assert networks(podman, two) != []
    assert give_back(folder) == ""
    assert owned(podman) == []
    assert networks(podman, two) == []
    assert images(podman) == []


def test_an_engine_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "instance").write_text("a1" * 16)
    gone = Host(str(tmp_path / "gone.sock"), "podman 4.3.1", "localhost/demo:1")
    with pytest.raises(ContainersError, match=r"podman 4\.3\.1 does not end containers"):
        cut_power(gone, tmp_path)


def test_an_image_that_does_not_run_here_is_told_and_given_back(
    podman: Podman, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with a busybox of another processor: nothing inside can be executed.
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF no program")
    monkeypatch.setattr(containers, "find_busybox", lambda: broken)
    folder = tmp_path / "demo"
    with pytest.raises(NoContainersError, match=r"podman .* runs no image here") as caught:
        borrow(folder, [str(podman.socket)], port)
    assert "\n" not in str(caught.value)
    assert images(podman) != []
    assert give_back(folder) == ""
    assert images(podman) == []
    assert podman.run("ps", "--all", "--quiet") == ""


def test_without_busybox_and_registry_the_package_is_named(
    podman: Podman, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "find_busybox", lambda: None)
    monkeypatch.setattr(containers, "PULLED", f"127.0.0.1:{port}/busybox@sha256:{'0' * 64}")
    folder = tmp_path / "demo"
    with pytest.raises(NoContainersError, match="install the package busybox-static"):
        borrow(folder, [str(podman.socket)], port)
    assert give_back(folder) == ""


def test_an_image_that_was_there_stays(
    podman: Podman, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = podman.image("http")
    monkeypatch.setattr(containers, "find_busybox", lambda: None)
    monkeypatch.setattr(containers, "PULLED", own)
    folder = tmp_path / "demo"
    assert borrow(folder, [str(podman.socket)], port).image == own
    assert give_back(folder) == ""
    assert podman.digest("localhost/http") == own
