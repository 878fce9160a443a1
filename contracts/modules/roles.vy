# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Roles
@custom:contract-name roles
@notice Who may administer a contract. The trust registry names the governor and the
        guardian once; every other contract asks it, so a hand-over is one act.
"""

from ..interfaces import ITrustRegistry


# @dev The registry that names the role holders.
TRUST: public(immutable(ITrustRegistry))


@deploy
def __init__(trust: ITrustRegistry):
    """
    @dev Fixes the registry.
    @param trust The trust registry.
    """
    TRUST = trust


@internal
@view
def _check_governor():
    """
    @dev Reverts unless the caller is the governor.
    """
    assert msg.sender == staticcall TRUST.governor(), "roles: not the governor"


@internal
@view
def _check_guardian():
    """
    @dev Reverts unless the caller is the guardian.
    """
    assert msg.sender == staticcall TRUST.guardian(), "roles: not the guardian"


@internal
@view
def _check_issuer():
    """
    @dev Reverts unless the caller is an active issuer.
    """
    assert staticcall TRUST.is_issuer(msg.sender), "roles: not an issuer"
