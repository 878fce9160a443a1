"""What is typed for delegates is what the desk knows."""

from __future__ import annotations

from cli_support import run

from workdeed.chain.bindings import desk, vault
from workdeed.cli.delegates import SCOPES
from workdeed.cli.fees import POTS


def test_scopes_are_those_of_the_desk() -> None:
    """They are written out, so that `--help` imports nothing of the chain."""
    assert tuple(desk.SCOPES) == SCOPES


def test_pots_are_those_of_the_vault() -> None:
    assert POTS == vault.POTS == vault.Pots._fields


def test_an_unknown_scope_is_refused_with_the_known_ones() -> None:
    account = "0x" + "11" * 20
    result = run("delegate", "grant", account, "--scope", "fly", "--budget", "1")
    assert result.exit_code == 2
    assert "'open', 'extend', 'scale', 'revise', 'cancel'" in result.stderr
