"""The command `keeper run`."""

from pathlib import Path

import click

from workdeed.cli.errors import Failure


@click.group()
def keeper() -> None:
    """Run the keeper of an oracle or an operator."""


@keeper.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Its settings, TOML; WORKDEED_SECTION__KEY overrides single ones.",
)
def run(config: Path) -> None:
    """Run a keeper until SIGTERM or Ctrl-C."""
    from workdeed.keeper.run import main
    from workdeed.keeper.settings import load_settings

    code = main(load_settings(config))
    if code:
        raise click.exceptions.Exit(code)


@keeper.command()
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Its settings."
)
def settings(config: Path) -> None:
    """Show the settings that a keeper would run with, without secrets."""
    from workdeed.cli.output import emit_json
    from workdeed.keeper.settings import load_settings

    if not config.exists():
        raise Failure(f"{config}: no such file")
    emit_json(load_settings(config).public())
