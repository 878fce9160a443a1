"""Quorum signatures: who counts, in which order, over what."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.system import System, deploy_system, private_key, refuses_signatures, sign
from workdeed.protocol.hashing import keccak
from workdeed.protocol.quorum import quorum
from workdeed.protocol.signing import CURVE_ORDER, address_of, sign_digest

DIGEST = keccak(b"digest")


def in_order(system: System) -> list[bytes]:
    """Return the members' keys in ascending order of their addresses."""
    return sorted(system.oracle_keys, key=lambda key: int(address_of(key), 16))


def joined(keys: list[bytes]) -> bytes:
    """Return signatures in the order of `keys`."""
    return b"".join(sign_digest(key, DIGEST) for key in keys)


@pytest.mark.parametrize("seats", [*combinations(range(4), 3), tuple(range(4))])
def test_any_quorum_counts_with_a_bit_for_each_seat(system: System, seats: tuple[int]) -> None:
    signatures = sign(DIGEST, [system.oracle_keys[seat] for seat in seats])

    assert system.committee.verify(DIGEST, signatures) == sum(1 << seat for seat in seats)


@pytest.mark.parametrize("oracles", [1, 2, 3, 5, 10, 32])
def test_committees_of_every_size(oracles: int) -> None:
    system = deploy_system(oracles=oracles)
    needed = quorum(oracles)

    assert system.committee.verify(DIGEST, sign(DIGEST, system.oracle_keys)) == 2**oracles - 1
    assert system.committee.verify(DIGEST, sign(DIGEST, system.oracle_keys[-needed:]))
    with evm.reverts("committee: too few signatures"):
        system.committee.verify(DIGEST, sign(DIGEST, system.oracle_keys[: needed - 1]))


def test_no_signatures_are_too_few(system: System) -> None:
    with evm.reverts("committee: too few signatures"):
        system.committee.verify(DIGEST, b"")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(4)))
def test_only_ascending_order_counts(system: System, order: list[int]) -> None:
    keys = in_order(system)
    signatures = joined([keys[index] for index in order])

    if order == sorted(order):
        assert system.committee.verify(DIGEST, signatures) == 15
    else:
        with evm.reverts("committee: signer order"):
            system.committee.verify(DIGEST, signatures)


def test_repeated_signature_never_adds(system: System) -> None:
    first, second, *_ = in_order(system)

    for keys in ([first, first, second], [first, second, second], [first, first, first]):
        with evm.reverts("committee: signer order"):
            system.committee.verify(DIGEST, joined(keys))


def test_second_form_of_a_signature_never_adds(system: System) -> None:
    """The twin with a high s recovers the same signer, so it would pass for another signature."""
    first, second, *_ = in_order(system)
    good = sign_digest(first, DIGEST)
    s = CURVE_ORDER - int.from_bytes(good[32:64], "big")
    twin = good[:32] + s.to_bytes(32, "big") + bytes([55 - good[64]])

    for signatures in (good + twin + sign_digest(second, DIGEST), twin + joined([first, second])):
        with evm.reverts("signature: high s"):
            system.committee.verify(DIGEST, signatures)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_other_parity_is_refused(system: System, v: int) -> None:
    good = joined(in_order(system)[:3])

    with evm.reverts("signature: invalid"):
        system.committee.verify(DIGEST, good[:64] + bytes([v]) + good[65:])


def test_wrong_parity_recovers_no_member(system: System) -> None:
    signatures = bytearray(joined(in_order(system)[:3]))
    signatures[64] ^= 27 ^ 28

    with refuses_signatures():
        system.committee.verify(DIGEST, bytes(signatures))


def test_stranger_never_counts(system: System) -> None:
    stranger = private_key("no member")
    keys = sorted([*system.oracle_keys[:2], stranger], key=lambda key: int(address_of(key), 16))

    with evm.reverts("committee: not a member"):
        system.committee.verify(DIGEST, joined(keys))


def test_stranger_voids_even_a_full_quorum(system: System) -> None:
    with evm.reverts("committee: not a member"):
        system.committee.verify(DIGEST, sign(DIGEST, [*system.oracle_keys, private_key("x")]))


def test_other_digest_recovers_no_member(system: System) -> None:
    with refuses_signatures():
        system.committee.verify(keccak(b"another"), sign(DIGEST, system.oracle_keys))


@pytest.mark.parametrize("extra", [-1, 1, 64])
def test_cut_signature_is_refused(system: System, extra: int) -> None:
    signatures = sign(DIGEST, system.oracle_keys)
    signatures = signatures[:extra] if extra < 0 else signatures + bytes(extra)

    with evm.reverts("committee: signatures length"):
        system.committee.verify(DIGEST, signatures)


def test_removed_member_stops_counting_at_once(system: System) -> None:
    signatures = sign(DIGEST, system.oracle_keys)
    system.committee.remove_seat(0, sender=system.governor)

    with evm.reverts("committee: not a member"):
        system.committee.verify(DIGEST, signatures)
    assert system.committee.verify(DIGEST, sign(DIGEST, system.oracle_keys[1:])) == 0b1110


def test_new_member_counts_and_raises_the_quorum(system: System) -> None:
    key = private_key("fifth oracle")
    license_id = system.issue(system.operators[0], kind=2)
    system.link(license_id, key)
    system.committee.add_seat(license_id, address_of(key), sender=system.governor)

    with evm.reverts("committee: too few signatures"):
        system.committee.verify(DIGEST, sign(DIGEST, system.oracle_keys[:3]))
    signatures = sign(DIGEST, [*system.oracle_keys[:3], key])
    assert system.committee.verify(DIGEST, signatures) == 0b10111
