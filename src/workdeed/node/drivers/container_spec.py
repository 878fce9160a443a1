"""What an engine is told to make for a task: names, labels, limits and what is locked."""

import contextlib
import os
import re
import resource
import stat
from pathlib import Path
from typing import Any, Final

from workdeed.node.drivers.base import Bind, Limits, Task, TaskKey
from workdeed.node.drivers.container_engine import PODMAN
from workdeed.node.errors import DriverError

APP: Final = "/app"
OWNER_LABEL: Final = "workdeed.owner"
TASK_LABEL: Final = "workdeed.task"

CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
"""What is left of root: enough for images that start as root, own their folders and step down."""

_OWNER = re.compile(r"[A-Za-z0-9]{1,64}")
_IMAGE = re.compile(r"(?:[^\s@]+@)?sha256:[0-9a-f]{64}")
_MB: Final = 1_000_000
_CPU_PERIOD_MICROSECONDS: Final = 100_000
_LEAST_CPU_MILLI: Final = 10
# Docker makes no container with less.
_LEAST_MEMORY_BYTES: Final = 6 * 1024 * 1024
# Podman leaves itself no more, and without CAP_SYS_RESOURCE nobody can raise it again.
_MOST_PROCESSES: Final = 32_768
_OPEN: Final = 0o777


def container_name(owner: str, key: TaskKey) -> str:
    """Return the name of the container of `key`: unique in an engine, hence never two of them.

    Raises:
        DriverError: if `owner` can't be part of a name.

    """
    return f"workdeed-{_checked(owner)}-{key.name}"


def network_name(owner: str, key: TaskKey) -> str:
    """Return the name of the network that all tasks of one license in one job share."""
    escrow = key.escrow.lower().removeprefix("0x")
    return f"workdeed-{_checked(owner)}-{escrow}-{key.job_id}-{key.license_id}"


def labels(owner: str, key: TaskKey) -> dict[str, str]:
    """Return the labels by which a container is found again: they are the driver's records."""
    return {OWNER_LABEL: owner, TASK_LABEL: key.name}


def arguments(
    client: Any, task: Task, owner: str, *, kind: str, host: str, log_bytes: int
) -> dict[str, Any]:
    """Return the arguments of the SDK's `create_container` for `task`.

    Args:
        client: the SDK's `APIClient`.
        task: what is to run.
        owner: id of the agent.
        kind: of engine.
        host: address of this machine that ports are published on.
        log_bytes: how much of the output the engine keeps.

    Raises:
        DriverError: if the task can't be run in a container.

    """
    import docker.types

    if not _IMAGE.fullmatch(task.image):
        raise DriverError(
            f"image: {task.image!r} is not pinned by a digest; give name@sha256:... to run"
        )
    entrypoint, command = _commands(task)
    return {
        "image": task.image,
        "name": container_name(owner, task.key),
        "labels": labels(owner, task.key),
        "entrypoint": entrypoint,
        "command": command,
        "environment": dict(task.env),
        "user": task.user or None,
        "working_dir": f"{APP}/{task.subdirectory}".rstrip("/") if task.mount_tree else None,
        "ports": [port.inside for port in task.ports],
        # The agent's own checks count; an image's would be run as often as its author liked.
        "healthcheck": docker.types.Healthcheck(test=["NONE"]),
        # The SDK would hand the proxy of the operator's own account to the task, password and all.
        "use_config_proxy": False,
        "host_config": client.create_host_config(
            network_mode=network_name(owner, task.key),
            port_bindings={port.inside: (host, port.host) for port in task.ports},
            mounts=[_mount(bind) for bind in _binds(task)],
            log_config=_log_config(kind, log_bytes),
            cap_drop=["ALL"],
            cap_add=list(CAPABILITIES),
            security_opt=["no-new-privileges"],
            # Low ports need no capability, root or not, in a network of one's own.
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
            **_limits(task.limits),
        ),
    }


def open_folders(task: Task) -> None:
    """Let any user inside write the folders that the task may write, where they are still shut.

    An image's user has another number than the agent's. The folders lie in the agent's state,
    which no other user of the machine can enter.
    """
    writable = [bind.source for bind in _binds(task) if not bind.read_only]
    for path in writable:
        with contextlib.suppress(PermissionError):
            found = path.stat()
            shut = not stat.S_IMODE(found.st_mode) & 0o077
            # One that the task has taken for its own is left as the task wants it.
            if path.is_dir() and shut and found.st_uid == os.geteuid():
                path.chmod(_OPEN)


def _checked(owner: str) -> str:
    if not _OWNER.fullmatch(owner):
        raise DriverError(f"owner: {owner!r} must be 1 to 64 letters or digits")
    return owner


def _commands(task: Task) -> tuple[list[str] | None, list[str] | None]:
    """Return entrypoint and command; an empty list would mean the image's own to an engine."""
    argv = list(task.argv)
    if task.entrypoint is None:
        return None, argv or None
    if not task.entrypoint:
        if not argv:
            raise DriverError("argv: with an empty entrypoint it must name a command; set run")
        return argv[:1], argv[1:] or None
    return list(task.entrypoint), argv or None


def _binds(task: Task) -> list[Bind]:
    binds = [Bind(path, str(path), read_only=True) for path in task.mounts]
    if task.mount_tree:
        root = task.directory.resolve()
        if not (root / task.subdirectory).resolve().is_relative_to(root):
            raise DriverError(
                "subdirectory: it leads out of the task's directory; use a real folder"
            )
        binds.append(Bind(root, APP))
    return [*binds, *task.binds]


def _mount(bind: Bind) -> Any:
    import docker.types

    if not bind.source.exists():
        raise DriverError(f"binds: {bind.source} is not there; prepare the task again")
    return docker.types.Mount(
        bind.target, str(Path(bind.source).resolve()), type="bind", read_only=bind.read_only
    )


def _log_config(kind: str, log_bytes: int) -> Any:
    import docker.types

    if kind == PODMAN:
        return docker.types.LogConfig(type="k8s-file", config={"max-size": str(log_bytes)})
    # Two files: the older one is dropped whole when the newer one is full.
    config = {"max-size": str(max(1, log_bytes // 2)), "max-file": "2"}
    return docker.types.LogConfig(type="json-file", config=config)


def _limits(limits: Limits) -> dict[str, Any]:
    memory = max(limits.memory_mb * _MB, _LEAST_MEMORY_BYTES)
    cpu_milli = max(limits.cpu_milli, _LEAST_CPU_MILLI)
    return {
        "mem_limit": memory,
        # Memory and swap together: no swap beyond the memory.
        "memswap_limit": memory,
        "cpu_period": _CPU_PERIOD_MICROSECONDS,
        "cpu_quota": cpu_milli * _CPU_PERIOD_MICROSECONDS // 1_000,
        "pids_limit": limits.processes,
        "ulimits": [
            _ulimit("core", resource.RLIMIT_CORE, 0),
            _ulimit("fsize", resource.RLIMIT_FSIZE, limits.storage_mb * _MB),
            _ulimit("nofile", resource.RLIMIT_NOFILE, limits.open_files),
            # It counts all processes of the user's number on this machine, whatever container they
            # are in, so it can't be the task's limit: that is `pids_limit`.
            _ulimit("nproc", resource.RLIMIT_NPROC, _MOST_PROCESSES),
        ],
    }


def _ulimit(name: str, number: int, wanted: int) -> Any:
    """Return a limit that the engine can set: none above its own, taken to be the agent's."""
    import docker.types

    hard = resource.getrlimit(number)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    return docker.types.Ulimit(name=name, soft=value, hard=value)
