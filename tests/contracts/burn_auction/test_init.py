"""What the constructor fixes."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.burn_auction.auctions import TERMS, Sale, deploy_sale
from tests.contracts.system import ZERO_ADDRESS, System, deployer, event


def test_tokens_registry_and_terms(sale: Sale, system: System) -> None:
    auction = sale.auction

    assert auction.TOKEN() == sale.token.address
    assert auction.PROTOCOL_TOKEN() == sale.protocol.address
    assert auction.TRUST() == system.trust.address
    assert tuple(auction.terms()) == TERMS
    assert auction.lot_id() == 0
    assert tuple(auction.lot()) == (0, 0, 0, 0, 0)


def test_first_terms_are_told(system: System) -> None:
    assert event(deploy_sale(system).auction, "TermsSet") == TERMS._asdict()


@pytest.mark.parametrize(
    ("token", "protocol", "reason"),
    [(False, True, "auction: zero token"), (True, False, "auction: zero protocol token")],
)
def test_missing_token_is_refused(
    sale: Sale, system: System, token: bool, protocol: bool, reason: str
) -> None:
    with evm.reverts(reason):
        deployer("BurnAuction").deploy(
            sale.token if token else ZERO_ADDRESS,
            sale.protocol if protocol else ZERO_ADDRESS,
            system.trust,
            TERMS,
        )


def test_wrong_terms_are_refused(sale: Sale, system: System) -> None:
    with evm.reverts("auction: zero floor"):
        deploy_sale(system, TERMS._replace(floor_rate=0), token=sale.token, protocol=sale.protocol)
