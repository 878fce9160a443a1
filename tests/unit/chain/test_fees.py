"""Fees: never above the cap, always enough for a node to take a replacement."""

from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.fees import GWEI, Fees, FeeSettings, bump, quote, with_margin

WEI = st.integers(0, 10**15)
SETTINGS = st.builds(FeeSettings, max_fee=WEI, priority_fee=WEI, gas_margin_percent=st.just(25))


@given(base_fee=WEI, settings=SETTINGS)
def test_a_quote_covers_the_base_fee_within_the_cap(base_fee: int, settings: FeeSettings) -> None:
    fees = quote(base_fee, settings)
    if fees is None:
        assert base_fee + settings.priority_fee > settings.max_fee
    else:
        assert base_fee + fees.priority_fee <= fees.max_fee <= settings.max_fee
        assert fees.priority_fee == settings.priority_fee


@given(base_fee=WEI, settings=SETTINGS, max_fee=WEI, priority_fee=WEI)
def test_a_replacement_pays_an_eighth_more_within_the_cap(
    base_fee: int, settings: FeeSettings, max_fee: int, priority_fee: int
) -> None:
    old = Fees(max_fee, min(priority_fee, max_fee))
    new = bump(old, base_fee, settings)
    if new is not None:
        assert new.max_fee * 8 >= old.max_fee * 9
        assert new.priority_fee * 8 >= old.priority_fee * 9
        assert base_fee + new.priority_fee <= new.max_fee <= settings.max_fee


def test_figures() -> None:
    settings = FeeSettings(max_fee=10 * GWEI, priority_fee=GWEI)
    assert quote(2 * GWEI, settings) == Fees(5 * GWEI, GWEI)
    assert quote(6 * GWEI, settings) == Fees(10 * GWEI, GWEI)
    assert quote(9 * GWEI + 1, settings) is None
    assert bump(Fees(8 * GWEI, GWEI), 0, settings) == Fees(9 * GWEI, 1_125_000_000)
    assert bump(Fees(9 * GWEI, GWEI), 0, settings) is None
    assert bump(Fees(2 * GWEI, GWEI), 7 * GWEI, settings) == Fees(8_125_000_000, 1_125_000_000)
    assert with_margin(100_001, settings) == 125_001
