"""`ape run deploy --network ...`: deploy the contracts, or go on where an earlier run stopped.

Writes `deployments/<chain id>.json` after every step and checks at the end that what stands is what
it says. Where all stands already, it only checks, and sends nothing. See docs/deployment.md.
"""

import warnings
from pathlib import Path

import click


@click.command()
@click.option(
    "--network",
    default="ethereum:local:foundry",
    show_default=True,
    help="An ape network, or the address of an anvil on this machine: http://127.0.0.1:<port>.",
)
@click.option(
    "--parameters",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file with what to deploy; on a local chain deployments/presets/local.toml.",
)
@click.option(
    "--account",
    envvar="WORKDEED_DEPLOYER",
    help="Alias of the ape account that deploys; on a local chain the first test account.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The record; deployments/<chain id>.json unless given.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the first transaction.")
def cli(
    network: str, parameters: Path | None, account: str | None, output: Path | None, yes: bool
) -> None:
    """Deploy the contracts to a network, or finish and check a deployment that stands."""
    # ape-vyper's settings name a type that pydantic resolves later; it is no concern of the caller.
    warnings.filterwarnings("ignore", message="Field 'import_remapping'")
    # ape loads this file for every `ape run`, and what follows takes its time.
    from ape.exceptions import ApeException
    from requests import RequestException
    from web3.exceptions import Web3Exception

    from scripts._deployment.engine import one_line
    from scripts._deployment.network import connected
    from scripts._deployment.session import Options, deploy
    from scripts._deployment.tools import find_tools
    from workdeed.chain.errors import ChainError

    find_tools()
    try:
        with connected(network) as provider:
            deploy(provider, Options(parameters, account, output, yes), click.echo)
    except (ChainError, ApeException, Web3Exception, RequestException) as error:
        raise click.ClickException(one_line(error)) from error
