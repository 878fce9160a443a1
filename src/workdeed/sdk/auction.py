"""The burn auction: lots of the settlement token, paid with protocol tokens, which are burned.

Anyone may put up a lot and buy one. Amounts are base units of the settlement token, prices base
units of the protocol token, times Unix seconds.
"""

from dataclasses import dataclass
from typing import Any

from workdeed.chain.bindings.auction import AuctionTerms, Lot, LotKicked, LotSold
from workdeed.chain.bindings.token import ProtocolToken
from workdeed.sdk.allowances import check_balance, raise_allowance
from workdeed.sdk.changes import auction_of
from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import Session
from workdeed.sdk.words import utc


@dataclass(frozen=True, slots=True)
class AuctionView:
    """The auction at a block.

    Attributes:
        lot_id: the latest lot; 0 before the first.
        lot: what is for sale of it.
        price: what the open lot costs now; None without one.
        waiting: what joins the next lot, less an open one.
        terms: how the next lot is sold.
        now: the time of the block.

    """

    lot_id: int
    lot: Lot
    price: int | None
    waiting: int
    terms: AuctionTerms
    now: int

    @property
    def is_open(self) -> bool:
        """Whether a lot is for sale."""
        return self.lot.amount > 0

    @property
    def restarts_at(self) -> int | None:
        """When the price of the open lot jumps back to its start; None without one."""
        if not self.is_open:
            return None
        # The floor stands for one second after the fall.
        turn = self.lot.duration + 1
        return self.lot.kicked_at + ((self.now - self.lot.kicked_at) // turn + 1) * turn

    @property
    def kick_at(self) -> int:
        """From when on the next lot can be put up, if there is enough for one."""
        return self.lot.kicked_at + self.lot.duration + 1 if self.is_open else self.now

    def to_json(self) -> dict[str, Any]:
        """Return the view for JSON: amounts and prices as decimal strings."""
        return {
            "lot_id": self.lot_id,
            "amount": str(self.lot.amount),
            "price": None if self.price is None else str(self.price),
            "restarts_at": self.restarts_at,
            "waiting": str(self.waiting),
            "min_lot": str(self.terms.min_lot),
            "kick_at": self.kick_at,
            "terms": {name: str(value) for name, value in self.terms._asdict().items()},
        }


class Auction:
    """What anyone does at the burn auction; reading needs no key."""

    session: Session

    @property
    def protocol_token(self) -> ProtocolToken:
        """The token that is burned; raises `SdkError` if the deployment has none."""
        token = self.session.suite.protocol_token
        if token is None:
            raise SdkError("protocol token: this deployment has none; use the file of one that has")
        return token

    async def auction(self) -> AuctionView:
        """Return what is for sale, for how much, and what comes next.

        Raises:
            SdkError: if the deployment has no auction.

        """
        contract, session = auction_of(self.session), self.session
        lot_id = await session.read(contract.lot_id())
        lot = await session.read(contract.lot())
        price = None
        if lot.amount:
            price = await session.read(contract.price_of(lot_id))
        held = await session.read(session.suite.token.balance_of(contract.address))
        return AuctionView(
            lot_id=lot_id,
            lot=lot,
            price=price,
            waiting=max(0, held - lot.amount),
            terms=await session.read(contract.terms()),
            now=(await session.rpc.head()).timestamp,
        )

    async def kick_lot(self) -> tuple[int, int]:
        """Put up everything that the auction holds; return the lot's number and amount.

        Raises:
            SdkError: if a lot is open and in its first fall, or there is too little for one.

        """
        contract = auction_of(self.session)
        view = await self.auction()
        if view.now < view.kick_at:
            raise SdkError(
                f"auction: lot {view.lot_id} is for sale; buy it, or put up the next one from "
                f"{utc(view.kick_at)} on"
            )
        held = view.waiting + view.lot.amount
        if held < view.terms.min_lot:
            raise SdkError(
                f"auction: it holds {held} base units, a lot takes {view.terms.min_lot}; "
                "`workdeed fees flush` brings what claims have paid"
            )
        kicked = (await self.session.sender.send(contract.kick())).event(LotKicked)
        return (kicked.lot_id, kicked.amount) if kicked else (view.lot_id + 1, held)

    async def buy_lot(self, lot_id: int | None = None, max_price: int | None = None) -> LotSold:
        """Buy the whole open lot; its price is burned of the sender's protocol tokens.

        The price falls until the lot starts over at its highest, and a transaction may be mined
        after that: `max_price` bounds what is paid then.

        Args:
            lot_id: the lot; by default the open one.
            max_price: the most that it may cost; by default what it costs now.

        Raises:
            SdkError: if it is not for sale, it costs more, the balance does not cover it, or the
                contract refuses.

        """
        contract = auction_of(self.session)
        view = await self.auction()
        if view.price is None or lot_id not in (None, view.lot_id):
            found = f"lot {view.lot_id} is" if view.is_open else "none is; kick one first"
            raise SdkError(f"lot: {lot_id or 'it'} is not for sale, {found}")
        limit = view.price if max_price is None else max_price
        if view.price > limit:
            raise SdkError(
                f"max_price: lot {view.lot_id} costs {view.price} base units now; pay more, or "
                f"wait: it falls until {utc((view.restarts_at or view.now) - 1)}"
            )
        token = self.protocol_token
        await check_balance(self.session, self.session.sender.address, view.price, token)
        await raise_allowance(self.session, contract.address, limit, token)
        receipt = await self.session.sender.send(contract.buy(view.lot_id, limit))
        sold = receipt.event(LotSold)
        if sold is None:
            raise SdkError(f"lot {view.lot_id}: it was bought, but the receipt lacks the sale")
        return sold

    async def protocol_decimals(self) -> int:
        """Return how many decimals the protocol token has."""
        return await self.session.read(self.protocol_token.decimals())
