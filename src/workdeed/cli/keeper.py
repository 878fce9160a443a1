"""The command `keeper run`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from workdeed.cli.errors import Failure

if TYPE_CHECKING:
    from workdeed.oracle.journal_copies import Summary


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
    from workdeed.keeper.logs import setup_logs
    from workdeed.keeper.run import run as run_keeper

    setup_logs(found.log)
    if dry_run:
        found = found.model_copy(update={"dry_run": True})
    run_async(run_keeper(found))


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


@keeper.group()
def journal() -> None:
    """Look at a member's signing journal, back it up, and start from a copy."""


CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Settings of the keeper.",
)


@journal.command()
@CONFIG
def show(config: Path) -> None:
    """Show what the journal holds; the keeper may run."""
    from workdeed.cli.network import run_async
    from workdeed.keeper.journals import show_journal
    from workdeed.keeper.settings import load_settings

    _tell("journal", run_async(show_journal(load_settings(config))))


@journal.command()
@CONFIG
@click.argument("copy", type=click.Path(path_type=Path, dir_okay=False))
def backup(config: Path, copy: Path) -> None:
    """Copy the journal to the file COPY; the keeper may run."""
    from workdeed.cli.network import run_async
    from workdeed.keeper.journals import back_up_journal
    from workdeed.keeper.settings import load_settings

    _tell("backed up", run_async(back_up_journal(load_settings(config), copy)))


@journal.command()
@CONFIG
@click.argument("copy", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def restore(config: Path, copy: Path) -> None:
    """Make the journal from the file COPY, after a loss.

    In PostgreSQL, what COPY holds is added to what is there. The keeper then signs no report for a
    window that began before now: a copy does not know what was signed since it was made.
    """
    from workdeed.cli.network import run_async
    from workdeed.keeper.journals import restore_journal
    from workdeed.keeper.settings import load_settings

    _tell("restored", run_async(restore_journal(load_settings(config), copy)))


def _tell(what: str, summary: "Summary") -> None:
    click.echo(
        f"{what}: {summary.roots} signed roots of {summary.member}, the last for window "
        f"{summary.last_window}; signs for windows that began at {summary.began_at} or later"
    )
