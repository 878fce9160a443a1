"""Command lines for bubblewrap (`bwrap`), which locks a task in.

Inside, a task sees the system read-only, its own directory at /app, a home and temporary folders
of its own, its own processes only, and no file of the agent. The network is the host's.
"""

import asyncio
import contextlib
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workdeed.node.drivers.base import NOT_ENFORCED, Bind
from workdeed.node.drivers.devices import own_devices
from workdeed.node.drivers.mount_points import MountPoints
from workdeed.node.errors import DriverError
from workdeed.node.files import private_directory, write_atomic

APP = "/app"
HOME = "/home/workload"
# Folders of the task's own, which only the task sees at these places.
TEMPORARY = "/tmp"  # noqa: S108
SHARED_MEMORY = "/dev/shm"  # noqa: S108
USER = 1000

_CHECK_SECONDS = 10.0
_PRLIMIT = "/usr/bin/prlimit"
_ROOT_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    # Not `pki` and `ssl` as a whole: private keys lie beside what everybody reads.
    "pki/ca-trust",
    "pki/java",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
)
SYSTEM: Final = tuple(Path(one) for one in ("/usr", *_ROOT_LINKS))
"""Folders of programs and libraries that every task sees."""

SHOWN: Final = (*SYSTEM, *(Path("/etc", one) for one in _ETC))
"""All that every task sees of the machine."""

_PASSWD = f"workload:x:{USER}:{USER}::{HOME}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_GROUP = f"workload:x:{USER}:\nnogroup:x:65534:\n"


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders of the host for a task: its tree, home, /tmp, /dev/shm, and what else it sees.

    `read_only` lies inside at the same place, `binds` each at its own. `devices` is for devices of
    the task's own, where it needs them.
    """

    app: Path
    home: Path
    temporary: Path
    shared_memory: Path
    devices: Path
    read_only: Sequence[Path] = ()
    binds: Sequence[Bind] = ()


class Sandbox:
    """A working bubblewrap."""

    def __init__(self, program: str, version: tuple[int, ...], accounts: Path) -> None:
        """Use the `program` of that `version`; `accounts` holds the passwd and group shown."""
        self._program = program
        self.version = version
        self._accounts = accounts

    @classmethod
    async def find(cls, accounts: Path) -> "Sandbox | str":
        """Return a sandbox that was seen to work here, or the reason why there is none."""
        program = shutil.which("bwrap")
        if program is None:
            return "bubblewrap is not installed"
        code, output = await _run([program, "--version"])
        if code != 0:
            return f"bubblewrap does not run: {output}"
        version = tuple(int(part) for part in re.findall(r"\d+", output)[:3])
        write_atomic(private_directory(accounts) / "passwd", _PASSWD.encode())
        write_atomic(accounts / "group", _GROUP.encode())
        sandbox = cls(program, version, accounts)
        try:
            devices = _device_options(accounts / "dev")
        except DriverError as error:
            return str(error)
        options = [*sandbox._isolation(), *sandbox._system(), *devices]
        code, output = await _run([program, *options, "true"])
        return sandbox if code == 0 else f"bubblewrap can't make a sandbox here: {output}"

    @property
    def namespaces(self) -> str:
        """Whether a task can make namespaces of its own, for people; see `Fingerprint`."""
        if self._closes_namespaces:
            return "none can be made inside"
        return f"{NOT_ENFORCED}: tasks can make some, install bubblewrap 0.8 or later"

    @property
    def _closes_namespaces(self) -> bool:
        return self.version >= (0, 8)

    def command(self, argv: Sequence[str], processes: int) -> list[str]:
        """Return the command line that runs `argv` inside; `--args` goes after its first word."""
        return [self._program, "--", *_process_limit(processes), *argv]

    def arguments(self, layout: Layout, env: dict[str, str], subdirectory: str) -> list[str]:
        """Return bwrap's options for one task.

        Raises:
            DriverError: if one can't be told to bwrap as it is, a link of the task's own leads to a
                place where something is shown, or there can be no devices.

        """
        _refuse_nul("volumes", [bind.target for bind in layout.binds])
        options = [*self._isolation(), *self._system(), *_device_options(layout.devices)]
        folders = {
            APP: layout.app,
            HOME: layout.home,
            TEMPORARY: layout.temporary,
            SHARED_MEMORY: layout.shared_memory,
        }
        for target, folder in folders.items():
            options += ["--bind", str(folder), target]
        points = MountPoints(folders)
        for path in layout.read_only:
            options += points.read_only(path)
        for bind in layout.binds:
            options += points.volume(bind)
        options += ["--remount-ro", "/dev", "--remount-ro", "/"]
        variables = [part for name, value in env.items() for part in ("--setenv", name, value)]
        place = ["--chdir", f"{APP}/{subdirectory}" if subdirectory else APP]
        for field, parts in (("volumes", options), ("env", variables), ("subdirectory", place)):
            _refuse_nul(field, parts)
        return [*options, *variables, *place]

    def _isolation(self) -> list[str]:
        options = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
        options += ["--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL"]
        options += ["--uid", str(USER), "--gid", str(USER), "--hostname", "workload"]
        if self._closes_namespaces:
            options.append("--disable-userns")
        return options

    def _system(self) -> list[str]:
        return ["--ro-bind", "/usr", "/usr", *_root_folders(), *self._etc(), *_kernel_folders()]

    def _etc(self) -> Iterator[str]:
        for name in _ETC:
            path = Path("/etc", name)
            if path.exists():
                # Resolved, as /etc/resolv.conf often points into a folder that is not shown inside.
                yield from ("--ro-bind", str(path.resolve()), str(path))
        for name in ("passwd", "group"):
            yield from ("--ro-bind", str(self._accounts / name), f"/etc/{name}")


def _root_folders() -> Iterator[str]:
    for name in _ROOT_LINKS:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)


def _kernel_folders() -> tuple[str, ...]:
    # The kernel lets its own root write to /proc, whatever a task's user is called inside: with an
    # agent that runs as root, a task could set what the whole machine goes by.
    processes = ("--proc", "/proc", "--remount-ro", "/proc")
    return (*processes, "--dev", "/dev", "--tmpfs", TEMPORARY)


def _device_options(folder: Path) -> list[str]:
    devices = own_devices(folder).items()
    return [part for place, path in devices for part in ("--dev-bind", str(path), place)]


def _process_limit(processes: int) -> list[str]:
    # Set inside, where the kernel counts the processes of this sandbox alone (Linux 5.14 and
    # later).
    if not Path(_PRLIMIT).exists():
        return []
    return [_PRLIMIT, f"--nproc={processes}", "--"]


def _refuse_nul(field: str, options: Sequence[str]) -> None:
    # bwrap reads its options with a NUL after each: what follows one would be an option itself.
    if any("\0" in option for option in options):
        raise DriverError(f"{field}: a value holds a NUL character; remove it")


async def _run(argv: Sequence[str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin"},
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _CHECK_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return -1, "it does not answer"
    return process.returncode or 0, output.decode(errors="replace").strip()
