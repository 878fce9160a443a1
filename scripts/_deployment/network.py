"""From what is typed behind `--network` to a connected provider."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ape import config, networks
from ape.api import ProviderAPI
from ape.exceptions import ApeException
from requests import RequestException
from web3.exceptions import Web3Exception

from scripts._deployment.engine import one_line
from scripts._deployment.errors import DeployError

LOCAL_ANVIL: Final = "ethereum:local:foundry"
_URL: Final = re.compile(r"(https?|wss?)://\S+")
_LOOPBACK: Final = re.compile(r"http://(127\.\d+\.\d+\.\d+|localhost)(:\d+)?/?")
_UNSET: Final = re.compile(r"\$\{?(\w+)\}?")


@contextmanager
def connected(choice: str) -> Iterator[ProviderAPI]:
    """Connect to a network for a while.

    Args:
        choice: an ape network choice, or the http address of an anvil on this machine.

    Raises:
        DeployError: if there is no such network, its RPC address is not set, nobody answers there,
            or it is another chain.

    """
    context = _context(choice)
    try:
        provider = context.__enter__()
    except (ApeException, Web3Exception, RequestException, OSError) as error:
        raise DeployError(
            f"network {choice}: cannot connect ({one_line(error)}); check that its node runs and"
            " that the address is right"
        ) from error
    try:
        yield provider
    finally:
        context.__exit__(None)


def _context(choice: str) -> Any:
    """Return ape's context of a network, not yet entered."""
    settings: dict[str, Any] | None = None
    if _LOOPBACK.fullmatch(choice):
        settings = {"host": choice.rstrip("/"), "manage_process": False}
        choice = LOCAL_ANVIL
    elif _URL.fullmatch(choice):
        raise DeployError(
            f"network {choice}: an address alone is taken on this machine only; name the network,"
            " as in ethereum:sepolia:node"
        )
    try:
        context = networks.parse_network_choice(choice, provider_settings=settings)
    except ApeException as error:
        raise DeployError(f"network {choice}: {one_line(error)}") from error
    if settings is None:
        _require_rpc(choice)
    return context


def _require_rpc(choice: str) -> None:
    """Refuse to let ape pick some public RPC: it could hide a transaction, or show another chain.

    Raises:
        DeployError: if a public network has no RPC address, or its variable is not set.

    """
    if "://" in choice:
        return
    ecosystem, network, *provider = (*choice.split(":", 2), "")[:3]
    if network in ("", "local") or network.endswith("-fork") or provider[0] not in ("", "node"):
        return
    ecosystem = ecosystem or networks.default_ecosystem_name
    settings = config.get_config("node").model_dump().get(ecosystem) or {}
    uri = (settings.get(network) or {}).get("uri")
    if not uri:
        raise DeployError(
            f"network {choice}: no RPC address; set node.{ecosystem}.{network}.uri in"
            " ape-config.yaml"
        )
    if unset := _UNSET.fullmatch(str(uri)):
        raise DeployError(f"network {choice}: {unset[1]} is not set; set it to the RPC's address")
