"""What the chain says, read so that one lying or lagging RPC can neither start nor stop anything.

Every reading is taken from all RPCs, at one block that all of them hold, and counts only if at
least `min_rpcs` answer and all answers are equal. An RPC whose head is too old does not count, nor
does a block that is too old by the timestamp that all agree on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from workdeed.chain.errors import ChainError
from workdeed.chain.rpc import RpcClient, block_parameter
from workdeed.node.errors import ChainUnsureError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Resources
from workdeed.protocol.signing import to_checksum
from workdeed.protocol.windows import WindowClock

T = TypeVar("T")

OPEN_END: Final = 2**32 - 1
"""`until` of a license that was not released."""

_JOB: Final = (
    "(address,bytes32,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,"
    "uint256,uint256,uint256,uint256,uint256,bool,bool,bool,uint256)"
)
_ASSIGNMENT: Final = "(uint256,uint256,uint256,uint256)"
_GRANT: Final = "uint256,uint256,uint256"
_MEMBER: Final = "uint256,uint256,uint256,uint256"
_CLASS: Final = "(uint256,uint256,uint256,uint256,bool,bool)"


@dataclass(frozen=True, slots=True)
class Contracts:
    """Checksummed addresses of a deployment."""

    escrow: str
    licenses: str
    committee: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A block that all RPCs agree on, and the window that its timestamp falls into."""

    number: int
    block_hash: bytes
    timestamp: int
    window: int


@dataclass(frozen=True, slots=True)
class PairView:
    """A job, and the service of this node's license in it, at one block.

    Attributes:
        exists: false when the escrow has no such job.
        payer: who pays for it, the zero address when there is no such job.
        start, end: windows, end exclusive; 0 before the first placement.
        first, until: the license's windows, `until` exclusive and `OPEN_END` while it is not
            released; `first` is 0 if it was never assigned.
        class_id: the price class that is paid for.

    """

    exists: bool
    payer: str
    spec_hash: bytes
    revision: int
    start: int
    end: int
    cancelled: bool
    closed: bool
    first: int
    until: int
    class_id: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account is to a job, at one block.

    Attributes:
        is_payer: whether it pays for the job.
        scopes: what it may do for the payer now, bits as the desk has them; 0 for nothing.
        is_member: whether it signs for a seat of the committee.

    """

    is_payer: bool
    scopes: int
    is_member: bool


@dataclass(frozen=True, slots=True)
class LicenseView:
    """The license of this node, at one block.

    Attributes:
        node: the node key that is linked to it, the zero address if none is.
        standing: the worst of license, owner and node key, as the registry counts them; 0 is good.

    """

    node: str
    standing: int


@dataclass(frozen=True, slots=True)
class FinalReport:
    """The committee's latest final report; window 0 before the first."""

    window: int
    root: bytes


@dataclass(frozen=True, slots=True)
class _Fixed:
    """The committee's calendar, and the desk that the escrow names."""

    clock: WindowClock
    desk: str


