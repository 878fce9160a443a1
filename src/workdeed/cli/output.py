"""What commands print: tables on a terminal, plain lines elsewhere, JSON where it is asked for."""

import json
import sys
from collections.abc import Mapping, Sequence

import click


def emit_json(value: object) -> None:
    """Print `value` as JSON; amounts are decimal strings already."""
    click.echo(json.dumps(value, indent=2))


def emit_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns: a framed table on a terminal, else tab-separated lines."""
    if not sys.stdout.isatty():
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(str(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


def emit_fields(title: str, fields: Mapping[str, object]) -> None:
    """Print names and values: a framed table on a terminal, else `name: value` lines."""
    if not sys.stdout.isatty():
        for name, value in fields.items():
            click.echo(f"{name}: {value}")
        return
    emit_table(title, ("", ""), list(fields.items()))


def note(text: str) -> None:
    """Tell a person what happens meanwhile; on stderr, so that stdout stays for scripts."""
    click.echo(text, err=True)
