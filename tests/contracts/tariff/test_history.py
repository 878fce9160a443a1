"""What classes cost over time: every change stays readable."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import CLASSES, PRICE, System

RESOURCES = CLASSES[0][1:]


def history(system: System, class_id: int) -> list[tuple[int, bool, int]]:
    """Return price, retirement and time of every change of a class."""
    changes = system.tariff.class_changes(class_id)
    return [tuple(system.tariff.class_at(class_id, index)) for index in range(changes)]


def test_first_price_is_the_first_entry(system: System) -> None:
    (first,) = history(system, 1)

    assert first[:2] == (PRICE, False)
    assert 0 < first[2] <= evm.env.timestamp


def test_every_change_is_kept_with_its_time(system: System) -> None:
    """Prices up and down, retirement, return: in the order in which they came."""
    expected = history(system, 1)
    changes = [(PRICE + 5, False), (PRICE + 5, True), (1, False), (2**96 - 1, False)]
    for price, retired in changes:
        system.wait(1_000)
        if retired:
            system.tariff.retire_class(1, sender=system.governor)
        else:
            system.tariff.set_class(1, (price, *RESOURCES), sender=system.governor)
        expected.append((price, retired, evm.env.timestamp))

    assert history(system, 1) == expected
    assert system.tariff.class_of(1).price == 2**96 - 1


def test_same_price_again_is_a_change_too(system: System) -> None:
    system.tariff.set_class(1, CLASSES[0], sender=system.governor)

    assert [entry[:2] for entry in history(system, 1)] == [(PRICE, False)] * 2


def test_classes_have_histories_of_their_own(system: System) -> None:
    before = history(system, 2)
    system.tariff.set_class(1, (3, *RESOURCES), sender=system.governor)
    system.tariff.set_class(200, (4, 1, 1, 1), sender=system.governor)

    assert history(system, 2) == before
    assert len(history(system, 1)) == 2
    assert history(system, 200) == [(4, False, evm.env.timestamp)]


def test_refused_change_leaves_no_entry(system: System) -> None:
    before = history(system, 1)
    with evm.reverts("tariff: resources are fixed"):
        system.tariff.set_class(1, (1, 2, 3, 4), sender=system.governor)
    with evm.reverts("class: price out of range"):
        system.tariff.set_class(1, (0, *RESOURCES), sender=system.governor)

    assert history(system, 1) == before


@pytest.mark.parametrize(("class_id", "index"), [(1, 1), (1, 2**256 - 1), (0, 0), (9, 0)])
def test_change_that_never_happened_is_refused(system: System, class_id: int, index: int) -> None:
    with evm.reverts("tariff: unknown change"):
        system.tariff.class_at(class_id, index)


def test_price_of_the_escrow_is_that_of_the_latest_change(system: System) -> None:
    """G27: the escrow sells at what the tariff says now, and not at all once it is retired."""
    for price in (1, PRICE + 1, 2**96 - 1):
        system.tariff.set_class(1, (price, *RESOURCES), sender=system.governor)
        assert system.escrow.price_of(1) == history(system, 1)[-1][0] == price
    system.tariff.retire_class(1, sender=system.governor)

    with evm.reverts("rates: class retired"):
        system.escrow.price_of(1)
    with evm.reverts("rates: unknown class"):
        system.escrow.price_of(9)