class ChainView:
    """Reads a deployment through several RPCs at once."""

    def __init__(
        self,
        clients: Sequence[RpcClient],
        chain_id: int,
        contracts: Contracts,
        license_id: int,
        *,
        min_rpcs: int,
        stale_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Read through `clients`; `now` gives the wall clock that old heads are measured by."""
        self._clients = tuple(clients)
        self._chain_id = chain_id
        self._contracts = contracts
        self._license_id = license_id
        self._min_rpcs = min_rpcs
        self._stale_seconds = stale_seconds
        self._now = now
        self._checked: set[RpcClient] = set()
        self._fixed: _Fixed | None = None
        self._classes: dict[int, Resources] = {}

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.close()

    async def moment(self) -> Moment:
        """Return the latest block that all RPCs hold; an earlier call may have found a later one.

        Raises:
            ChainUnsureError: if too few RPCs are up to date, or they disagree.

        """
        heads = await self._answers(self._fresh_head)
        number = min(head for _, head in heads)
        clients = [client for client, _ in heads]
        number, block_hash, timestamp = await self._agreed(
            lambda client: self._block(client, number), clients
        )
        self._check_age(timestamp)
        fixed = await self._what_is_fixed(block_hash)
        return Moment(number, block_hash, timestamp, fixed.clock.at(timestamp))

    async def pairs(self, moment: Moment, job_ids: Sequence[int]) -> list[PairView]:
        """Return this node's pair of each job at `moment`, in order.

        Raises:
            ChainUnsureError: as `moment` does.

        """
        desk = (await self._what_is_fixed(moment.block_hash)).desk
        calls = []
        for job_id in job_ids:
            service = _call("assignment(uint256,uint256)", job_id, self._license_id)
            calls.append((desk, _call("job(uint256)", job_id)))
            calls.append((self._contracts.escrow, service))
        types = [_JOB, _ASSIGNMENT] * len(job_ids)
        values = await self._read(calls, types, moment.block_hash)
        return [
            _pair(job, service)
            for (job,), (service,) in zip(values[::2], values[1::2], strict=True)
        ]

    async def final_report(self, moment: Moment) -> FinalReport:
        """Return the final report at `moment`; raises as `moment` does."""
        to = self._contracts.committee
        calls = [(to, _call("final_report()"))]
        ((window, root),) = await self._read(calls, ["uint256,bytes32"], moment.block_hash)
        return FinalReport(window, root)

    async def license(self, moment: Moment) -> LicenseView:
        """Return this node's license at `moment`; raises as `moment` does."""
        calls = [
            (self._contracts.licenses, _call("node_of(uint256)", self._license_id)),
            (self._contracts.licenses, _call("payee_of(uint256)", self._license_id)),
        ]
        types = ["address", "address,uint256"]
        (node,), (_, standing) = await self._read(calls, types, moment.block_hash)
        return LicenseView(to_checksum(node), standing)

    async def standing(self, moment: Moment, job_id: int, account: str) -> Standing:
        """Return what `account` is to a job at `moment`; raises as `moment` does."""
        desk = (await self._what_is_fixed(moment.block_hash)).desk
        ((job,),) = await self._read(
            [(desk, _call("job(uint256)", job_id))], [_JOB], moment.block_hash
        )
        calls = [
            (desk, _call("grant_of(address,address)", int(job[0], 16), int(account, 16))),
            (self._contracts.committee, _call("member_of(address)", int(account, 16))),
        ]
        (scopes, _, expires_at), (license_id, _, last_epoch, _) = await self._read(
            calls, [_GRANT, _MEMBER], moment.block_hash
        )
        return Standing(
            is_payer=to_checksum(job[0]) == account and int(account, 16) != 0,
            scopes=scopes if moment.timestamp < expires_at else 0,
            is_member=license_id != 0 and last_epoch == 0,
        )

    async def class_size(self, moment: Moment, class_id: int) -> Resources:
        """Return what one slot of a price class gives, which never changes; raises likewise."""
        if class_id not in self._classes:
            calls = [(self._contracts.escrow, _call("TARIFF()"))]
            ((tariff,),) = await self._read(calls, ["address"], moment.block_hash)
            calls = [(tariff, _call("class_of(uint256)", class_id))]
            ((offer,),) = await self._read(calls, [_CLASS], moment.block_hash)
            if not offer[4]:
                raise ChainUnsureError(f"class_id: the tariff has no class {class_id}")
            self._classes[class_id] = Resources(
                cpu_milli=offer[1], memory_mb=offer[2], storage_mb=offer[3]
            )
        return self._classes[class_id]

    async def _what_is_fixed(self, block_hash: bytes) -> "_Fixed":
        """Return what never changes; it is read once."""
        if self._fixed is None:
            committee, escrow = self._contracts.committee, self._contracts.escrow
            calls = [
                (committee, _call("GENESIS()")),
                (committee, _call("WINDOW()")),
                (escrow, _call("COMMITTEE()")),
                (escrow, _call("LICENSES()")),
                (escrow, _call("DESK()")),
            ]
            types = ["uint256", "uint256", "address", "address", "address"]
            values = await self._read(calls, types, block_hash)
            genesis, window, *named = (value for (value,) in values)
            *others, desk = (to_checksum(one) for one in named)
            if others != [committee, self._contracts.licenses]:
                raise ChainUnsureError(
                    "contracts: the escrow names another committee or license contract; "
                    "take all addresses from one deployment"
                )
            self._fixed = _Fixed(WindowClock(genesis, window), desk)
        return self._fixed

    def _check_age(self, timestamp: int) -> None:
        """Refuse an old block: how old a head is was told by each RPC alone, true or not."""
        age = int(self._now()) - timestamp
        if age > self._stale_seconds:
            raise ChainUnsureError(
                f"rpc_urls: the latest block that all of them hold is {age} s old; "
                "replace the one that is behind"
            )

    async def _fresh_head(self, client: RpcClient) -> int:
        if client not in self._checked:
            chain_id = await client.chain_id()
            if chain_id != self._chain_id:
                raise ChainError(f"rpc {client.origin}: it serves chain {chain_id}; use another")
            self._checked.add(client)
        head = await client.head()
        age = int(self._now()) - head.timestamp
        if age > self._stale_seconds:
            raise ChainError(f"rpc {client.origin}: its head is {age} s old; use another")
        return head.number

    async def _block(self, client: RpcClient, number: int) -> tuple[int, bytes, int]:
        block = await client.block(number)
        if block is None:
            raise ChainError(f"rpc {client.origin}: it lacks block {number}; use another")
        return block.number, block.hash, block.timestamp

    async def _read(
        self, calls: Sequence[tuple[str, bytes]], types: Sequence[str], block_hash: bytes
    ) -> list[tuple[Any, ...]]:
        """Call contracts at one block through all RPCs and decode what all of them answer."""
        if not calls:
            return []
        block = block_parameter(block_hash)
        requests = [
            ("eth_call", [{"to": to, "data": "0x" + data.hex()}, block]) for to, data in calls
        ]

        async def ask(client: RpcClient) -> list[bytes]:
            return [client.data(answer) for answer in await client.batch(requests)]

        answers = await self._agreed(ask, self._clients)
        try:
            return [
                decode([kind] if kind.startswith("(") else kind.split(","), answer)
                for kind, answer in zip(types, answers, strict=True)
            ]
        except DecodingError as error:
            raise ChainUnsureError(
                "contracts: there is no such contract at one of the addresses; check the deployment"
            ) from error

    async def _agreed(
        self, ask: Callable[[RpcClient], Awaitable[T]], clients: Sequence[RpcClient]
    ) -> T:
        """Return the answer that all RPCs give."""
        (first, answer), *others = await self._answers(ask, clients)
        for client, other in others:
            if other != answer:
                raise ChainUnsureError(
                    f"rpc_urls: {first.origin} and {client.origin} disagree; "
                    "nothing is started or stopped until they agree"
                )
        return answer

    async def _answers(
        self,
        ask: Callable[[RpcClient], Awaitable[T]],
        clients: Sequence[RpcClient] | None = None,
    ) -> list[tuple[RpcClient, T]]:
        """Return the answers of those RPCs that give one; at least `min_rpcs` must."""
        asked = self._clients if clients is None else clients
        found = await asyncio.gather(*(ask(one) for one in asked), return_exceptions=True)
        answers: list[tuple[RpcClient, T]] = []
        problems = []
        for client, answer in zip(asked, found, strict=True):
            if isinstance(answer, ChainError):
                problems.append(str(answer))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                answers.append((client, answer))
        if len(answers) < max(1, self._min_rpcs):
            raise ChainUnsureError(
                f"rpc_urls: {len(answers)} of {len(self._clients)} answer and min_rpcs asks for "
                f"{self._min_rpcs} ({'; '.join(problems)})"
            )
        return answers


def _call(signature: str, *arguments: int) -> bytes:
    words = b"".join(argument.to_bytes(32, "big") for argument in arguments)
    return keccak(signature.encode())[:4] + words


def _pair(job: Sequence[Any], service: Sequence[Any]) -> PairView:
    return PairView(
        exists=int(job[0], 16) != 0,
        payer=to_checksum(job[0]),
        spec_hash=job[1],
        revision=job[2],
        start=job[11],
        end=job[12],
        cancelled=job[16],
        closed=job[18],
        first=service[0],
        until=service[1],
        class_id=job[4],
    )
