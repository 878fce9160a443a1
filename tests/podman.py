"""Podman's service of the tests' own: storage, network, socket and images in one folder.

It is started and ended by process id, and a test may restart it under running containers. There is
no registry to reach, so images are built from Debian's static busybox; one on loopback serves them
where a test pulls.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts._demo.ports import free_port

RUNC = Path("/usr/sbin/runc")
BUSYBOX = Path("/bin/busybox")
PLUGINS = Path("/usr/lib/cni/bridge")
REGISTRY = "docker-registry"
START_SECONDS = 60.0
_PODMANS_OWN = 88
"""10.88.0.0/16 is that of the network which every engine has."""

READER = "reader"
PASSWORD = "open sesame"
# bcrypt of the password, with the least cost.
_HTPASSWD = "reader:$2b$04$i1He4nRWFSOJTu/CZldIDe0JDxFhZznkblWedaeME5Djpp2ixUUb6\n"

BASE = """
FROM scratch
COPY root /
ENV PATH=/bin
"""

IMAGES = {
    "http": 'CMD ["httpd", "-f", "-v", "-p", "8080", "-h", "/www"]',
    # PID 1 ignores a SIGTERM that it has no handler for.
    "polite": """CMD ["sh", "-c", \
        "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done"]""",
    "crash": 'CMD ["sh", "-c", "echo about to fail; exit 3"]',
    "ill": 'CMD ["sleep", "1000000"]',
    "greedy": 'CMD ["sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done"]',
    "chatty": 'CMD ["sh", "-c", "while :; do echo a line that says nothing at all; done"]',
    "keeper": 'VOLUME /data\nCMD ["sleep", "1000000"]',
}


class Podman:
    """A service that a test may stop and start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "podman.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._built: set[str] = set()
        self._insecure: list[str] = []
        subnet, self._held = _own_subnet()
        for name in ("root", "run", "tmp", "net", "images"):
            (folder / name).mkdir()
        (folder / "containers.conf").write_text(
            "[engine]\n"
            'runtime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            # A command in a container leaves its supervisor behind for that long, else 5 minutes.
            "exit_command_delay = 5\n"
            f'lock_type = "file"\ntmp_dir = "{folder}/tmp"\n'
            f'[engine.runtimes]\nrunc = ["{RUNC}"]\n'
            "[network]\n"
            f'network_config_dir = "{folder}/net"\n'
            f'default_subnet_pools = [{{"base" = "10.{subnet}.0.0/16", "size" = 24}}]\n'
        )
        self._write_registries()

    @property
    def environment(self) -> dict[str, str]:
        """What `podman` runs with, the service and the command line alike."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
            "STORAGE_DRIVER": "vfs",
        }

    def run(self, *arguments: str) -> str:
        """Run the command line beside the service; return what it printed."""
        done = subprocess.run(
            self._command(*arguments), env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        """Start the service, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("system", "service", "--time", "0", f"unix://{self.socket}"),
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket(socket.AF_UNIX) as connection:
                if connection.connect_ex(str(self.socket)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"Podman did not start: {(self.folder / 'log').read_text()}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the service; containers run on."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)
            self._process = None
            self.socket.unlink(missing_ok=True)

    def image(self, name: str = "base") -> str:
        """Return one of the images, pinned; built when it is first asked for."""
        if name not in self._built:
            self.build(name, BASE if name == "base" else f"FROM {self._base()}\n{IMAGES[name]}\n")
            self._built.add(name)
        return self.digest(f"localhost/{name}")

    def build(self, name: str, recipe: str) -> None:
        """Build `localhost/<name>` from the text of a Containerfile."""
        context = self.folder / "images"
        if not (context / "root").exists():
            _make_root(context / "root")
        file = context / f"Containerfile.{name}"
        file.write_text(recipe)
        self.run(
            *("build", "--quiet", "--isolation=chroot", "--pull=never"),
            *("--file", str(file), "--tag", f"localhost/{name}", str(context)),
        )

    def digest(self, reference: str) -> str:
        """Return `reference` with the digest instead of its tag."""
        found = self.run("image", "inspect", "--format", "{{.Digest}}", reference)
        return f"{reference.rpartition(':')[0] or reference}@{found}"

    def trust(self, address: str) -> None:
        """Let the service pull from a registry without TLS; it is restarted for that."""
        self._insecure.append(address)
        self._write_registries()
        running = self._process is not None
        self.stop()
        if running:
            self.start()

    def close(self) -> None:
        """End and remove everything."""
        self.run("rm", "--all", "--force", "--time", "0")
        for network in self.run("network", "ls", "--format", "{{.Name}}").split():
            if network != "podman":
                self.run("network", "rm", "--force", network)
        self.stop()
        self._held.close()

    def _base(self) -> str:
        self.image("base")
        return "localhost/base"

    def _command(self, *arguments: str) -> list[str]:
        root, run = self.folder / "root", self.folder / "run"
        return [
            "podman",
            "--root",
            str(root),
            "--runroot",
            str(run),
            "--storage-driver",
            "vfs",
            *arguments,
        ]

    def _write_registries(self) -> None:
        text = "".join(
            f'[[registry]]\nlocation = "{address}"\ninsecure = true\n' for address in self._insecure
        )
        (self.folder / "registries.conf").write_text(text)


