"""Who gets what is slashed."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.node_license.bonds import bonded_node
from tests.contracts.system import EVIDENCE, System, event


@pytest.mark.parametrize("split", [(0, 0), (10_000, 0), (0, 10_000), (5_000, 5_000), (1, 2)])
def test_governor_sets_the_split(bonded: System, split: tuple[int, int]) -> None:
    bonded.licenses.set_slash_split(*split, sender=bonded.governor)

    assert event(bonded.licenses, "SlashSplitSet") == {
        "payer_bps": split[0],
        "burn_bps": split[1],
    }
    assert (bonded.licenses.slash_payer_bps(), bonded.licenses.slash_burn_bps()) == split


def test_split_is_that_of_the_moment_of_the_slash(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.licenses.set_slash_split(0, 10_000, sender=bonded.governor)

    bonded.licenses.slash(license_id, 99, EVIDENCE, bonded.payer, sender=bonded.governor)

    assert tuple(bonded.vault.pots()) == (0, 99, 0)


@pytest.mark.parametrize("split", [(10_001, 0), (0, 10_001), (5_000, 5_001), (2**256 - 1, 1)])
def test_more_than_the_whole_is_refused(bonded: System, split: tuple[int, int]) -> None:
    with evm.reverts("license: slash split too high"):
        bonded.licenses.set_slash_split(*split, sender=bonded.governor)


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_others_cannot(bonded: System, role: str) -> None:
    with evm.reverts("roles: not the governor"):
        bonded.licenses.set_slash_split(0, 0, sender=getattr(bonded, role))
