"""Commands of payers: quote, deploy, status, update, extend, scale, cancel, close."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from workdeed.cli.amounts import format_amount, parse_amount
from workdeed.cli.errors import Failure
from workdeed.cli.network import (
    Key,
    Network,
    json_option,
    key_options,
    network_options,
    parse_address,
    payer_option,
    read_document,
    with_client,
)
from workdeed.cli.output import emit_fields, emit_json, emit_table, note
from workdeed.cli.secrets import Secrets, read_values, secret_options, tell

if TYPE_CHECKING:
    from workdeed.intent import Spec
    from workdeed.sdk.client import Client
    from workdeed.sdk.jobs import JobView

SPEC_FILE = click.Path(path_type=Path, dir_okay=False)
POSITIVE = click.IntRange(min=1)


@click.command()
@click.argument("spec_file", type=SPEC_FILE, required=False)
@click.option("--class", "class_id", type=POSITIVE, help="Price class. Default: the spec's.")
@click.option("--slots", type=POSITIVE, default=1, show_default=True, help="Replicas.")
@click.option("--windows", type=POSITIVE, required=True, help="Windows to pay for.")
@json_option
@network_options
def quote(
    spec_file: Path | None,
    class_id: int | None,
    slots: int,
    windows: int,
    as_json: bool,
    network: Network,
) -> None:
    """Say what a job would cost now, by SPEC_FILE or by --class."""
    spec = _load_spec(spec_file) if spec_file else None
    chosen = class_id or (spec.class_id if spec else None)
    if chosen is None:
        raise Failure("--class: name a price class or a spec file")

    async def work(client: "Client") -> None:
        from workdeed.sdk.jobs import check_fits

        found = await client.quote(chosen, slots, windows)
        if spec is not None:
            check_fits(spec, found.offer)
        decimals = await client.decimals()
        fees = found.policy.fee_bps
        fields = {
            "class": chosen,
            "slots": slots,
            "windows": windows,
            "price": format_amount(found.price, decimals),
            "deposit": format_amount(found.deposit, decimals),
            "fees": f"{fees / 100:g} %",
            "earns from": f"{found.policy.sla_floor_bps / 100:g} % of a window",
        }
        if as_json:
            base = {"price": str(found.price), "deposit": str(found.deposit), "fee_bps": fees}
            emit_json({"class": chosen, "slots": slots, "windows": windows, **base})
        else:
            emit_fields("Quote", fields)

    with_client(network, work)


@click.command()
@click.argument("spec_file", type=SPEC_FILE)
@click.option("--slots", type=POSITIVE, default=1, show_default=True, help="Replicas.")
@click.option("--min-slots", type=POSITIVE, help="Replicas to start with. Default: all.")
@click.option("--windows", type=POSITIVE, required=True, help="Windows to pay for.")
@click.option("--max-price", help="Highest price of a slot and window. Default: today's.")
@click.option("--dry-run", is_flag=True, help="Check and quote, but open nothing.")
@secret_options
@payer_option
@json_option
@network_options
@key_options
def deploy(
    spec_file: Path,
    slots: int,
    min_slots: int | None,
    windows: int,
    max_price: str | None,
    dry_run: bool,
    secrets: Secrets,
    spares: int | None,
    payer: str | None,
    as_json: bool,
    network: Network,
    key: Key,
) -> None:
    """Open a job from SPEC_FILE (JSON or TOML) and pay its deposit.

    With --for the deposit is that account's, within what it granted to the sender. Secrets are
    sealed to as many nodes as there are slots and to spares; the job can run on these only.
    """
    spec = _load_spec(spec_file)
    if min_slots is not None and min_slots > slots:
        raise Failure("--min-slots: it must not exceed --slots")
    values = {} if dry_run else read_values(secrets)

    async def work(client: "Client") -> None:
        from workdeed.sdk.jobs import check_fits

        decimals = await client.decimals()
        limit = parse_amount(max_price, decimals, "--max-price") if max_price is not None else None
        found = await client.quote(spec.class_id, slots, windows)
        check_fits(spec, found.offer)
        deposit = format_amount(found.deposit, decimals)
        if dry_run:
            note(f"would open a job with a deposit of {deposit}")
            return
        ready = await _sealed_new(client, spec, values, slots, spares, payer)
        note(f"opening a job with a deposit of {deposit}")
        job_id = await client.open_job(
            ready,
            slots=slots,
            windows=windows,
            min_slots=min_slots,
            max_price=limit,
            payer=payer,
        )
        if as_json:
            emit_json({"job_id": job_id, "deposit": str(found.deposit)})
        else:
            click.echo(f"job {job_id}")

    with_client(network, work, None if dry_run else key)


@click.command()
@click.argument("job_ids", type=POSITIVE, nargs=-1)
@click.option("--payer", help="Only jobs of this account.")
@click.option("--last", type=POSITIVE, default=20, show_default=True, help="How many to look at.")
@json_option
@network_options
def status(
    job_ids: tuple[int, ...], payer: str | None, last: int, as_json: bool, network: Network
) -> None:
    """Show jobs JOB_IDS, or the latest ones."""
    only = parse_address(payer, "--payer") if payer else None

    async def work(client: "Client") -> None:
        views = [await client.job(job_id) for job_id in job_ids]
        if not job_ids:
            views = await client.jobs(last, only)
        if as_json:
            emit_json([view.to_json() for view in views])
        else:
            _show_jobs(views, await client.decimals())

    with_client(network, work)


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.argument("spec_file", type=SPEC_FILE)
@secret_options
@payer_option
@network_options
@key_options
def update(
    job_id: int,
    spec_file: Path,
    secrets: Secrets,
    spares: int | None,
    payer: str | None,
    network: Network,
    key: Key,
) -> None:
    """Replace the spec of JOB_ID by SPEC_FILE, once a window.

    Without --secret, secrets that the job has stay sealed as they are; with it, all of them are
    sealed anew, for the nodes in place and for spares.
    """
    spec = _load_spec(spec_file)
    if spares is not None and not secrets:
        raise Failure("--spares: nothing is sealed anew without --secret; name all secrets by it")
    values = read_values(secrets)

    async def work(client: "Client") -> None:
        ready = await _sealed_revision(client, job_id, spec, values, spares, payer)
        revision = await client.revise_job(job_id, ready, payer=payer)
        click.echo(f"job {job_id} revision {revision}")

    with_client(network, work, key)


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.option("--windows", type=POSITIVE, required=True, help="Windows to add.")
@payer_option
@network_options
@key_options
def extend(job_id: int, windows: int, payer: str | None, network: Network, key: Key) -> None:
    """Buy more windows for JOB_ID at its own price."""

    async def work(client: "Client") -> None:
        end = await client.extend_job(job_id, windows, payer=payer)
        until = f"runs until window {end}" if end else "waits to start"
        click.echo(f"job {job_id} {until}")

    with_client(network, work, key)


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.option("--slots", type=POSITIVE, required=True, help="The new number of replicas.")
@click.option(
    "--release",
    type=POSITIVE,
    multiple=True,
    help="License that loses its slot; repeat it for more. Default: those longest in place.",
)
@payer_option
@json_option
@network_options
@key_options
def scale(
    job_id: int,
    slots: int,
    release: tuple[int, ...],
    payer: str | None,
    as_json: bool,
    network: Network,
    key: Key,
) -> None:
    """Change the replicas of JOB_ID from the next window on.

    More are paid for at the job's own price. With fewer, the windows that are left come back, and
    where more licenses are in place than there are slots, those longest in place stop, of several
    the lowest ids, unless --release names others.
    """

    async def work(client: "Client") -> None:
        done = await client.scale_job(job_id, slots, release=release or None, payer=payer)
        if as_json:
            amounts = {"deposit": str(done.deposit), "refund": str(done.refund)}
            emit_json({"job_id": job_id, "slots": slots, "released": done.released, **amounts})
            return
        decimals = await client.decimals()
        moved = f"deposit {format_amount(done.deposit, decimals)}"
        if done.refund:
            moved = f"refund {format_amount(done.refund, decimals)}"
        released = f" without license {', '.join(map(str, done.released))}" * bool(done.released)
        click.echo(f"job {job_id} has {slots} slots from the next window on{released}, {moved}")

    with_client(network, work, key)


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.option("--yes", is_flag=True, help="Do not ask: cancelling is final.")
@payer_option
@network_options
@key_options
def cancel(job_id: int, yes: bool, payer: str | None, network: Network, key: Key) -> None:
    """End JOB_ID for good and get back the windows that it has not begun."""
    if not yes:
        click.confirm(f"Cancelling job {job_id} is final. Go on?", abort=True, err=True)

    async def work(client: "Client") -> None:
        refund = await client.cancel_job(job_id, payer=payer)
        click.echo(f"job {job_id} refund {format_amount(refund, await client.decimals())}")

    with_client(network, work, key)


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.option("--request", is_flag=True, help="Ask for a close without a report; for the payer.")
@click.option("--unattested", is_flag=True, help="Close without a report, after the grace.")
@network_options
@key_options
def close(job_id: int, request: bool, unattested: bool, network: Network, key: Key) -> None:
    """Close JOB_ID, which is over, by the final report; the rest goes to its payer."""
    if request and unattested:
        raise Failure("--request, --unattested: give one of them")

    async def work(client: "Client") -> None:
        if request:
            window = await client.request_close(job_id)
            click.echo(f"job {job_id} may close without a report from window {window} on")
            return
        refund = await (client.close_unattested if unattested else client.close_job)(job_id)
        click.echo(f"job {job_id} refund {format_amount(refund, await client.decimals())}")

    with_client(network, work, key)


async def _sealed_new(
    client: "Client",
    spec: "Spec",
    values: dict[str, str],
    slots: int,
    spares: int | None,
    payer: str | None,
) -> "Spec":
    """Return the spec to open a job with; one that somebody sealed elsewhere stays as it is."""
    if spec.secrets is not None and not values:
        return spec
    sealed = await client.seal_new(spec, values, slots=slots, spares=spares, payer=payer)
    tell(sealed)
    return sealed.spec


async def _sealed_revision(
    client: "Client",
    job_id: int,
    spec: "Spec",
    values: dict[str, str],
    spares: int | None,
    payer: str | None,
) -> "Spec":
    """Return the spec to revise a job to, as `_sealed_new` does."""
    if spec.secrets is not None and not values:
        return spec
    if values:
        sealed = await client.seal_revision(job_id, spec, values, spares=spares, payer=payer)
    else:
        sealed = await client.keep_sealed(job_id, spec, payer=payer)
    tell(sealed)
    return sealed.spec


def _load_spec(path: Path) -> "Spec":
    from workdeed.intent import SpecError, load_spec

    document = read_document(path)
    try:
        return load_spec(document)
    except SpecError as error:
        raise Failure(f"{path}: {error}") from error


def _show_jobs(views: "list[JobView]", decimals: int) -> None:
    columns = ("job", "state", "slots", "placed", "start", "end", "revision", "locked", "payer")
    rows = [
        (
            view.job_id,
            view.state,
            view.job.slots,
            view.job.active,
            view.job.start or "-",
            view.job.end or "-",
            view.job.revision,
            format_amount(view.locked, decimals),
            view.job.payer,
        )
        for view in views
    ]
    title = f"Jobs in window {views[0].window}" if views else "Jobs"
    emit_table(title, columns, rows)
