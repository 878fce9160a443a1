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
@click.option("--dry-run", is_flag=True, help="Sign nothing; log what would be sent.")
def run(config: Path, dry_run: bool) -> None:
    """Run a keeper until SIGTERM or Ctrl-C."""
    from workdeed.keeper.settings import load_settings

    found = load_settings(config)
    # Only now what takes a while to load: wrong settings are told at once.
    from workdeed.cli.network import run_async
    from workdeed.keeper.dryrun import dry
    from workdeed.keeper.logs import setup_logs
    from workdeed.keeper.run import run as run_keeper

    setup_logs(found.log)
    run_async(run_keeper(dry(found) if dry_run else found))


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
