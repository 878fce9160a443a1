"""An auction with an honest token on each side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.burn_auction.auctions import Sale, deploy_sale
from tests.contracts.system import System, deploy_system


@pytest.fixture(scope="session")
def deployed_sale() -> Sale:
    """An auction in a system of its own, made once."""
    return deploy_sale(deploy_system(oracles=1))


@pytest.fixture
def system(deployed_sale: Sale) -> System:
    """The system of the auction, as good as new."""
    return replace(deployed_sale.system, node_keys={}, reports=[])


@pytest.fixture
def sale(deployed_sale: Sale, system: System) -> Sale:
    """The auction, as good as new."""
    return replace(deployed_sale, system=system)
