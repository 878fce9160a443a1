"""Commands to native plugins: command, configure."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from workdeed.cli.errors import Failure
from workdeed.cli.workloads import POSITIVE, Target, each, target_options

if TYPE_CHECKING:
    from workdeed.sdk.noderequests import NodeRequests, Replica


class JsonObject(click.ParamType):
    """A JSON object, or `@FILE` that holds one."""

    name = "JSON"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """Return the object; fails with the option's name."""
        del ctx
        option = param.opts[0] if param is not None else self.name
        if isinstance(value, dict):
            return value
        try:
            if value.startswith("@"):
                with click.open_file(value[1:], encoding="utf-8") as file:
                    value = file.read()
            found = json.loads(value)
        except (OSError, ValueError, RecursionError) as error:
            raise Failure(f"{option}: it is no JSON ({error}); write {{...}} or @FILE") from error
        if not isinstance(found, dict):
            raise Failure(f"{option}: it is no JSON object; write {{...}}")
        return found


def _instance_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--instance", default="main", show_default=True, help="Instance of the plugin."
    )(command)


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.argument("name")
@click.argument("arguments", type=JsonObject(), default="{}")
@_instance_option
@target_options
def command(target: Target, name: str, arguments: dict[str, Any], instance: str) -> None:
    """Have the plugin of JOB_ID do the command NAME, with ARGUMENTS as JSON or @FILE.

    Prints a line of JSON for each replica.
    """

    async def ask(requests: "NodeRequests", replicas: "list[Replica]") -> None:
        async def one(replica: "Replica") -> None:
            reply = await requests.command(replica, name, arguments, instance=instance)
            click.echo(json.dumps({"license_id": replica.license_id, "reply": reply}))

        await each(replicas, one)

    target.reach(ask)


@click.command()
@click.argument("job_id", type=POSITIVE)
@click.argument("config", type=JsonObject())
@_instance_option
@target_options
def configure(target: Target, config: dict[str, Any], instance: str) -> None:
    """Give the plugin of JOB_ID another configuration: CONFIG as JSON or @FILE.

    It lasts on these nodes for as long as the revision does. What is to hold on all nodes and to
    stay belongs into the spec: `update`.
    """

    async def ask(requests: "NodeRequests", replicas: "list[Replica]") -> None:
        async def one(replica: "Replica") -> None:
            applied = await requests.configure(replica, config, instance=instance)
            when = "configured" if applied else "configured for its next start"
            where = f"job {target.job_id} license {replica.license_id} {target.service}.{instance}"
            click.echo(f"{where} {when}")

        await each(replicas, one)

    target.reach(ask)
