"""What the rules of the machine share: the contracts, their model, attempts that are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from tests.contracts import evm
from tests.contracts.stateful_committee.model import Books, License
from tests.contracts.system import System, account, private_key
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of

TRIED: Counter[str] = Counter()
"""How often each call was made, right or wrong."""

EFFECTIVE: Counter[str] = Counter()
"""How often each call took effect."""

REFUSED: Counter[str] = Counter()
"""How often a call was refused, by the reason."""

CHECKED: Counter[str] = Counter()
"""How often each invariant was compared with the chain, and each corner met."""

MAX_LICENSES = 6
SPARE_KEYS = [private_key(f"spare key {index}") for index in range(3)]
FIRST_KEYS = [private_key(f"oracle {index}") for index in range(5)]
KEY_OF = {address_of(key): key for key in [*FIRST_KEYS, *SPARE_KEYS]}
"""Every key that can sign; those of the first seats come first."""

OWNERS = [account("owner of oracle 0"), account("operator 0"), account("operator 1")]
AMOUNT = st.one_of(st.integers(1, 100), st.integers(1, 10**12))


class Signed(NamedTuple):
    """What an honest member signed once."""

    signer: str
    window: int
    turn: int
    epoch: int
    root: bytes
    data_hash: bytes
    signature: bytes


def word(*numbers: int) -> bytes:
    """Return a hash that stands for numbers."""
    return keccak(b"".join(number.to_bytes(32, "big") for number in numbers))


class Base(RuleBasedStateMachine):
    """The contracts, their model, and what calls of every kind share."""

    system: System
    books: Books

    def __init__(self) -> None:
        super().__init__()
        self.anchor = evm.env.anchor()
        self.anchor.__enter__()
        self.journal: list[Signed] = []
        self.paid: Counter[str] = Counter()
        self.attempts = 0

    def teardown(self) -> None:
        """Forget the example's chain."""
        self.anchor.__exit__(None, None, None)

    def attempt(self, name: str, reason: str | None, call: Callable[[], Any]) -> Any:
        """Make a call that must succeed, or fail for `reason`; count it."""
        TRIED[name] += 1
        if reason is None:
            result = call()
            EFFECTIVE[name] += 1
            return result
        note(f"{name} must fail: {reason}")
        REFUSED[reason] += 1
        with evm.reverts(reason):
            call()
        return None

    def refuse(self, name: str, reasons: Sequence[str], call: Callable[[], Any]) -> None:
        """Make a call that must always fail, for one of `reasons`; that is its effect."""
        TRIED[name] += 1
        with pytest.raises(evm.Reverted) as refusal:
            call()
        assert refusal.value.reason in reasons
        EFFECTIVE[name] += 1

    @property
    def now(self) -> int:
        """The time that the next call sees."""
        return int(evm.env.timestamp)

    def until(self, moment: int) -> None:
        """Travel to a moment, unless it is over."""
        if self.now < moment:
            self.system.wait(moment - self.now)

    def keys(self, signers: Iterable[str]) -> list[bytes]:
        """Return the private keys of signers."""
        return [KEY_OF[signer] for signer in signers]

    def license(
        self, data: st.DataObject, fit: Callable[[int, License], bool] = lambda _, __: True
    ) -> int:
        """Draw a license, mostly one that a call fits."""
        every = sorted(self.books.licenses)
        fitting = [one for one in every if fit(one, self.books.licenses[one])]
        weighted = fitting * (1 + 3 * len(every) // max(1, len(fitting))) + every
        return int(data.draw(st.sampled_from(weighted), label="license"))

    def worst(self, license_id: int) -> int:
        """Return the worst standing of a license, its owner and its node."""
        return self.books.standing(license_id, self.now)

    def rarely(self, data: st.DataObject, label: str) -> bool:
        """Say whether to go wrong on purpose."""
        return bool(data.draw(st.integers(1, 6), label=label) == 6)
