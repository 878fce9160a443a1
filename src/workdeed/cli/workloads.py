"""Commands about what runs on nodes: logs, inspect, restart, stop, resume."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workdeed.cli.errors import Failure
from workdeed.cli.network import (
    Key,
    Network,
    json_option,
    key_options,
    network_options,
    with_client,
)
from workdeed.cli.output import emit_json, emit_table, note

if TYPE_CHECKING:
    from workdeed.protocol.noderequest import InspectionReply
    from workdeed.sdk.client import Client
    from workdeed.sdk.noderequests import NodeRequests, Replica

T = TypeVar("T")

POLL_SECONDS = 2.0
"""Between two questions for more of a log: each lets the node look at the chain."""

_MB = 1_000_000
POSITIVE = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class Target:
    """Which replicas of a job are meant, and who asks them.

    Attributes:
        licenses: of the replicas; none stands for all in place.
        service: of the job.
        revision: None stands for the one on chain.

    """

    job_id: int
    licenses: tuple[int, ...]
    service: str
    revision: int | None
    network: Network
    key: Key

    def reach(
        self, work: "Callable[[NodeRequests, list[Replica]], Coroutine[Any, Any, None]]"
    ) -> None:
        """Run `work` with the replicas."""
        signer = self.key.signer()

        async def run(client: "Client") -> None:
            from workdeed.sdk.noderequests import NodeRequests

            requests = NodeRequests(client.session, signer)
            replicas = await requests.replicas(
                await client.job(self.job_id),
                licenses=self.licenses,
                service=self.service,
                revision=self.revision,
            )
            await work(requests, replicas)

        with_client(self.network, run)


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which replicas of `job_id` are meant, and which key asks.

    The command gets a `Target` as `target`, in place of its argument `job_id`.
    """

    @click.option(
        "--license",
        "licenses",
        type=POSITIVE,
        multiple=True,
        help="Replica of this license; repeat it for more. Default: all in place.",
    )
    @click.option("--service", default="main", show_default=True, help="Service of the job.")
    @click.option(
        "--revision", type=click.IntRange(min=0), help="Default: the one that stands on chain."
    )
    @network_options
    @key_options
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        job_id: int,
        licenses: tuple[int, ...],
        service: str,
        revision: int | None,
        network: Network,
        key: Key,
        **kwargs: Any,
    ) -> None:
        target = Target(job_id, licenses, service, revision, network, key)
        command(*args, target=target, **kwargs)

    return wrapped


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@target_options
def logs(target: Target, follow: bool) -> None:
    """Show what the replicas of JOB_ID printed.

    For its payer, and delegates with the scope revise. Control characters are shown as escapes.
    """

    async def show(requests: "NodeRequests", replicas: "list[Replica]") -> None:
        tails = [_Tail(requests, one, prefixed=len(replicas) > 1) for one in replicas]
        while follow:
            await asyncio.gather(*(tail.poll() for tail in tails))
            await asyncio.sleep(POLL_SECONDS)
        await each(tails, lambda tail: tail.drain())
        for tail in tails:
            tail.end()

    target.reach(show)


@click.command()
@click.argument("job_id", type=POSITIVE)
@target_options
@json_option
def inspect(target: Target, as_json: bool) -> None:
    """Show what the nodes see of the replicas of JOB_ID."""
    found: dict[int, InspectionReply] = {}

    async def show(requests: "NodeRequests", replicas: "list[Replica]") -> None:
        async def look(replica: "Replica") -> None:
            found[replica.license_id] = await requests.inspect(replica)

        try:
            await each(replicas, look)
        finally:
            _show_inspections(found, as_json)

    target.reach(show)


@click.command()
@click.argument("job_id", type=POSITIVE)
@target_options
def restart(target: Target) -> None:
    """End a service of JOB_ID on its nodes and start it again."""
    _change("restarted", target)


@click.command()
@click.argument("job_id", type=POSITIVE)
@target_options
def stop(target: Target) -> None:
    """End a service of JOB_ID on its nodes until `resume`.

    The nodes are paid all the same: `scale` and `cancel` end the pay.
    """
    _change("stopped", target)


@click.command()
@click.argument("job_id", type=POSITIVE)
@target_options
def resume(target: Target) -> None:
    """Start a service of JOB_ID that was stopped."""
    _change("resumed", target)


class _Tail:
    """The log of one replica, shown as it grows."""

    def __init__(self, requests: "NodeRequests", replica: "Replica", *, prefixed: bool) -> None:
        from workdeed.cli.logtext import LogText

        self._requests = requests
        self._replica = replica
        self._cursor = ""
        self._trouble = ""
        self._text = LogText(f"license {replica.license_id} | " if prefixed else "")

    async def drain(self) -> None:
        """Show all that is there."""
        while True:
            reply = await self._requests.logs(self._replica, self._cursor)
            click.echo(self._text.feed(reply.data), nl=False)
            moved, self._cursor = reply.cursor != self._cursor, reply.cursor
            if not reply.data or not moved:
                return

    async def poll(self) -> None:
        """Show what is new; a node that does not answer is told of once, and asked again."""
        from workdeed.sdk.errors import EndpointError

        try:
            await self.drain()
        except EndpointError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                note(self._trouble)
        else:
            self._trouble = ""

    def end(self) -> None:
        """Show what is left of a line."""
        click.echo(self._text.end(), nl=False)


def _change(done: str, target: Target) -> None:
    async def change(requests: "NodeRequests", replicas: "list[Replica]") -> None:
        actions = {
            "restarted": requests.restart,
            "stopped": requests.stop,
            "resumed": requests.resume,
        }

        async def one(replica: "Replica") -> None:
            await actions[done](replica)
            click.echo(f"job {target.job_id} license {replica.license_id} {target.service} {done}")

        await each(replicas, one)

    target.reach(change)


async def each(items: "list[T]", work: "Callable[[T], Awaitable[None]]") -> None:
    """Do all; what fails is told, and makes the command fail once the others are done."""
    from workdeed.sdk.errors import SdkError

    troubles = []
    for item in items:
        try:
            await work(item)
        except SdkError as error:
            troubles.append(str(error))
    for trouble in troubles[1:]:
        note(trouble)
    if troubles:
        raise Failure(troubles[0])


def _show_inspections(found: "dict[int, InspectionReply]", as_json: bool) -> None:
    if as_json:
        emit_json(
            [
                {"license_id": license_id, **reply.model_dump(mode="json", exclude={"schema_"})}
                for license_id, reply in sorted(found.items())
            ]
        )
        return
    columns = ("license", "state", "version", "restarts", "CPU s", "memory MB", "disk MB")
    rows = [
        (
            license_id,
            reply.state,
            reply.version[:12] or "-",
            reply.restarts,
            f"{reply.cpu_ms / 1_000:.1f}",
            f"{reply.memory_bytes / _MB:.1f}",
            f"{reply.disk_bytes / _MB:.1f}",
            reply.processes,
            " ".join(f"{one.name}:{one.port}" for one in reply.ports) or "-",
            reply.reason or "-",
        )
        for license_id, reply in sorted(found.items())
    ]
    emit_table("Replicas", (*columns, "processes", "ports", "reason"), rows)
