"""Claims that take several transactions; what the escrow does with them needs a chain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from workdeed.chain.bindings.escrow import MAX_CLAIMS, Claimed, ClaimEntry
from workdeed.chain.errors import ChainError
from workdeed.sdk.earnings import BrokenOffError, Earnings
from workdeed.sdk.errors import SdkError

PAYEE = "0x" + "11" * 20


class FakeSender:
    """Pays for each entry until it is told to fail."""

    def __init__(self, fails_after: int, error: Exception) -> None:
        self.left = fails_after
        self.error = error

    async def send(self, part: list[ClaimEntry]) -> Any:
        if not self.left:
            raise self.error
        self.left -= 1
        values = dict.fromkeys(Claimed.__dataclass_fields__, 0)
        paid = [
            Claimed(
                **values
                | {"job_id": one.job_id, "license_id": 7, "payee": PAYEE, "amount": one.units}
            )
            for one in part
        ]
        return SimpleNamespace(events=paid)


def earnings(sender: FakeSender) -> Earnings:
    made = Earnings()
    escrow = SimpleNamespace(claim_many=lambda payee, part: part)
    session: Any = SimpleNamespace(sender=sender, suite=SimpleNamespace(escrow=escrow))
    made.session = session
    return made


ENTRIES = [ClaimEntry(job_id, 7, 100 + job_id, ()) for job_id in range(1, MAX_CLAIMS + 3)]


@pytest.mark.parametrize("error", [SdkError("escrow: frozen"), ChainError("no answer")])
async def test_what_was_paid_before_a_failure_is_told_with_it(error: Exception) -> None:
    made = earnings(FakeSender(1, error))
    sentence = f"{MAX_CLAIMS} of {MAX_CLAIMS + 2} jobs were collected, then: {error}"
    with pytest.raises(BrokenOffError, match=sentence) as caught:
        await made._claim_all(PAYEE, ENTRIES)
    assert [one.job_id for one in caught.value.collected] == list(range(1, MAX_CLAIMS + 1))
    assert caught.value.collected[0].amount == 101
    assert caught.value.__cause__ is error


async def test_a_failure_before_anything_was_paid_is_told_as_it_is() -> None:
    error = SdkError("escrow: frozen")
    with pytest.raises(SdkError) as caught:
        await earnings(FakeSender(0, error))._claim_all(PAYEE, ENTRIES)
    assert caught.value is error


async def test_all_is_collected_in_as_many_transactions_as_it_takes() -> None:
    found = await earnings(FakeSender(2, SdkError("")))._claim_all(PAYEE, ENTRIES)
    assert [one.job_id for one in found] == [one.job_id for one in ENTRIES]
