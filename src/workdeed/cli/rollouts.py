"""The commands `rollout` and `gateway`: how a job changes version, and a way to its replicas."""

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from workdeed.cli.errors import Failure
from workdeed.cli.logtext import plain
from workdeed.cli.network import Network, json_option, network_options, run_async, with_client
from workdeed.cli.output import emit_json, emit_table, framed, note

if TYPE_CHECKING:
    from rich.table import Table
    from structlog.typing import EventDict

    from workdeed.protocol.rollouts import RolloutProgress
    from workdeed.sdk.client import Client
    from workdeed.sdk.gateway import GatewaySettings

POSITIVE = click.IntRange(min=1)
LOOK_SECONDS = 1.0
"""Between two looks at a rollout that is followed."""

OVER = ("steady", "reverted")
_COLUMNS = ("license", "state", "serves", "well", "reason")
_MIB = 1024 * 1024


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.option("--wait", is_flag=True, help="Go on until it is over; exit 1 if it was given up.")
@json_option
@network_options
def rollout(job_id: int, wait: bool, as_json: bool, network: Network) -> None:
    """Show how far the current revision of JOB_ID is on its replicas.

    On a terminal the table is live, until the rollout is over or Ctrl-C.
    """
    is_live = click.get_text_stream("stdout").isatty() and not as_json

    async def work(client: "Client") -> None:
        view = await client.job(job_id)
        following = _Following(client, job_id, view.job.revision)
        if is_live:
            found = await _show_live(following)
        elif wait:
            found = await following.to_the_end(_teller(silent=as_json))
        else:
            found = await following.look()
        if as_json:
            emit_json(found.model_dump(mode="json", by_alias=True))
        elif not is_live:
            click.echo(plain(_headline(found)))
            emit_table("", _COLUMNS, _rows(found))
        if wait and found.phase == "reverted":
            raise Failure(f"job {job_id}: revision {found.revision} was given up ({found.reason})")

    with_client(network, work)


class _Following:
    """Asks keepers about a rollout until it is over.

    Args:
        client: knows the keepers.
        job_id: the job.
        revision: the one on chain; a keeper that has not read it yet does not tell the end.

    """

    def __init__(self, client: "Client", job_id: int, revision: int) -> None:
        self._client = client
        self._job_id = job_id
        self._revision = revision

    async def look(self) -> "RolloutProgress":
        from workdeed.sdk.rollouts import get_rollout

        session = self._client.session
        return await get_rollout(session.endpoints, await session.keeper_addresses(), self._job_id)

    async def to_the_end(self, tell: "Callable[[RolloutProgress], Any]") -> "RolloutProgress":
        """Look until it is over, and `tell` each look.

        Raises:
            Failure: if the job is over before.

        """
        while True:
            found = await self.look()
            tell(found)
            if found.phase in OVER and found.revision >= self._revision:
                return found
            if not found.replicas:
                await self._check_job()
            await asyncio.sleep(LOOK_SECONDS)

    async def _check_job(self) -> None:
        """See that a job without replicas can still get some."""
        state = (await self._client.job(self._job_id)).state
        if state in ("ended", "closed"):
            raise Failure(
                f"job {self._job_id}: it is {state}, and so is its rollout; open another job"
            )


async def _show_live(following: _Following) -> "RolloutProgress":
    """Show each look in place of the one before."""
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        return await following.to_the_end(lambda one: live.update(_table(one), refresh=True))


def _table(found: "RolloutProgress") -> "Table":
    return framed(_headline(found), _COLUMNS, _rows(found))


def _teller(*, silent: bool) -> "Callable[[RolloutProgress], None]":
    """Return what notes each look that says something new."""
    before = ""

    def tell(found: "RolloutProgress") -> None:
        nonlocal before
        line = _headline(found)
        if line != before and not silent:
            note(line)
        before = line

    return tell


def _headline(found: "RolloutProgress") -> str:
    policy = f" ({found.policy})" if found.policy else ""
    reason = f": {found.reason}" if found.reason else ""
    return f"job {found.job_id} revision {found.revision}{policy} {found.phase}{reason}"


def _rows(found: "RolloutProgress") -> list[tuple[object, ...]]:
    return [
        (
            one.license_id,
            one.state,
            "-" if one.revision is None else one.revision,
            f"{one.well_ms / 1_000:.0f} s",
            one.reason,
        )
        for one in found.replicas
    ]


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.option(
    "--keeper",
    "keepers",
    multiple=True,
    required=True,
    envvar="WORKDEED_KEEPERS",
    help="Address of a keeper; repeat it for more, in the order in which they are asked.",
)
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    help="Where it listens; port 0 picks a free one. It has no TLS and no passwords of its own.",
)
@click.option("--allow-private", is_flag=True, help="Let replicas be at private addresses.")
@click.option(
    "--balance",
    type=click.Choice(["least", "robin"]),
    default="least",
    show_default=True,
    help="Choose the replica with the fewest requests under way, or one after the other.",
)
@click.option("--poll", type=float, default=1.0, show_default=True, help="Seconds between lists.")
@click.option(
    "--timeout",
    type=float,
    default=60.0,
    show_default=True,
    help="Seconds until a replica begins to answer, and between two parts of its answer.",
)
@click.option(
    "--max-body", type=POSITIVE, default=64, show_default=True, help="MiB of a request's body."
)
@click.option(
    "--max-requests", type=POSITIVE, default=1_024, show_default=True, help="Under way at a time."
)
@click.option(
    "--trust-forwarded",
    is_flag=True,
    help="Keep the X-Forwarded headers of clients: a proxy of your own sets them.",
)
def gateway(
    job_id: int,
    keepers: tuple[str, ...],
    listen: str,
    allow_private: bool,
    balance: str,
    poll: float,
    timeout: float,
    max_body: int,
    max_requests: int,
    trust_forwarded: bool,
) -> None:
    """Pass HTTP and WebSockets on to the replicas of JOB_ID that are well, until Ctrl-C."""
    from workdeed.sdk.gateway import GatewaySettings

    host, port = _address(listen)
    settings = GatewaySettings(
        job_id=job_id,
        keepers=keepers,
        host=host,
        port=port,
        allow_private=allow_private,
        balance="robin" if balance == "robin" else "least",
        poll=poll,
        answer=timeout,
        max_body=max_body * _MIB,
        max_requests=max_requests,
        trust_forwarded=trust_forwarded,
    )
    run_async(_serve(settings))


async def _serve(settings: "GatewaySettings") -> None:
    from workdeed.logs import set_up
    from workdeed.sdk.gateway import Gateway

    set_up(first=(_plain_fields,))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        async with Gateway(settings) as made:
            note(f"job {settings.job_id} at http://{_shown(settings.host)}:{made.port}")
            if made.trouble:
                note(f"no replica is known yet: {made.trouble}")
            await stopping.wait()
            note("stopping")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _plain_fields(_: object, __: str, fields: "EventDict") -> "EventDict":
    """Make what keepers and replicas say fit for a terminal."""
    return {
        name: plain(value) if isinstance(value, str) else value for name, value in fields.items()
    }


def _address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, of which an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    is_bare = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or is_bare or not port.isdecimal() or int(port) > 65_535:
        raise Failure(f"--listen: {text!r} is no address; write host:port, such as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
