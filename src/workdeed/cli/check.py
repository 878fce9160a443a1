"""The command `check`."""

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workdeed.cli.errors import Failure
from workdeed.cli.network import Network, json_option, network_options, run_async
from workdeed.cli.output import emit_json, emit_table

if TYPE_CHECKING:
    from workdeed.node.findings import Finding


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings of a keeper or a node; without them only the network is checked.",
)
@json_option
@network_options
def check(config: Path | None, as_json: bool, network: Network) -> None:
    """Check the surroundings and say what to mend; fails if anything is wrong.

    With --config: chain, contracts, clock, keys, seat, balance, database and peers of a keeper; or
    what a node runs workloads with, which limits hold, and whether it has what it offers.
    """
    findings = run_async(_collect(_findings(config, network)))
    if as_json:
        emit_json([{"name": one.name, "ok": one.ok, "text": _text(one)} for one in findings])
    else:
        rows = [("ok" if one.ok else "MEND", one.name, _text(one)) for one in findings]
        emit_table("Check", ("", "what", "found"), rows)
    wrong = [one for one in findings if not one.ok]
    if wrong:
        raise Failure(f"{len(wrong)} of {len(findings)} checks failed; first: {wrong[0].problem}")


def _findings(config: Path | None, network: Network) -> "AsyncIterator[Finding]":
    from workdeed.keeper.checks import check_keeper
    from workdeed.keeper.settings import load_settings

    if config is None:
        return _network(network)
    return _node(config) if _is_of_node(config) else check_keeper(load_settings(config))


def _is_of_node(config: Path) -> bool:
    try:
        return "node" in tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # whoever reads the settings says what is wrong with the file


def _node(config: Path) -> "AsyncIterator[Finding]":
    from workdeed.node.checks import check_node
    from workdeed.node.settings import load_settings

    return check_node(load_settings(config))


async def _network(network: Network) -> "AsyncIterator[Finding]":
    from workdeed.chain.rpc import RpcClient
    from workdeed.keeper.checks import check_network

    deployment = network.deployment()
    async with RpcClient(network.rpc_url(deployment)) as rpc:
        async for finding in check_network(rpc, deployment):
            yield finding


async def _collect(findings: "AsyncIterator[Finding]") -> "list[Finding]":
    return [finding async for finding in findings]


def _text(finding: "Finding") -> str:
    return finding.problem or finding.note
