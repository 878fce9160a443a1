"""What commands of the governor share: at once, through the timelock, or unsigned."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from workdeed.cli.errors import Failure
from workdeed.cli.network import Key, Network, with_client
from workdeed.cli.output import emit_json, note

if TYPE_CHECKING:
    from workdeed.sdk.client import Client
    from workdeed.sdk.governance import Decision

T = TypeVar("T")

MAX_WAIT: Final = 900
"""The longest time in seconds that `--wait` waits: somebody sits before it."""


@dataclass(frozen=True)
class Manner:
    """How a decision is carried out.

    Attributes:
        wait: wait for the timelock's delay and execute it.
        unsigned: send nothing; print the transaction for whoever signs elsewhere.

    """

    wait: bool
    unsigned: bool

    @property
    def send(self) -> bool:
        """Whether the decision is sent."""
        return not self.unsigned


def decision_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--wait` and `--unsigned`; the command gets a `Manner` as `manner`."""

    @click.option(
        "--wait", is_flag=True, help=f"Wait for the timelock, up to {MAX_WAIT} s, and execute it."
    )
    @click.option(
        "--unsigned", is_flag=True, help="Print the transaction for a multisig; needs no key."
    )
    @functools.wraps(command)
    def wrapped(*args: Any, wait: bool, unsigned: bool, **kwargs: Any) -> T:
        if wait and unsigned:
            raise Failure("--wait, --unsigned: give one of them; nothing is sent with the latter")
        return command(*args, manner=Manner(wait, unsigned), **kwargs)

    return wrapped


def carry_out(
    network: Network,
    key: Key,
    manner: Manner,
    decide: "Callable[[Client], Awaitable[Decision]]",
    done: str,
) -> None:
    """Make a decision, and say what became of it: `done` once it has taken effect.

    Raises:
        Failure: if `--wait` would take too long; then nothing is sent.

    """

    async def work(client: "Client") -> None:
        if manner.wait:
            check_wait(await client.governance.delay())
        await _conclude(client, await decide(client), manner, done)

    with_client(network, work, key if manner.send else None)


def check_wait(seconds: int) -> None:
    """Raise `Failure` if nobody would wait so long."""
    if seconds > MAX_WAIT:
        raise Failure(
            f"--wait: it would take {seconds} s; leave it out, and execute the operation later"
        )


async def _conclude(client: "Client", decision: "Decision", manner: Manner, done: str) -> None:
    from workdeed.sdk.words import utc

    operation, ready_at = decision.operation_id, decision.ready_at or 0
    shown = None if operation is None else f"0x{operation.hex()}"
    if manner.unsigned:
        transaction = decision.transaction
        content = {"to": transaction.to, "value": "0", "data": f"0x{transaction.data.hex()}"}
        emit_json(content | {"operation_id": shown})
    elif operation is None:
        click.echo(done)
    # What a timelock that does not govern decides on itself waits however fast the governor acts.
    elif manner.wait and ready_at <= await client.governance.now() + MAX_WAIT:
        note(f"operation {shown} waits until {utc(ready_at)}")
        await client.governance.wait(operation)
        await client.governance.execute(operation)
        click.echo(done)
    else:
        click.echo(f"operation {shown} ready at {utc(ready_at)}")
        note(f"from then on: workdeed governance execute {shown}")
