"""The command `evidence`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workdeed.cli.errors import Failure
from workdeed.cli.network import Key, Network, key_options, network_options, with_client
from workdeed.cli.output import emit_table, note

if TYPE_CHECKING:
    from workdeed.sdk.client import Client
    from workdeed.sdk.evidence import Shown


@click.command()
@click.argument("job_id", type=click.IntRange(min=1))
@click.argument("license_id", type=click.IntRange(min=1))
@click.argument("window", type=click.IntRange(min=1))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the signed answers here, one JSON object a line.",
)
@network_options
@key_options
def evidence(
    job_id: int, license_id: int, window: int, out: Path | None, network: Network, key: Key
) -> None:
    """Show by which answers the oracles measured LICENSE_ID in JOB_ID in one WINDOW.

    For the job's payer, and the license's owner or payout address, once a final report has settled
    the window. Each answer is checked: its node signed it, and the oracle signed that it counted.
    """
    if out is not None and out.exists():
        raise Failure(f"--out: {out} exists; name another file")
    signer = key.signer()

    async def work(client: "Client") -> None:
        from workdeed.sdk.evidence import EvidenceReader

        reader = EvidenceReader(client.session)
        shown, troubles = await reader.read(signer, job_id, license_id, window)
        for trouble in troubles:
            note(f"not shown: {trouble}")
        if not shown:
            raise Failure("no oracle showed what it has; see above why")
        _tell(shown, f"license {license_id} in job {job_id}, window {window}", job_id)
        if out is not None:
            _write(shown, out)

    with_client(network, work, key)


def _tell(shown: Sequence["Shown"], title: str, job_id: int) -> None:
    rows = []
    for one in shown:
        figure = "unknown" if one.figure is None else f"{one.figure / 100:.2f} %"
        states = Counter(
            work.state
            for answer in one.answers
            for work in answer.workloads
            if work.job_id == job_id
        )
        said = ", ".join(f"{count} {state}" for state, count in states.most_common())
        rows.append((one.member, figure, len(one.answers), said or "-"))
    emit_table(f"Measured: {title}", ("oracle", "figure", "answers", "of them"), rows)


def _write(shown: Sequence["Shown"], out: Path) -> None:
    answers = {answer.canonical() for one in shown for answer in one.answers}
    with out.open("xb") as file:
        file.writelines(answer + b"\n" for answer in sorted(answers))
    click.echo(f"{out}: {len(answers)} answers")
