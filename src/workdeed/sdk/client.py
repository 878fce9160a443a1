"""The client: every operation of a payer, an operator and a role holder in one place."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from workdeed.chain.deployment import Deployment
from workdeed.chain.keys import Signer
from workdeed.chain.rpc import Rpc
from workdeed.chain.transactor import TransactorSettings
from workdeed.sdk.auction import Auction
from workdeed.sdk.bonds import Bonds
from workdeed.sdk.delegates import Delegates
from workdeed.sdk.draining import Draining
from workdeed.sdk.earnings import Earnings
from workdeed.sdk.fees import Fees
from workdeed.sdk.governance import Governance
from workdeed.sdk.secrets import Sealing
from workdeed.sdk.session import Session, open_session
from workdeed.sdk.trust import Trust


class Client(Sealing, Delegates, Draining, Bonds, Earnings, Fees, Auction, Trust):
    """One deployment, seen with one key.

        async with await Client.connect(rpc, deployment, signer) as client:
            job_id = await client.open_job(spec, slots=2, windows=24)

    Every operation that sends returns once its transaction is mined; what a contract refuses is a
    `RefusedError` with its reason in words, raised before anything was sent where possible.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    @classmethod
    async def connect(
        cls,
        rpc: Rpc,
        deployment: Deployment,
        signer: Signer | None = None,
        *,
        keepers: Sequence[str] = (),
        allow_private: bool = False,
        settings: TransactorSettings | None = None,
        on_mined: Callable[[str, bytes], None] | None = None,
    ) -> Self:
        """Return a client after checking that `rpc` serves the deployment.

        Args:
            rpc: the chain; the client closes it.
            deployment: where the contracts are.
            signer: the key of the transactions; reading needs none.
            keepers: addresses of keepers; by default those that the committee's seats announce.
            allow_private: whether keepers and nodes that are found on chain may be at private
                addresses; those named here always may.
            settings: fees and waiting.
            on_mined: told name and hash of each transaction when it is mined.

        Raises:
            SdkError: if the chain is another, or a contract is missing.
            ChainError: if the chain does not answer.

        """
        session = await open_session(
            rpc,
            deployment,
            signer,
            keepers=keepers,
            allow_private=allow_private,
            settings=settings,
            on_mined=on_mined,
        )
        return cls(session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.session.close()

    @property
    def governance(self) -> Governance:
        """What the governor decides, and the operations of the timelock."""
        return Governance(self.session)

    @property
    def sender(self) -> str:
        """The account that sends; raises `MissingKeyError` without a key."""
        return self.session.sender.address

    async def balance(self, account: str | None = None) -> int:
        """Return the token balance of an account, by default of the sender, in base units."""
        return await self.session.read(self.session.suite.token.balance_of(account or self.sender))

    async def decimals(self) -> int:
        """Return how many decimals the settlement token has."""
        return await self.session.read(self.session.suite.token.decimals())

    async def faucet(self, amount: int) -> int:
        """Take test tokens on a chain that has them; return the new balance in base units.

        Raises:
            SdkError: if the amount is above the faucet's limit.

        """
        await self.session.sender.send(self.session.suite.token.faucet(amount))
        return await self.balance()
