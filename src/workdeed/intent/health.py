"""How the node asks a service whether it is well. Times are milliseconds."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from workdeed.intent.fields import Argv, Milliseconds, Part, ServiceName, by


class _Check(Part):
    """What all checks share.

    Attributes:
        interval_ms: time between two checks.
        timeout_ms: time for one answer.
        start_period_ms: time from the start in which a failing check does not count.

    """

    interval_ms: Annotated[int, Field(ge=100, le=300_000)] = 2_000
    timeout_ms: Annotated[int, Field(ge=50, le=60_000)] = 1_000
    start_period_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 10_000


class HttpCheck(_Check):
    """GET `path` must answer 200 to 299.

    Attributes:
        path: absolute path with optional query.
        port: name of the port that is asked.

    """

    kind: Literal["http"] = "http"
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=256)] = "/healthz"
    port: ServiceName = "main"


class TcpCheck(_Check):
    """The port takes a connection."""

    kind: Literal["tcp"]
    port: ServiceName = "main"


class CommandCheck(_Check):
    """The command `run`, started beside the service, ends with code 0."""

    kind: Literal["command"]
    run: Argv


class DelayCheck(Part):
    """It counts as well once it has lived for `delay_ms`."""

    kind: Literal["delay"]
    delay_ms: Milliseconds


HealthCheck = Annotated[
    Annotated[HttpCheck, Tag("<http")]
    | Annotated[TcpCheck, Tag("<tcp")]
    | Annotated[CommandCheck, Tag("<command")]
    | Annotated[DelayCheck, Tag("<delay")],
    by("kind", "http"),
]
