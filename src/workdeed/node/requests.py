"""Decides whether a signed request may be done, by what the chain says of who signed it.

A request that changes something counts once: requests of one account about one job must ascend in
time, and the last one is on disk before it is done, so that a restart forgets none.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from workdeed.node.chain_view import ChainView, Standing
from workdeed.node.errors import BusyError, RequestRefusedError, StateError
from workdeed.node.files import private_directory, read_json, write_json
from workdeed.node.identity import NodeIdentity
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.noderequest import (
    READING,
    REQUEST_SECONDS_VALID,
    ROLLOUT,
    NodeRequest,
)

REVISE_SCOPE: Final = 8
"""The bit of a grant that lets a delegate ask for what its payer may ask for."""

MAX_REMEMBERED: Final = 4_096
"""Pairs of account and job whose last request is remembered one by one."""

_AT_ONCE: Final = 8
_WAITING: Final = 64
_MILLISECONDS: Final = 1_000

Key = tuple[str, int]
"""An account and a job."""


class RequestMemory:
    """When each account last had something changed about each job, durably.

    What is too old to be taken for its time is forgotten, and the oldest where there is too much,
    but for the latest of those times: nothing up to it is ever taken again, though the clock may be
    set back. That time is never ahead of the clock.

    Args:
        path: the file; its folder is made.

    """

    def __init__(self, path: Path) -> None:
        """Read what an earlier run wrote.

        Raises:
            StateError: if it is damaged.

        """
        private_directory(path.parent)
        self._path = path
        self._last: dict[Key, int] = {}
        self._floor = 0
        found = read_json(path)
        if found is not None:
            self._last, self._floor = _decode(found, path)

    def take(self, key: Key, asked_at: int, *, oldest: int, now: int) -> None:
        """Remember a request.

        Args:
            key: whose it is, and about which job.
            asked_at: its time in milliseconds since 1970.
            oldest: requests before that time are refused for their age.
            now: the node's own time.

        Raises:
            RequestRefusedError: if a request as late as it was taken before.
            BusyError: if all that can be remembered is ahead of the node's clock, as is this one.

        """
        if asked_at <= max(self._last.get(key, 0), self._floor):
            raise RequestRefusedError("asked_at: a later request was taken; sign anew", 409)
        last = {**self._last, key: asked_at}
        floor = max([self._floor, *(at for at in last.values() if at < oldest)])
        last = {one: at for one, at in last.items() if at >= oldest}
        while len(last) > MAX_REMEMBERED:
            stalest = min(last, key=last.__getitem__)
            if last[stalest] > now:
                # Forgotten, it could be repeated; and nobody may shut out others until its time.
                raise BusyError("request: too many are ahead of this node's clock; set the clock")
            floor = max(floor, last.pop(stalest))
        write_json(self._path, _encode(last, floor))
        self._last, self._floor = last, floor


class Requests:
    """What may be asked of this node, and by whom.

    Args:
        identity: whose license and domain requests must name.
        escrow: the escrow whose jobs this node serves.
        chain: read for each request.
        path: file of the memory.
        now: the wall clock, in seconds.

    """

    def __init__(
        self,
        identity: NodeIdentity,
        escrow: str,
        chain: ChainView,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open the memory; raises `StateError` if it is damaged."""
        self._identity = identity
        self._escrow = escrow
        self._chain = chain
        self._memory = RequestMemory(path)
        self._now = now
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._asking = 0

    async def allow(self, request: NodeRequest) -> None:
        """Return if `request` may be done now; one that changes something then counts as done.

        Raises:
            RequestRefusedError: with status 401 if nobody signed it so or its time is not now, 403
                if it is for another node or its signer may not ask for it, 409 if it was taken
                before or a later one was.
            ChainUnsureError: if the chain can't be read now.
            BusyError: if too many are looked at already.

        """
        self._check_address(request)
        self._check_time(request)
        self._check_signature(request)
        standing = await self._standing(request)
        reason = obstacle(request, standing)
        if reason:
            raise RequestRefusedError(f"account: {reason}", 403)
        if request.action not in READING:
            # Looked at again: reading the chain took a while.
            self._check_time(request)
            now = int(self._now() * _MILLISECONDS)
            oldest = now - REQUEST_SECONDS_VALID * _MILLISECONDS
            key = (request.account, request.job_id)
            self._memory.take(key, request.asked_at, oldest=oldest, now=now)

    def _check_address(self, request: NodeRequest) -> None:
        if request.escrow != self._escrow:
            raise RequestRefusedError(f"escrow: this node serves {self._escrow}; name that", 403)
        if request.license_id != self._identity.license_id:
            raise RequestRefusedError(
                f"license_id: this is the node of license {self._identity.license_id}; ask the "
                "other one",
                403,
            )

    def _check_time(self, request: NodeRequest) -> None:
        age = self._now() - request.asked_at / _MILLISECONDS
        if abs(age) > REQUEST_SECONDS_VALID:
            side = "behind" if age > 0 else "ahead of"
            raise RequestRefusedError(
                f"asked_at: it is {abs(age):.0f} s {side} this node's clock and may be at most "
                f"{REQUEST_SECONDS_VALID} s from it; set the clock and sign anew",
                401,
            )

    def _check_signature(self, request: NodeRequest) -> None:
        try:
            request.verify(self._identity.domain)
        except ProtocolError as error:
            raise RequestRefusedError(str(error), 401) from error

    async def _standing(self, request: NodeRequest) -> Standing:
        if self._asking >= _WAITING:
            raise BusyError("request: too many at once; send it again in a moment")
        self._asking += 1
        try:
            async with self._slots:
                moment = await self._chain.moment()
                return await self._chain.standing(moment, request.job_id, request.account)
        finally:
            self._asking -= 1


def obstacle(request: NodeRequest, standing: Standing) -> str:
    """Return why whoever stands so may not ask for it, "" if it may."""
    if standing.is_payer or standing.scopes & REVISE_SCOPE:
        return ""
    if request.action in ROLLOUT and standing.is_member:
        return ""
    others = ", or a member of the committee" if request.action in ROLLOUT else ""
    return (
        f"{request.account} may not ask for {request.action}; the job's payer may, or a delegate "
        f"of it with the scope revise{others}"
    )


def _encode(last: dict[Key, int], floor: int) -> dict[str, Any]:
    rows = [[account, job_id, at] for (account, job_id), at in sorted(last.items())]
    return {"floor": floor, "last": rows}


def _decode(value: Any, path: Path) -> tuple[dict[Key, int], int]:
    try:
        last = {(str(account), int(job_id)): int(at) for account, job_id, at in value["last"]}
        return last, int(value["floor"])
    except (KeyError, TypeError, ValueError) as error:
        # Forgetting it would let old requests through again.
        raise StateError(
            f"state_dir: {path.name} is damaged; remove it once no request of the last "
            f"{REQUEST_SECONDS_VALID} s may be repeated"
        ) from error
