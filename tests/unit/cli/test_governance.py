"""What is typed for the governor is checked before anything is asked of a chain."""

from __future__ import annotations

from typing import Any, cast

import click
import pytest
from cli_support import run

from workdeed.chain.bindings import timelock
from workdeed.chain.bindings.codec import Call
from workdeed.cli import proposals
from workdeed.cli.decisions import MAX_WAIT, Manner, _conclude, check_wait
from workdeed.cli.errors import Failure
from workdeed.sdk.governance import Decision

ACCOUNT = "0x" + "11" * 20


def sentence(*arguments: str) -> str:
    """Return the one line that a command fails with."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


def test_roles_are_those_of_the_timelock() -> None:
    """They are written out, so that `--help` imports nothing of the chain."""
    assert proposals.ROLES == timelock.ROLES


def test_every_proposal_is_documented_and_may_be_unsigned() -> None:
    assert len(proposals.propose.commands) == 15
    for name, command in proposals.propose.commands.items():
        assert command.help, name
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--wait", "--unsigned", "--unchecked", "--network", "--keystore"} <= options
        assert isinstance(command, click.Command)


def test_waiting_and_unsigned_exclude_each_other() -> None:
    for command in (("trust", "blacklist", "5", "--reason", "1"), ("governance", "accept")):
        assert "--wait, --unsigned: give one" in sentence(*command, "--wait", "--unsigned")


def test_nobody_waits_for_long() -> None:
    check_wait(MAX_WAIT)
    with pytest.raises(Failure, match=f"it would take {MAX_WAIT + 1} s"):
        check_wait(MAX_WAIT + 1)


async def test_bug_a_timelock_that_does_not_govern_is_not_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The governor acts at once, so the delay was not checked, and `--wait` waited it out."""

    class Governance:
        async def now(self) -> int:
            return 1_000

    class Client:
        governance = Governance()

    operation = Decision(Call("", b"", "", lambda _: None), b"\x01" * 32, 1_001 + MAX_WAIT)
    await _conclude(cast("Any", Client()), operation, Manner(wait=True, unsigned=False), "done")
    printed = capsys.readouterr()
    assert printed.out == f"operation 0x{'01' * 32} ready at 1970-01-01T00:31:41Z\n"
    assert "workdeed governance execute" in printed.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["governance", "execute", "0x12"], "OPERATION: '0x12' is no hash"),
        (["governance", "cancel", "x"], "OPERATION: 'x' is no hash"),
        (["governance", "propose", "guardian", "me"], "ACCOUNT: 'me' is no address"),
        (["governance", "propose", "issuer"], "ACCOUNT, --sale: give exactly one"),
        (["governance", "propose", "issuer", ACCOUNT, "--sale"], "ACCOUNT, --sale: give exactly"),
        (
            ["governance", "propose", "slash", "1", "5", "--evidence", "0x1"],
            "--evidence: '0x1' is no hash",
        ),
        (
            ["governance", "propose", "slash-split"],
            "options: nothing would change; give some of --burn-bps, --payer-bps",
        ),
        (["governance", "propose", "policy"], "options: nothing would change"),
        (["governance", "propose", "auction-terms"], "options: nothing would change"),
    ],
)
def test_bad_input_is_named(words: list[str], text: str) -> None:
    assert text in sentence(*words)
