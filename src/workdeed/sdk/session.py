"""What every operation rests on: the chain, the contracts, a key perhaps, and keepers to ask."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from workdeed.chain.bindings.codec import Call, T, read
from workdeed.chain.bindings.committee import MAX_SEATS
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import Deployment
from workdeed.chain.keys import Signer
from workdeed.chain.rpc import RevertError, Rpc
from workdeed.chain.transactor import TransactorSettings
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import RefusedError, SdkError
from workdeed.sdk.reasons import in_words
from workdeed.sdk.sending import Sender


@dataclass
class Session:
    """The surroundings of a client's operations; `close` it at the end.

    Attributes:
        rpc: the chain.
        deployment: where its contracts are.
        sender: sends with the client's key.
        endpoints: calls keepers and nodes.
        keepers: addresses of keepers, as the user named them; else the seats' endpoints on chain.

    """

    rpc: Rpc
    deployment: Deployment
    sender: Sender
    endpoints: Endpoints
    keepers: tuple[str, ...]
    suite: Suite = field(init=False)

    def __post_init__(self) -> None:
        self.suite = Suite.of(self.deployment)

    async def close(self) -> None:
        """Close all connections."""
        await self.endpoints.close()
        await self.rpc.close()

    async def read(self, call: Call[T]) -> T:
        """Return the result of a view at the head; raises `RefusedError` if it reverts."""
        try:
            return await read(self.rpc, call)
        except RevertError as error:
            raise RefusedError(f"{call.name}: {in_words(error.reason)}", error.reason) from error

    async def read_all(self, calls: Sequence[Call[T]]) -> list[T]:
        """Return the results of several views; raises as `read`."""
        return list(await asyncio.gather(*(self.read(call) for call in calls)))

    async def keeper_addresses(self) -> tuple[str, ...]:
        """Return the keepers to ask: those the user named, else those of the committee's seats."""
        if self.keepers:
            return self.keepers
        committee, licenses = self.suite.committee, self.suite.licenses
        seats = await self.read_all([committee.seat(index) for index in range(MAX_SEATS)])
        taken = [license_id for license_id, _ in seats if license_id]
        found = await self.read_all([licenses.endpoint_of(one) for one in taken])
        self.keepers = tuple(address for address in found if address)
        return self.keepers


async def open_session(
    rpc: Rpc,
    deployment: Deployment,
    signer: Signer | None = None,
    *,
    keepers: Sequence[str] = (),
    allow_private: bool = False,
    settings: TransactorSettings | None = None,
    on_mined: Callable[[str, bytes], None] | None = None,
) -> Session:
    """Check that `rpc` serves the deployment's chain and holds its contracts.

    Raises:
        SdkError: if it serves another chain or holds no contract where the deployment says.
        ChainError: if it does not answer.

    """
    await check_chain(rpc, deployment)
    sender = Sender(rpc, deployment.chain_id, Suite.of(deployment), signer, settings, on_mined)
    endpoints = Endpoints(allow_private=allow_private, trusted=keepers)
    return Session(rpc, deployment, sender, endpoints, tuple(keepers))


async def check_chain(rpc: Rpc, deployment: Deployment) -> None:
    """Raise `SdkError` unless `rpc` serves the deployment's chain with code at each contract."""
    chain_id = await rpc.chain_id()
    if chain_id != deployment.chain_id:
        raise SdkError(
            f"rpc {rpc.origin}: it serves chain {chain_id}, the deployment is of chain "
            f"{deployment.chain_id}; use the RPC or the deployment file of the other"
        )
    names = list(deployment.contracts)
    calls = [("eth_getCode", [deployment.address(name), "latest"]) for name in names]
    codes = await rpc.batch(calls)
    for name, code in zip(names, codes, strict=True):
        if not rpc.data(code):
            raise SdkError(
                f"{name}: there is no contract at {deployment.address(name)}; deploy it, or use "
                "the deployment file of this chain"
            )
