"""What a gateway is told."""

from dataclasses import dataclass
from typing import Literal

from workdeed.sdk.errors import SdkError

MIB = 1024 * 1024

Balance = Literal["least", "robin"]


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Which job, and how its callers are served. Times are seconds, sizes bytes.

    Attributes:
        job_id: the job.
        keepers: addresses of keepers, the first that answers is asked.
        host, port: where the gateway listens; port 0 picks a free one.
        allow_private: whether replicas may be at private addresses; for a network of one's own.
        balance: `least` picks the replica with the fewest requests under way, `robin` the next.
        poll: between two looks at the list of replicas.
        stale: after so long without a list none of it is called any more: another job may have the
            ports by then.
        connect: until a replica has taken a connection.
        answer: until a replica begins to answer, and between two parts of its answer.
        upload: between two parts of a request's body.
        upload_rate: bytes a second at which a body whose length is told comes on the whole, once
            it has had `upload` seconds; else it is cut off. One without a length may be a stream.
        download: until a client has taken what waits to be sent to it, 64 KiB or a little more.
        idle: until a client has sent the head of its first request, or of the next one.
        heartbeat: between two looks whether both ends of a WebSocket are still there.
        grace: for requests under way when the gateway is stopped.
        attempts: replicas that one request is tried on.
        max_body: of a request.
        max_message: of a WebSocket.
        max_requests: under way at a time.
        max_connections: of clients at a time.
        trust_forwarded: whether `X-Forwarded-For`, `-Proto` and `-Host` of clients are kept,
            because a proxy of one's own sets them.

    """

    job_id: int
    keepers: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 0
    allow_private: bool = False
    balance: Balance = "least"
    poll: float = 1.0
    stale: float = 60.0
    connect: float = 2.0
    answer: float = 60.0
    upload: float = 30.0
    upload_rate: int = 500
    download: float = 60.0
    idle: float = 75.0
    heartbeat: float = 60.0
    grace: float = 10.0
    attempts: int = 3
    max_body: int = 64 * MIB
    max_message: int = 4 * MIB
    max_requests: int = 1_024
    max_connections: int = 1_024
    trust_forwarded: bool = False

    def __post_init__(self) -> None:
        if not self.keepers:
            raise SdkError("keepers: none is named; name one that serves the job's network")
        times = (
            "poll",
            "stale",
            "connect",
            "answer",
            "upload",
            "download",
            "idle",
            "heartbeat",
        )
        counts = (
            "attempts",
            "upload_rate",
            "max_body",
            "max_message",
            "max_requests",
            "max_connections",
        )
        for name in (*times, *counts):
            if getattr(self, name) <= 0:
                raise SdkError(f"{name}: it must be above 0")
