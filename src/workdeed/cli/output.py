"""What commands print: tables on a terminal, plain lines elsewhere, JSON where it is asked for.

Much of it is the word of nodes, keepers or others on the chain, so all of it is made plain here.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from workdeed.cli.logtext import plain

if TYPE_CHECKING:
    from rich.table import Table


def emit_json(value: object) -> None:
    """Print `value` as JSON; amounts are decimal strings already."""
    click.echo(json.dumps(value, indent=2))


def emit_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns: a framed table on a terminal, else tab-separated lines."""
    if not sys.stdout.isatty():
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(plain(str(cell)) for cell in row))
        return
    from rich.console import Console

    Console().print(framed(title, columns, rows))


def framed(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> "Table":
    """Return rows as a framed table, whose texts are no markup, whatever marks they hold."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=Text(plain(title), "table.title"), title_justify="left")
    for row in rows:
        table.add_row(*(Text(plain(str(cell))) for cell in row))
    return table


def emit_fields(title: str, fields: Mapping[str, object]) -> None:
    """Print names and values: a framed table on a terminal, else `name: value` lines."""
    if not sys.stdout.isatty():
        for name, value in fields.items():
            click.echo(f"{name}: {plain(str(value))}")
        return
    emit_table(title, ("", ""), list(fields.items()))


def note(text: str) -> None:
    """Tell a person what happens meanwhile; on stderr, so that stdout stays for scripts."""
    click.echo(plain(text), err=True)
