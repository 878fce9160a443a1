"""Which chain a command works on and with which key: the options that commands share."""

import asyncio
import functools
import json
import os
import tomllib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from workdeed.cli.errors import Failure
from workdeed.cli.output import note

if TYPE_CHECKING:
    from workdeed.chain.deployment import Deployment
    from workdeed.chain.keys import LocalSigner
    from workdeed.sdk.client import Client

P = ParamSpec("P")
T = TypeVar("T")

NETWORKS = {"local": 31_337, "sepolia": 11_155_111, "base-sepolia": 84_532}
"""Names of networks; every other one is given by its chain id or its deployment file."""

LOCAL_RPC = "http://127.0.0.1:8545"
DEPLOYMENTS = Path("deployments")
KEY_ENV = "WORKDEED_PRIVATE_KEY"
PASSPHRASE_ENV = "WORKDEED_PASSPHRASE"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Network:
    """What the shared options say.

    Attributes:
        name: a name, a chain id or a deployment file.
        rpc: address of the RPC; None stands for the local one.
        keepers: addresses of keepers; none stands for those on chain.

    """

    name: str
    rpc: str | None
    keepers: tuple[str, ...] = ()

    def deployment(self) -> "Deployment":
        """Return the deployment; raises `Failure` for an unknown network."""
        from workdeed.chain.deployment import load_deployment

        path = Path(self.name)
        if path.suffix == ".json" or path.is_file():
            return load_deployment(path)
        chain_id = NETWORKS.get(self.name, int(self.name) if self.name.isdecimal() else None)
        if chain_id is None:
            known = ", ".join(NETWORKS)
            raise Failure(
                f"--network: {self.name!r} is unknown; name {known}, a chain id or a file"
            )
        return load_deployment(DEPLOYMENTS, chain_id)

    def rpc_url(self, deployment: "Deployment") -> str:
        """Return the RPC's address; raises `Failure` where none is given and the chain is far."""
        if self.rpc is not None:
            return self.rpc
        if deployment.chain_id != NETWORKS["local"]:
            raise Failure(f"--rpc: chain {deployment.chain_id} needs one; give its address")
        return LOCAL_RPC


@dataclass(frozen=True)
class Key:
    """Where the key of the transactions is: a keystore file, or a clear one in the environment."""

    keystore: Path | None
    key_env: str | None

    def signer(self) -> "LocalSigner":
        """Return the signer; asks for a keystore's passphrase on a terminal.

        Raises:
            Failure: if no key is named.
            KeySourceError: if it cannot be had.

        """
        from workdeed.chain.keys import KeySource, LocalSigner, load_key

        if self.keystore is not None:
            environment = dict(os.environ)
            if not {PASSPHRASE_ENV, f"{PASSPHRASE_ENV}_FILE"} & environment.keys():
                environment[PASSPHRASE_ENV] = _ask_passphrase(self.keystore)
            source = KeySource(keystore=self.keystore, passphrase_env=PASSPHRASE_ENV)
            return LocalSigner(load_key(source, environment))
        name = self.key_env or KEY_ENV
        if name not in os.environ and f"{name}_FILE" not in os.environ:
            raise Failure(
                f"key: none is named; give --keystore FILE, or set {name} or {name}_FILE to one"
            )
        return LocalSigner(load_key(KeySource(private_key_env=name)))


def network_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that say which chain; the command gets a `Network` as `network`."""

    @click.option(
        "--network",
        "network_name",
        default="local",
        show_default=True,
        envvar="WORKDEED_NETWORK",
        help="Network, chain id or deployment file.",
    )
    @click.option("--rpc", envvar="WORKDEED_RPC", help="Address of the RPC.")
    @click.option(
        "--keeper",
        "keepers",
        multiple=True,
        envvar="WORKDEED_KEEPERS",
        help="Address of a keeper; repeat it for more. Default: those on chain.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any, network_name: str, rpc: str | None, keepers: tuple[str, ...], **kwargs: Any
    ) -> T:
        return command(*args, network=Network(network_name, rpc, keepers), **kwargs)

    return wrapped


def key_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that say which key sends; the command gets a `Key` as `key`."""

    @click.option(
        "--keystore",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="WORKDEED_KEYSTORE",
        help=f"Encrypted key file; its passphrase from {PASSPHRASE_ENV}, its _FILE, or asked for.",
    )
    @click.option("--key-env", help=f"Variable with a clear key, for test chains. [{KEY_ENV}]")
    @functools.wraps(command)
    def wrapped(*args: Any, keystore: Path | None, key_env: str | None, **kwargs: Any) -> T:
        return command(*args, key=Key(keystore, key_env), **kwargs)

    return wrapped


def payer_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--for`, the payer that a delegate acts for; the command gets an address as `payer`."""

    @click.option("--for", "payer_text", metavar="PAYER", help="Act as a delegate of this account.")
    @functools.wraps(command)
    def wrapped(*args: Any, payer_text: str | None, **kwargs: Any) -> T:
        payer = None if payer_text is None else parse_address(payer_text, "--for")
        return command(*args, payer=payer, **kwargs)

    return wrapped


def json_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--json`; the command gets it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def with_client(
    network: Network,
    work: "Callable[[Client], Awaitable[T]]",
    key: Key | None = None,
) -> T:
    """Run `work` with a client of the network, sending with `key`, and return its result."""

    async def run() -> T:
        from workdeed.chain.rpc import RpcClient
        from workdeed.sdk.client import Client

        deployment = network.deployment()
        rpc_url = network.rpc_url(deployment)
        signer = key.signer() if key is not None else None
        async with RpcClient(rpc_url) as rpc:
            client = await Client.connect(
                rpc,
                deployment,
                signer,
                keepers=network.keepers,
                allow_private=deployment.chain_id == NETWORKS["local"],
                on_mined=_tell_mined,
            )
            async with client:
                return await work(client)

    return run_async(run())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; Ctrl-C ends the command."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise click.Abort from None


def read_document(path: Path) -> object:
    """Return a parsed JSON or TOML file; raises `Failure` if it is neither or cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path}: cannot read it ({error.strerror})") from error
    except UnicodeDecodeError:
        raise Failure(f"{path}: it is not text") from None
    try:
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except ValueError as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise Failure(f"{path}: it is not {kind} ({error})") from error


def parse_address(text: str, field: str) -> str:
    """Return a checksummed address; a wrong checksum in mixed case is refused as a typing error."""
    from workdeed.protocol.errors import SignatureError
    from workdeed.protocol.signing import to_checksum

    try:
        address = to_checksum(text.lower() if text[:2] == "0X" else text)
    except SignatureError:
        raise Failure(f"{field}: {text!r} is no address; write 0x and 40 hex digits") from None
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and text != address:
        raise Failure(f"{field}: the checksum of {text} is wrong; copy the address anew")
    return address


def parse_hash(text: str | None, field: str) -> bytes:
    """Return 32 bytes from 0x-hex, zeros without text; raises `Failure` if it is malformed."""
    if text is None:
        return bytes(32)
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != 32:
        raise Failure(f"{field}: {text!r} is no hash; write 0x and 64 hex digits")
    return value


def _ask_passphrase(keystore: Path) -> str:
    if not click.get_text_stream("stdin").isatty():
        raise Failure(f"keystore {keystore}: set {PASSPHRASE_ENV} or {PASSPHRASE_ENV}_FILE")
    answer: str = click.prompt(f"Passphrase of {keystore}", hide_input=True, err=True)
    return answer


def _tell_mined(name: str, tx_hash: bytes) -> None:
    note(f"mined {name.partition('.')[2]} 0x{tx_hash.hex()}")
