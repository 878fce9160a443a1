"""Tokens that do not do what ERC-20 says, on either side."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.burn_auction.auctions import AMOUNT, MAX, Sale, deploy_sale
from tests.contracts.evm import Contract
from tests.contracts.system import System, deployer, events


def selling(system: System, name: str) -> Sale:
    """Deploy an auction that sells the test double `name`."""
    return deploy_sale(system, token=deployer(f"testing/{name}").deploy(6))


def burning(system: System) -> Sale:
    """Deploy an auction whose protocol token burns what a test says."""
    return deploy_sale(system, protocol=deployer("testing/BurnToken").deploy())


def prepared_calls(auction: Contract, lot_id: int) -> dict[str, bytes]:
    """Return the data of every call that writes, and of the price, as an attacker sends it."""
    return {
        "kick": auction.kick.prepare_calldata(),
        "buy": auction.buy.prepare_calldata(lot_id, MAX),
        "set_terms": auction.set_terms.prepare_calldata((1, 1, 1, 1)),
        "price_of": auction.price_of.prepare_calldata(lot_id),
    }


def test_token_that_returns_nothing_is_sold(system: System) -> None:
    sale = selling(system, "NoReturnToken")

    sale.buy(sale.kick())

    assert sale.token.balanceOf(sale.buyer) == AMOUNT


def test_token_that_returns_false_burns_nothing(system: System) -> None:
    sale = selling(system, "FalseToken")
    lot_id = sale.kick()
    sale.token.set_failing(True)

    def fail() -> None:
        with evm.reverts("vault: transfer refused"):
            sale.buy(lot_id)

    assert sale.supply_falls_by(fail) == 0
    assert sale.auction.lot().amount == AMOUNT
    sale.token.set_failing(False)
    sale.buy(lot_id)


def test_blocked_buyer_holds_up_nobody_else(system: System) -> None:
    """M7, of lots."""
    sale = selling(system, "BlocklistToken")
    lot_id = sale.kick()
    sale.token.set_blocked(sale.buyer, True)

    with evm.reverts("token: receiver blocked"):
        sale.buy(lot_id)
    sale.fund(system.stranger)
    sale.buy(lot_id, buyer=system.stranger)

    assert sale.token.balanceOf(system.stranger) == AMOUNT


@pytest.mark.parametrize("burned_bps", [0, 9_999, 10_001])
def test_protocol_token_that_burns_something_else_sells_nothing(
    system: System, burned_bps: int
) -> None:
    sale = burning(system)
    lot_id = sale.kick()
    sale.protocol.set_burned_bps(burned_bps)

    with evm.reverts("auction: not burned"):
        sale.buy(lot_id)

    assert sale.auction.lot().amount == AMOUNT
    sale.protocol.set_burned_bps(10_000)
    sale.buy(lot_id)


calls_back = pytest.mark.parametrize("call", ["kick", "buy", "set_terms", "price_of"])


def hand_over(system: System, token: Contract) -> None:
    """Make a token the governor, so that no role refuses its calls."""
    system.trust.transfer_ownership(token, sender=system.governor)
    system.trust.accept_ownership(sender=token)


@calls_back
def test_no_call_gets_in_during_the_burn(system: System, call: str) -> None:
    sale = burning(system)
    hand_over(system, sale.protocol)
    lot_id = sale.kick()
    sale.fund(sale.protocol.address)
    sale.protocol.set_hook(sale.auction, prepared_calls(sale.auction, lot_id)[call])

    sale.buy(lot_id)

    assert not sale.protocol.succeeded()
    assert sale.token.balanceOf(sale.buyer) == AMOUNT
    assert sale.auction.lot_id() == lot_id


@calls_back
def test_no_call_gets_in_during_the_payout(system: System, call: str) -> None:
    sale = selling(system, "HookToken")
    hand_over(system, sale.token)
    lot_id = sale.kick()
    sale.token.mint(sale.auction, AMOUNT)
    sale.token.set_hook(sale.auction.address, prepared_calls(sale.auction, lot_id)[call])

    sale.buy(lot_id)

    assert len(events(sale.auction, "LotSold")) == 1
    assert sale.token.calls() == 1
    assert not sale.token.succeeded()
    assert sale.token.response() == b""
    assert sale.token.balanceOf(sale.buyer) == AMOUNT
    assert sale.auction.lot_id() == lot_id
    assert sale.auction.lot().amount == 0


def test_refused_calls_of_the_hook_work_outside_it(system: System) -> None:
    """The control of the two tests above: only the lock refuses these calls."""
    sale = selling(system, "PlainToken")
    lot_id = sale.kick()
    calls = prepared_calls(sale.auction, lot_id)

    for name, sender in [
        ("price_of", system.stranger),
        ("set_terms", system.governor),
        ("buy", sale.buyer),
    ]:
        assert evm.env.probe(sale.auction, sender=sender, data=calls[name]).succeeded
    sale.buy(lot_id)
    sale.token.mint(sale.auction, AMOUNT)
    assert evm.env.probe(sale.auction, data=calls["kick"]).succeeded
