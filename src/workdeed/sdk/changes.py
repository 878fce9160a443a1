"""Calls of the governor that are completed by what stands on chain.

What needs nothing completed is a call of the bindings; either is given to `Governance.act`. Prices
are base units of the settlement token, shares basis points.
"""

from typing import Any

from workdeed.chain.bindings.auction import BurnAuction
from workdeed.chain.bindings.codec import Call
from workdeed.chain.bindings.licenses import ZERO_ADDRESS
from workdeed.chain.bindings.tariff import ClassTerms
from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import Session


async def seat(session: Session, license_id: int) -> Call[int]:
    """Return the call that seats an oracle license with the key that is linked to it now.

    The call names that key: one that is linked later gets no seat by it.

    Raises:
        SdkError: if no key is linked.

    """
    signer = await session.read(session.suite.licenses.node_of(license_id))
    if signer == ZERO_ADDRESS:
        raise SdkError(
            f"license {license_id}: no member key is linked to it; its owner links one first"
        )
    return session.suite.committee.add_seat(license_id, signer)


async def price_class(session: Session, class_id: int, **changes: int) -> Call[None]:
    """Return the call that sets a price class; what is not named stays.

    Args:
        session: where to.
        class_id: the class; a new one needs every field.
        changes: fields of `ClassTerms`.

    Raises:
        SdkError: if it is new and lacks a field.

    """
    tariff = session.suite.tariff
    offer = await session.read(tariff.class_of(class_id))
    missing = [name for name in ClassTerms._fields if name not in changes]
    if missing and not offer.exists:
        raise SdkError(f"class {class_id}: it is new; give its {', '.join(missing)} as well")
    stands = ClassTerms(*(getattr(offer, name) for name in ClassTerms._fields))
    return tariff.set_class(class_id, stands._replace(**changes))


async def policy(session: Session, **changes: Any) -> Call[int]:
    """Return the call that adds a policy version: the latest with some `PolicyTerms` changed."""
    tariff = session.suite.tariff
    latest = await session.read(tariff.policy_version())
    terms = await session.read(tariff.policy_of(latest))
    return tariff.add_policy(terms._replace(**changes))


async def slash_split(session: Session, **changes: int) -> Call[None]:
    """Return the call that sets `payer_bps` and `burn_bps` of slashes; what is not named stays."""
    licenses = session.suite.licenses
    payer_bps, burn_bps = await session.read_all(
        [licenses.slash_payer_bps(), licenses.slash_burn_bps()]
    )
    stands = {"payer_bps": payer_bps, "burn_bps": burn_bps}
    return licenses.set_slash_split(**(stands | changes))


async def auction_terms(session: Session, **changes: int) -> Call[None]:
    """Return the call that sets the terms of later lots; `AuctionTerms` not named stay.

    Raises:
        SdkError: if the deployment has no auction.

    """
    auction = auction_of(session)
    terms = await session.read(auction.terms())
    return auction.set_terms(terms._replace(**changes))


def auction_of(session: Session) -> BurnAuction:
    """Return the burn auction; raises `SdkError` if the deployment has none."""
    if session.suite.auction is None:
        raise SdkError("auction: this deployment has none; use the file of one that has")
    return session.suite.auction
