"""What the tests of the protocol token repeat."""

from __future__ import annotations

from tests.contracts.evm import Contract
from tests.contracts.system import System, account, deployer

CAP = 10**27
SUPPLY = 4 * 10**26
HOLDER = account("holder")


def deploy_token(
    system: System, *, cap: int = CAP, supply: int = SUPPLY, holder: str = HOLDER
) -> Contract:
    """Deploy a token as the deployer."""
    return deployer("ProtocolToken").deploy(
        system.trust, cap, supply, holder, sender=system.deployer
    )
