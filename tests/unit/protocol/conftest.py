"""Roles and domains that the protocol's tests share; keys are hashes of the roles' names."""

import pytest

from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, ESCROW_DOMAIN, LICENSE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum


@pytest.fixture
def oracles() -> list[bytes]:
    """Private keys of a committee of four."""
    return [keccak(b"test oracle %d" % index) for index in range(4)]


@pytest.fixture
def node_key() -> bytes:
    """Private key of a node."""
    return keccak(b"test node")


@pytest.fixture
def escrow() -> str:
    """Address of the escrow; its letters mix cases."""
    return to_checksum(keccak(b"test escrow")[12:])


@pytest.fixture
def committee_domain() -> Domain:
    return Domain(COMMITTEE_DOMAIN, 31337, to_checksum(keccak(b"test committee")[12:]))


@pytest.fixture
def escrow_domain(escrow: str) -> Domain:
    return Domain(ESCROW_DOMAIN, 31337, escrow)


@pytest.fixture
def license_domain() -> Domain:
    return Domain(LICENSE_DOMAIN, 31337, to_checksum(keccak(b"test license")[12:]))
