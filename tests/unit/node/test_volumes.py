"""Files and folders of services beside their trees."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workdeed.intent import Service
from workdeed.node.drivers.base import TaskKey
from workdeed.node.volumes import EXPORTS, MAX_VALUE_BYTES, Volumes

NOBODY = 65_534
OF_AN_IMAGE = 65_533
KEY = TaskKey("0x" + "e5" * 20, 3, 7, 0)
LATER = TaskKey("0x" + "e5" * 20, 3, 7, 1)
OTHER = TaskKey("0x" + "e5" * 20, 4, 7, 0)


def service(*volumes: dict[str, Any]) -> Service:
    return Service.model_validate({"runner": "car", "source": {}, "volumes": list(volumes)})


FILE = {"kind": "file", "path": "/etc/app.conf", "content": "a=1\n"}
SCRIPT = {"kind": "file", "path": "/bin/hook", "content": "#!/bin/sh\n", "executable": True}
NAMED = {"kind": "named", "name": "data", "path": "/data"}
FIXED = {"kind": "fixed", "name": "cache", "path": "/cache", "size_mb": 1}


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path)


def places(volumes: Volumes, key: TaskKey, wanted: Service) -> dict[str, Path]:
    return {bind.target: bind.source for bind in volumes.binds(key, wanted)}


def test_files_hold_what_the_spec_says_and_are_not_written(volumes: Volumes) -> None:
    wanted = service(FILE, SCRIPT)
    found = {bind.target: bind for bind in volumes.binds(KEY, wanted)}
    assert found["/etc/app.conf"].read_only
    assert found["/etc/app.conf"].source.read_text() == "a=1\n"
    assert found["/bin/hook"].source.stat().st_mode & 0o777 == 0o555
    # A start later makes them anew.
    assert places(volumes, KEY, wanted)["/etc/app.conf"].read_text() == "a=1\n"


def test_an_agent_that_is_not_root_makes_the_files_of_a_later_start_too() -> None:
    """They are read-only, and only root writes such a file in place."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            volumes = Volumes(Path(folder))
            for content in ("a=1\n", "a=2\n"):
                wanted = service(FILE | {"content": content})
                assert places(volumes, KEY, wanted)["/etc/app.conf"].read_text() == content
        finally:
            if root:
                os.seteuid(0)


async def test_kept_folders_are_the_jobs_and_go_with_it(volumes: Volumes) -> None:
    first = places(volumes, KEY, service(NAMED))["/data"]
    (first / "file").write_text("kept")
    await volumes.discard(KEY)
    second = places(volumes, LATER, service(NAMED))["/data"]
    assert second == first
    assert (second / "file").read_text() == "kept"
    assert places(volumes, OTHER, service(NAMED))["/data"] != first
    await volumes.discard_job(LATER)
    assert not first.exists()


async def test_a_fixed_volume_that_holds_too_much_is_named(volumes: Volumes) -> None:
    wanted = service(FIXED)
    folder = places(volumes, KEY, wanted)["/cache"]
    (folder / "file").write_bytes(bytes(1_900_000))
    assert await volumes.excess(KEY, wanted) == ""
    (folder / "more").write_bytes(bytes(200_000))
    assert "volume cache holds 2 MB and may hold 1" in await volumes.excess(KEY, wanted)
    assert 2_100_000 <= await volumes.kept_bytes(KEY) < 2_120_000


def test_values_are_read_from_plain_files_alone(volumes: Volumes, tmp_path: Path) -> None:
    """A link would be read with the agent's rights, a pipe would be waited for."""
    exports = places(volumes, KEY, service())[EXPORTS]
    assert volumes.exported(KEY, "key") is None
    (exports / "key").write_text("value\n")
    assert volumes.exported(KEY, "key") == "value"
    secret = tmp_path / "secret"
    secret.write_text("of the agent")
    (exports / "link").symlink_to(secret)
    os.mkfifo(exports / "pipe")
    (exports / "folder").mkdir()
    (exports / "large").write_bytes(b"x" * (MAX_VALUE_BYTES + 1))
    (exports / "binary").write_bytes(b"\xff\xfe")
    for name in ("link", "pipe", "folder", "large", "binary"):
        assert volumes.exported(KEY, name) is None
    volumes.forget_exports(KEY)
    assert volumes.exported(KEY, "key") is None


def test_a_value_with_a_nul_is_no_value(volumes: Volumes) -> None:
    """It would end the text that it stands in, and begin another one."""
    exports = places(volumes, KEY, service())[EXPORTS]
    (exports / "key").write_bytes(b"x\0--bind\0/\0/app\n")
    assert volumes.exported(KEY, "key") is None


async def test_the_folder_of_values_is_measured(volumes: Volumes) -> None:
    exports = places(volumes, KEY, service())[EXPORTS]
    assert await volumes.task_bytes(KEY) == 0
    (exports / "large").write_bytes(bytes(1_000_000))
    assert 1_000_000 <= await volumes.task_bytes(KEY) < 1_010_000
    assert await volumes.task_bytes(OTHER) == 0


makes_folders_of_others = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def as_another(folder: Path, what: Callable[[], None]) -> None:
    """Do `what` as a user who owns all in `folder` that is not somebody else's, not as root."""
    for path in (folder, *folder.rglob("*")):
        if path.stat().st_uid == 0:
            os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        what()
    finally:
        os.seteuid(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user gets to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@makes_folders_of_others
def test_a_folder_that_an_image_took_for_its_own_is_left_to_it(shared: Path) -> None:
    volumes = Volumes(shared)
    taken, own = (
        places(volumes, KEY, service(NAMED, FIXED))[where] for where in ("/data", "/cache")
    )
    os.chown(taken, OF_AN_IMAGE, OF_AN_IMAGE)
    taken.chmod(0o700)
    own.chmod(0o700)

    def start_again() -> None:
        places(volumes, KEY, service(NAMED, FIXED))

    as_another(shared, start_again)
    assert taken.stat().st_mode & 0o777 == 0o700
    assert own.stat().st_mode & 0o777 == 0o777


@makes_folders_of_others
def test_a_folder_of_another_user_keeps_no_sweep_and_no_start_from_going_on(shared: Path) -> None:
    volumes = Volumes(shared)
    for key in (KEY, LATER, OTHER):
        (places(volumes, key, service(NAMED))[EXPORTS] / "value").touch()
    taken = places(volumes, KEY, service())[EXPORTS] / "taken"
    taken.mkdir(mode=0o700)
    (taken / "file").touch()
    os.chown(taken, OF_AN_IMAGE, OF_AN_IMAGE)

    def go_on() -> None:
        volumes.forget_exports(KEY)
        assert volumes.exported(KEY, "value") is None
        asyncio.run(volumes.sweep([]))

    as_another(shared, go_on)
    left = [path.relative_to(shared) for path in shared.rglob("*") if path.is_file()]
    assert left == [taken.relative_to(shared) / "file"]
    assert list((shared / "kept").iterdir()) == list((shared / "files").iterdir()) == []


async def test_a_sweep_leaves_what_is_still_needed(volumes: Volumes) -> None:
    kept = places(volumes, KEY, service(NAMED, FILE))
    gone = places(volumes, OTHER, service(NAMED, FILE))
    await volumes.sweep([KEY])
    assert all(path.exists() for path in kept.values())
    assert not any(path.exists() for path in gone.values())
