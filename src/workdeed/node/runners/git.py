"""Command lines for git that fetch one pinned commit from an address nobody here trusts.

No prompt, no configuration of the machine, no hooks, no submodules, no redirects; a host is
resolved once and pinned.
"""

import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from workdeed.intent import Credentials
from workdeed.node.addresses import AddressRefusedError, resolve
from workdeed.node.errors import RunnerError
from workdeed.node.runners.base import RunnerOptions

PUBLIC_PROTOCOLS: Final = ("https", "ssh", "git")
PRIVATE_PROTOCOLS: Final = (*PUBLIC_PROTOCOLS, "http", "file")

_PORTS: Final = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_HARDENING: Final = (
    "protocol.version=2",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "http.followRedirects=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
    "gc.auto=0",
)


@dataclass(frozen=True, slots=True)
class Remote:
    """An address as git gets it.

    Attributes:
        url: what follows `--` on the command line.
        config: further `-c` settings.
        env: further variables.
        mounts: paths of the host that git must be able to read.

    """

    url: str
    config: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Path, ...] = ()


async def open_remote(url: str, options: RunnerOptions, shared: Path, private: Path) -> Remote:
    """Check `url` against the operator's options and pin its host.

    Args:
        url: as the spec has it.
        options: what the operator allows.
        shared: a configuration file that trusts local repositories, used for local paths only.
        private: folder of the agent, from which nothing may be fetched.

    Raises:
        RunnerError: if the address is not allowed here.

    """
    protocol, host, port = _parts(url)
    allowed = PRIVATE_PROTOCOLS if options.allow_private_endpoints else PUBLIC_PROTOCOLS
    if protocol not in allowed:
        raise RunnerError(f"source.git.url: {protocol} is not allowed here; use https")
    if protocol == "file":
        return _local(url, shared, private)
    try:
        address = await resolve(host, port, allow_private=options.allow_private_endpoints)
    except AddressRefusedError as error:
        raise RunnerError(f"source.git.url: {error}") from error
    if protocol == "ssh":
        return _ssh(url, host, address, options)
    pinned = f"[{address}]" if ":" in address else address
    if protocol == "git":
        target = urlsplit(url)._replace(netloc=f"{pinned}:{port}").geturl()
        return Remote(target, env={"GIT_OVERRIDE_VIRTUAL_HOST": f"{host}:{port}"})
    return Remote(url, config=(f"http.curloptResolve={host}:{port}:{pinned}",))


def command(remote: Remote | None, *arguments: str) -> tuple[str, ...]:
    """Return a git command line with everything dangerous switched off."""
    settings = (*_HARDENING, *(remote.config if remote is not None else ()))
    return ("git", *(word for setting in settings for word in ("-c", setting)), *arguments)


def environment(remote: Remote | None, options: RunnerOptions) -> dict[str, str]:
    """Return the variables that git runs with."""
    allowed = PRIVATE_PROTOCOLS if options.allow_private_endpoints else PUBLIC_PROTOCOLS
    return {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ALLOW_PROTOCOL": ":".join(allowed),
        "GIT_LFS_SKIP_SMUDGE": "1",
        **(remote.env if remote is not None else {}),
    }


def login(credentials: Credentials, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return variables by which git logs in over https; they stand on no command line.

    Raises:
        RunnerError: if the secret is not there.

    """
    password = secrets.get(credentials.secret)
    if password is None:
        raise RunnerError(f"secrets: {credentials.secret} is not sealed for this license")
    pair = base64.b64encode(f"{credentials.username}:{password}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
    }


def _parts(url: str) -> tuple[str, str, int]:
    """Return protocol, host and port of an address that the spec's model has accepted."""
    if url.startswith("-"):
        raise RunnerError("source.git.url: it must not begin with '-'; write https://host/path")
    if url.startswith("/"):
        return "file", "", 0
    if "://" not in url:
        return "ssh", url.partition("@")[2].partition(":")[0], _PORTS["ssh"]
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise RunnerError(f"source.git.url: {error}; write https://host/path") from error


def _local(url: str, shared: Path, private: Path) -> Remote:
    path = Path(urlsplit(url).path if url.startswith("file:") else url).resolve()
    inside = path.is_relative_to(private) or private.is_relative_to(path)
    if inside or not ((path / ".git").exists() or (path / "HEAD").exists()):
        raise RunnerError(f"source.git.url: there is no repository at {path}; check the path")
    env = {"GIT_CONFIG_GLOBAL": str(shared)}
    return Remote(f"file://{path}", env=env, mounts=(path, shared))


def _ssh(url: str, host: str, address: str, options: RunnerOptions) -> Remote:
    key, known_hosts = options.ssh_key, options.ssh_known_hosts
    if key is None or known_hosts is None:
        raise RunnerError(
            "source.git.url: this node has no identity for ssh; use https, or set git.ssh_key and "
            "git.ssh_known_hosts on the node"
        )
    choices = (
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={known_hosts}",
        f"HostName={address}",
        f"HostKeyAlias={host}",
    )
    words = ["ssh", "-F", "/dev/null", "-i", str(key)]
    words += [word for choice in choices for word in ("-o", choice)]
    env = {"GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh"}
    return Remote(url, env=env, mounts=(key, known_hosts))
