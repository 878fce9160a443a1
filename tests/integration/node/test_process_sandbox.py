"""What a task can see and reach inside of bubblewrap."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from node_support import has_sandbox

from workdeed.node.drivers.base import Bind, Limits, Task, TaskKey
from workdeed.node.drivers.process import ProcessDriver
from workdeed.node.drivers.sandbox import Sandbox
from workdeed.node.errors import DriverError

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(
        not has_sandbox(), reason="bubblewrap is not installed or can't make a sandbox here"
    ),
]

KEY = TaskKey("0x" + "e5" * 20, 3, 7, 0)


# Prints which files below /proc can be opened for writing, those aside that processes hold open
# themselves; writes nothing.
TRY_TO_WRITE = """
import os
tried = []
for parent, folders, files in os.walk("/proc"):
    folders[:] = [one for one in folders if one not in ("fd", "map_files")]
    for name in files:
        tried.append(os.path.join(parent, name))
        try:
            os.close(os.open(tried[-1], os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            continue
        print(tried[-1])
print("/proc/sys/kernel/core_pattern" in tried)
"""


def outside_exists(path: str) -> bool:
    return Path(path).exists()


async def run(
    tmp_path: Path, owner: str, script: str, read_only: tuple[Path, ...] = (), **parts: Any
) -> str:
    """Run `script` to its end, as a task with further `parts`; return what it printed."""
    driver = ProcessDriver(tmp_path / "state" / "tasks", owner, read_only=read_only)
    app = tmp_path / "app"
    app.mkdir(exist_ok=True)
    task = Task(KEY, ("/bin/sh", "-c", script), {}, app, Limits(256, 64))
    handle = await driver.start(replace(task, **parts))
    await driver.wait(handle, 60)
    printed = (await driver.logs(handle, 1_000_000)).decode()
    await driver.destroy(KEY)
    return printed


async def test_the_agents_files_can_neither_be_read_nor_found(tmp_path: Path, owner: str):
    secret = tmp_path / "state" / "node.key"
    secret.parent.mkdir()
    secret.write_text("a secret")
    script = f"cat {secret}; cat {Path(__file__)}; ls /root /home /var /run {tmp_path}"
    printed = await run(tmp_path, owner, script)
    assert "a secret" not in printed
    assert "async def" not in printed
    assert printed.count("No such file or directory") == 6
    assert printed.count("workload") == 1  # its own home


async def test_only_its_own_folders_can_be_written(tmp_path: Path, owner: str):
    places = "/x /usr/x /usr/bin/x /etc/x /dev/x /home/x"
    own = "/app/x /tmp/x /dev/shm/x /home/workload/x"
    script = f"for f in {places} {own}; do touch $f 2>/dev/null && echo wrote $f; done"
    printed = await run(tmp_path, owner, script)
    assert printed.split("\n")[:-1] == [f"wrote {place}" for place in own.split()]
    assert (tmp_path / "app" / "x").exists()
    assert not outside_exists("/tmp/x")


async def test_it_sees_no_other_process_and_has_no_power(tmp_path: Path, owner: str):
    script = "ls /proc | grep -c '^[0-9]'; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status"
    count, *status = (await run(tmp_path, owner, script)).splitlines()
    assert int(count) < 8
    assert [line.split()[1] for line in status] == ["0" * 16, "0" * 16, "1"]


async def test_it_can_neither_signal_the_agent_nor_make_a_sandbox(tmp_path: Path, owner: str):
    script = f"kill -0 {os.getpid()} && echo reached; unshare --user true && echo nested; id -u"
    printed = await run(tmp_path, owner, script)
    assert "reached" not in printed
    assert printed.splitlines()[-1] == "1000"
    unheld = (await ProcessDriver(tmp_path / "state" / "tasks", owner).fingerprint()).unenforced
    if "nested" in printed and "namespaces" not in unheld:
        pytest.fail("a nested user namespace could be made")


async def test_a_bubblewrap_that_leaves_namespaces_open_is_told(
    tmp_path: Path, owner: str, monkeypatch: pytest.MonkeyPatch
):
    driver = ProcessDriver(tmp_path / "state" / "tasks", owner)
    sandbox = await driver._sandbox()
    assert isinstance(sandbox, Sandbox)
    for version, open_ in (((0, 7, 0), True), ((0, 8, 0), False)):
        monkeypatch.setattr(sandbox, "version", version)
        found = await driver.fingerprint()
        assert found.available
        assert ("namespaces" in found.unenforced) is open_
        assert found.attributes["namespaces"].endswith("0.8 or later" if open_ else "made inside")


async def test_secrets_in_the_environment_of_bubblewrap_itself_do_not_exist(
    tmp_path: Path, owner: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WORKDEED_NODE_KEY", "a secret")
    assert "a secret" not in await run(tmp_path, owner, "cat /proc/1/environ /proc/*/environ")


async def test_further_folders_are_shown_read_only(tmp_path: Path, owner: str):
    extra, mount = tmp_path / "extra", tmp_path / "mount"
    for folder in (extra, mount):
        folder.mkdir()
        (folder / "file").write_text("content\n")
    script = f"cat {extra}/file; touch {extra}/x 2>/dev/null && echo wrote; true"
    assert await run(tmp_path, owner, script, read_only=(extra,)) == "content\n"


async def test_the_number_of_processes_is_limited(tmp_path: Path, owner: str):
    script = "grep 'Max processes' /proc/self/limits"
    assert (await run(tmp_path, owner, script)).split()[2] == "1024"


async def test_a_value_with_a_nul_is_no_further_option_of_bubblewrap(tmp_path: Path, owner: str):
    shown = "\0".join(("x", "--ro-bind", str(tmp_path), "/home/shown"))
    bind = Bind(tmp_path, "/data\0--ro-bind\0/\0/home/shown")
    for parts, field in (
        ({"env": {"VALUE": shown}}, "env"),
        ({"env": {shown: "x"}}, "env"),
        ({"binds": (bind,)}, "volumes"),
        ({"subdirectory": shown}, "subdirectory"),
    ):
        with pytest.raises(DriverError, match=rf"^{field}: a value holds a NUL character; remove"):
            await run(tmp_path, owner, "ls /home/shown", **parts)


async def test_nothing_that_the_kernel_shows_can_be_written(tmp_path: Path, owner: str):
    printed = await run(tmp_path, owner, "", argv=("python3", "-c", TRY_TO_WRITE))
    assert printed == "True\n"


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root owns the machine's devices")


@AS_ROOT
async def test_a_task_can_not_take_the_rights_off_the_machines_devices(tmp_path: Path, owner: str):
    devices = sorted(Path("/dev", name) for name in ("full", "null", "random", "urandom", "zero"))
    before = [device.stat().st_mode for device in devices]
    script = f"for f in {' '.join(map(str, devices))}; do chmod 640 $f && stat -c %a $f; done"
    first = await run(tmp_path, owner, script)
    after = [device.stat().st_mode for device in devices]
    for device, mode in zip(devices, before, strict=True):
        device.chmod(mode)  # where it was changed, the machine needs it back
    assert after == before
    assert first.split() == ["640"] * len(devices)  # those of its own
    use = "echo x >/dev/null && head -c 3 /dev/zero | wc -c; echo x 2>&1 >/dev/full || echo full"
    printed = await run(
        tmp_path, owner, f"{use}; stat -c %a /dev/null; head -c 3 /dev/urandom | wc -c"
    )
    assert printed.split()[0] == "3"
    assert printed.split()[-3:] == ["full", "666", "3"]


@AS_ROOT
async def test_where_a_task_can_get_no_devices_of_its_own_nothing_runs(
    tmp_path: Path, owner: str, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "mknod", refuse)
    found = await ProcessDriver(tmp_path / "state" / "tasks", owner).fingerprint()
    assert not found.available
    assert "run the agent as a user of its own" in found.reason


async def test_of_certificates_it_sees_what_is_public(tmp_path: Path, owner: str):
    printed = await run(tmp_path, owner, "cd /etc; ls -d ssl/* pki/* pki/tls/* 2>/dev/null")
    allowed = {
        "ssl/cert.pem",
        "ssl/certs",
        "ssl/openssl.cnf",
        "pki/ca-trust",
        "pki/java",
        "pki/tls",
    }
    tls = {f"pki/tls/{name}" for name in ("cert.pem", "certs", "openssl.cnf")}
    assert set(printed.split()) <= allowed | tls
    if outside_exists("/etc/ssl/certs"):
        assert "ssl/certs" in printed.split()


def link_out(place: Path, outside: Path) -> None:
    """Make a link that bubblewrap follows to `outside`, as it makes the place of a mount."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(f"/oldroot{outside}")


@pytest.mark.parametrize("target", ["link/file", "link/made/file", "real/link/file", "link"])
@pytest.mark.parametrize("folder", ["/app", "/home/workload", "/tmp", "/dev/shm"])
async def test_a_volume_below_a_link_of_the_workload_makes_nothing_on_the_host(
    tmp_path: Path, owner: str, folder: str, target: str
):
    kept = tmp_path / "state" / "tasks" / KEY.name
    layers = {"/home/workload": kept / "home", "/tmp": kept / "tmp", "/dev/shm": kept / "shm"}
    outside = tmp_path / "outside"
    outside.mkdir()
    way = target.partition("link")[0] + "link"
    aim = outside / "file" if target == "link" else outside
    link_out(layers.get(folder, tmp_path / "app") / way, aim)
    (volume := tmp_path / "volume").write_text("content")
    bind = Bind(volume, f"{folder}/{target}", read_only=True)
    expected = rf"^volumes: {bind.target} leads through a link; use a real folder$"
    with pytest.raises(DriverError, match=expected):
        await run(tmp_path, owner, "true", binds=(bind,))
    assert not list(outside.iterdir())


async def test_a_folder_that_is_shown_below_a_link_of_the_workload_makes_nothing_on_the_host(
    tmp_path: Path, owner: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workdeed.node.drivers.sandbox.TEMPORARY", str(tmp_path))
    (shown := tmp_path / "shown" / "folder").mkdir(parents=True)
    (outside := tmp_path / "outside").mkdir()
    link_out(tmp_path / "state" / "tasks" / KEY.name / "tmp" / "shown", outside)
    with pytest.raises(DriverError, match=rf"^read_only: {shown} leads through a link"):
        await run(tmp_path, owner, "true", read_only=(shown,))
    assert not list(outside.iterdir())


async def test_no_volume_lies_inside_another_one(tmp_path: Path, owner: str):
    (outside := tmp_path / "outside").mkdir()
    (data := tmp_path / "data").mkdir()
    link_out(data / "link", outside)
    binds = (Bind(data, "/data"), Bind(data, "/data/link/made"))
    with pytest.raises(DriverError, match=r"^volumes: /data/link/made lies inside of /data; give"):
        await run(tmp_path, owner, "true", binds=binds)
    assert not list(outside.iterdir())


async def test_a_workload_can_not_replace_the_way_to_its_volumes(tmp_path: Path, owner: str):
    first, second = tmp_path / "first", tmp_path / "second"
    for volume in (first, second):
        volume.write_text(f"{volume.name}\n")
    binds = (
        Bind(first, "/app/a/b/first", read_only=True),
        Bind(second, "/app/a/second", read_only=True),
        Bind(tmp_path, "/data"),
    )
    ways = "/app/a /app/a/b /app/a/b/first"
    script = f"""
    cat /app/a/b/first /app/a/second
    for way in {ways}; do mv $way /app/z && echo moved; rm -rf $way && echo removed; done
    ln -sfn /oldroot /app/a && test -L /app/a && echo replaced
    touch /app/a/b/own && echo wrote
    """
    assert await run(tmp_path, owner, f"({script}) 2>/dev/null", binds=binds) == (
        "first\nsecond\nwrote\n"
    )
    assert (tmp_path / "app" / "a" / "b" / "own").exists()
