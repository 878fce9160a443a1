"""Signed requests to the nodes of a job.

Logs, a look at a service, restart, stop and resume; commands and configurations of native plugins.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from workdeed.chain.keys import Signer
from workdeed.chain.rpc import origin_of
from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN
from workdeed.protocol.errors import CanonicalError, ProtocolError
from workdeed.protocol.limits import MAX_BODY
from workdeed.protocol.noderequest import (
    MAX_ARGUMENT,
    Action,
    InspectionReply,
    LogReply,
    NodeRequest,
    PluginReply,
)
from workdeed.sdk.errors import EndpointError, SdkError
from workdeed.sdk.jobs import JobView
from workdeed.sdk.placed import placed_licenses
from workdeed.sdk.session import Session

T = TypeVar("T", LogReply, InspectionReply, PluginReply)

PATH = "/requests"
_MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True)
class Replica:
    """One service of a job on one node.

    Attributes:
        endpoint: where the node answers, "" if it announces nothing; then it can't be asked.
        revision: which revision is meant.
        service: which of its services.

    """

    job_id: int
    license_id: int
    endpoint: str
    revision: int
    service: str = "main"


class NodeRequests:
    """Asking the nodes of a job: `NodeRequests(client.session, signer)`.

    For the job's payer, and its delegates with the scope revise.

    Args:
        session: the surroundings.
        signer: the key of whoever asks.
        now: the wall clock, in seconds.

    """

    def __init__(
        self, session: Session, signer: Signer, *, now: Callable[[], float] = time.time
    ) -> None:
        self._session = session
        self._signer = signer
        self._now = now
        self._last = 0

    async def replicas(
        self,
        view: JobView,
        *,
        licenses: tuple[int, ...] = (),
        service: str = "main",
        revision: int | None = None,
    ) -> list[Replica]:
        """Return the replicas of a job, by license.

        Args:
            view: the job.
            licenses: only these; by default all in place.
            service: which service of each.
            revision: by default the one that stands on chain.

        Raises:
            SdkError: if none is in place.

        """
        ids = licenses or tuple(sorted(await placed_licenses(self._session, view.job_id, view.job)))
        if not ids:
            raise SdkError(f"job {view.job_id}: no license is in place; nothing runs of it")
        number = view.job.revision if revision is None else revision
        contract = self._session.suite.licenses
        endpoints = await self._session.read_all([contract.endpoint_of(one) for one in ids])
        return [
            Replica(view.job_id, license_id, endpoint, number, service)
            for license_id, endpoint in zip(ids, endpoints, strict=True)
        ]

    async def logs(self, replica: Replica, cursor: str = "") -> LogReply:
        """Return what a replica printed after `cursor`, "" for all that is kept.

        Raises:
            EndpointError: if the node does not answer, or refuses.

        """
        data = await self._ask(replica, "logs", cursor)
        return _read(LogReply, data, replica)

    async def inspect(self, replica: Replica) -> InspectionReply:
        """Return what the node sees of a replica; raises as `logs`."""
        found = _read(InspectionReply, await self._ask(replica, "inspect"), replica)
        if (found.revision, found.service) != (replica.revision, replica.service):
            raise EndpointError(f"{origin_of(replica.endpoint)}: it answered something else")
        return found

    async def restart(self, replica: Replica) -> None:
        """End a replica and start it again; raises as `logs`."""
        await self._ask(replica, "restart")

    async def stop(self, replica: Replica) -> None:
        """End a replica until `resume`; it is paid for all the same. Raises as `logs`."""
        await self._ask(replica, "stop")

    async def resume(self, replica: Replica) -> None:
        """Start a replica that was stopped; raises as `logs`."""
        await self._ask(replica, "resume")

    async def command(
        self,
        replica: Replica,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        instance: str = "main",
    ) -> Any:
        """Have an instance of a native plugin do a command, and return its answer, JSON.

        Raises:
            SdkError: if the arguments are too large or JSON without floats can't hold them.
            EndpointError: if the node does not answer, or it or the plugin refuses.

        """
        asked = {"instance": instance, "command": command, "arguments": dict(arguments or {})}
        return await self._control(replica, "command", asked)

    async def configure(
        self, replica: Replica, config: Mapping[str, Any], *, instance: str = "main"
    ) -> bool:
        """Give an instance of a native plugin another configuration, for this revision and node.

        Raises as `command`.

        Returns:
            Whether it is in force; otherwise it is from the instance's next start on.

        """
        asked = {"instance": instance, "config": dict(config)}
        reply = await self._control(replica, "configure", asked)
        return isinstance(reply, dict) and reply.get("applied") is True

    async def _control(self, replica: Replica, action: Action, asked: Mapping[str, Any]) -> Any:
        try:
            argument = canonical_bytes(asked).decode()
        except CanonicalError as error:
            raise SdkError(f"{action}: {error}") from error
        if len(argument) > MAX_ARGUMENT:
            raise SdkError(
                f"{action}: it has {len(argument)} characters and may have {MAX_ARGUMENT}; send "
                "less, or revise the job"
            )
        reply = _read(PluginReply, await self._ask(replica, action, argument), replica)
        try:
            return json.loads(reply.data)
        except (ValueError, RecursionError) as error:
            raise EndpointError(
                f"{origin_of(replica.endpoint)}: its plugin's answer is no JSON"
            ) from error

    async def _ask(self, replica: Replica, action: Action, argument: str = "") -> bytes:
        if not replica.endpoint:
            raise EndpointError(
                f"license {replica.license_id}: it announces no endpoint; ask its operator"
            )
        session = self._session
        # Two within a millisecond must ascend as well.
        self._last = max(int(self._now() * _MILLISECONDS), self._last + 1)
        try:
            request = NodeRequest(
                escrow=session.suite.escrow.address,
                job_id=replica.job_id,
                license_id=replica.license_id,
                revision=replica.revision,
                action=action,
                service=replica.service,
                argument=argument,
                asked_at=self._last,
                account=self._signer.address,
            )
        except ValidationError as error:
            raise SdkError(_malformed(error)) from None
        digest = request.digest(session.deployment.domain(COMMITTEE_DOMAIN))
        signed = request.model_copy(update={"signature": self._signer.sign_digest(digest)})
        return await session.endpoints.send(
            "POST", replica.endpoint, PATH, signed.to_json(), MAX_BODY
        )


def _malformed(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{first['loc'][0]}: {first['input']!r} is malformed ({first['msg']}); set another"


def _read(kind: type[T], data: bytes, replica: Replica) -> T:
    try:
        return kind.parse(data)
    except ProtocolError as error:
        raise EndpointError(f"{origin_of(replica.endpoint)}: its answer is malformed") from error