class Registry:
    """An image registry on loopback that asks for a login."""

    def __init__(self, folder: Path, podman: Podman) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._podman = podman
        (folder / "htpasswd").write_text(_HTPASSWD)
        (folder / "config.yml").write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
            f'http: {{addr: "{self.address}"}}\n'
            f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
        )
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [REGISTRY, "serve", str(folder / "config.yml")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the registry did not start: {(folder / 'log').read_text()}")

    def push(self, image: str, name: str) -> str:
        """Push `localhost/<image>` as `name:tag`; return the digest that it has there."""
        target = f"{self.address}/{name}"
        digest = self._podman.folder / "digest"
        self._podman.run(
            *("push", "--quiet", "--creds", f"{READER}:{PASSWORD}", "--digestfile", str(digest)),
            *(f"localhost/{image}", target),
        )
        return digest.read_text().strip()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(START_SECONDS)


def _own_subnet() -> tuple[int, socket.socket]:
    """Return a number from 64 to 127, and what keeps it from all others on this machine while open.

    Engines that draw networks from the same addresses give two containers the same one. Where the
    machine has networks of its own, there is nothing left to draw from.
    """
    addresses = [one.address for many in psutil.net_if_addrs().values() for one in many]
    free = [
        number
        for number in range(64, 128)
        if number != _PODMANS_OWN and not any(one.startswith(f"10.{number}.") for one in addresses)
    ]
    for number in secrets.SystemRandom().sample(free, len(free)):
        held = socket.socket(socket.AF_UNIX)
        try:
            # Without a file: it is free again when its process ends, however that comes about.
            held.bind(f"\0workdeed-tests-10.{number}")
        except OSError:
            held.close()
        else:
            return number, held
    raise RuntimeError("10.64.0.0/10: other tests use all of it; wait for their end")


def _make_root(folder: Path) -> None:
    """Make what a small system has: busybox under all of its names, two users, a page."""
    for name in ("bin", "etc", "run", "tmp", "www"):
        (folder / name).mkdir(parents=True)
    (folder / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, folder / "bin" / "busybox")
    names = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True)
    for name in names.stdout.split():
        if name != "busybox":
            (folder / "bin" / name).symlink_to("busybox")
    (folder / "www" / "index.html").write_text("hello\n")
    users = "root:x:0:0::/:/bin/sh\nworker:x:1000:1000::/tmp:/bin/sh\n"
    (folder / "etc" / "passwd").write_text(users)


def _is_static(program: Path) -> bool:
    return subprocess.run(["ldd", program], capture_output=True).returncode != 0


def missing() -> str:
    """Return what this machine lacks for these tests, "" if nothing."""
    if os.geteuid() != 0:
        return "Podman's tests need root"
    packages = {
        "podman": shutil.which("podman") is not None,
        "runc": RUNC.exists(),
        "busybox-static": BUSYBOX.exists() and _is_static(BUSYBOX),
        "docker-registry": shutil.which(REGISTRY) is not None,
        "containernetworking-plugins": PLUGINS.exists(),
        "iptables": shutil.which("iptables", path="/usr/sbin:/sbin:/usr/bin") is not None,
    }
    absent = [name for name, there in packages.items() if not there]
    return f"install the packages {', '.join(absent)}" if absent else ""


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """A running service; ended with the session, containers and networks with it."""
    if reason := missing():
        pytest.skip(reason)
    # Short, as the path of a socket must be.
    with tempfile.TemporaryDirectory(prefix="workdeed-pod-") as folder:
        service = Podman(Path(folder))
        service.start()
        yield service
        service.close()


@pytest.fixture(scope="session")
def image_registry(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A running registry that the service trusts."""
    made = Registry(tmp_path_factory.mktemp("registry"), podman)
    podman.trust(made.address)
    yield made
    made.stop()
