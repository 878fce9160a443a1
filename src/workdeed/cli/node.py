"""The commands `node run` and `node profile`."""

from pathlib import Path

import click

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Its settings, TOML; WORKDEED_NODE__KEY overrides single ones.",
)


@click.group()
def node() -> None:
    """Run the agent of a node."""


@node.command()
@CONFIG
def run(config: Path) -> None:
    """Run a node agent until SIGTERM or Ctrl-C."""
    from workdeed.cli.network import run_async
    from workdeed.node.run import run as run_node
    from workdeed.node.settings import load_settings

    run_async(run_node(load_settings(config)))


@node.command()
@CONFIG
def profile(config: Path) -> None:
    """Show the profile that a node would announce, and its hash for `license profile --hash`."""
    from workdeed.cli.output import emit_json
    from workdeed.node.run import profile_of
    from workdeed.node.settings import load_settings

    found = profile_of(load_settings(config))
    emit_json(
        {
            "hash": "0x" + found.profile_hash.hex(),
            "profile": found.model_dump(mode="json", by_alias=True),
        }
    )
