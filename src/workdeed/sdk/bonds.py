"""Bonds: what answers for a license. Amounts are base units of the settlement token."""

from workdeed.chain.bindings.licenses import BondWithdrawn
from workdeed.sdk.allowances import pay_with
from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import Session


class Bonds:
    """What operators do with the bonds of their licenses."""

    session: Session

    async def post_bond(self, license_id: int, amount: int) -> int:
        """Add to the bond of a license, which then is its owner's; return what counts now.

        Raises:
            SdkError: if the balance does not cover it or the contract refuses.

        """
        licenses = self.session.suite.licenses
        if amount < 1:
            raise SdkError("amount: it must be above 0")
        await pay_with(self.session, licenses.address, amount)
        await self.session.sender.send(licenses.post_bond(license_id, amount))
        return (await self.session.read(licenses.bond_of(license_id))).bond

    async def request_unbond(self, license_id: int, amount: int | None = None) -> int:
        """Ask for a part of the bond back, by default all; return what is requested in all.

        It stops counting at once and stays slashable until it is withdrawn.

        Raises:
            SdkError: if the contract refuses.

        """
        licenses = self.session.suite.licenses
        if amount is None:
            amount = (await self.session.read(licenses.bond_of(license_id))).bond
        await self.session.sender.send(licenses.request_unbond(license_id, amount))
        return (await self.session.read(licenses.bond_of(license_id))).unbonding

    async def cancel_unbond(self, license_id: int) -> int:
        """Let all that was requested count again; return the bond.

        Raises:
            SdkError: if the contract refuses.

        """
        licenses = self.session.suite.licenses
        await self.session.sender.send(licenses.cancel_unbond(license_id))
        return (await self.session.read(licenses.bond_of(license_id))).bond

    async def withdraw_bond(self, license_id: int) -> int:
        """Get what was requested, once the delay is over; return the amount.

        Raises:
            SdkError: if the contract refuses.

        """
        call = self.session.suite.licenses.withdraw_bond(license_id)
        withdrawn = (await self.session.sender.send(call)).event(BondWithdrawn)
        return withdrawn.amount if withdrawn else 0
