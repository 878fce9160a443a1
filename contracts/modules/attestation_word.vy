# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Attestation word
@custom:contract-name attestation_word
@notice One storage word with the attestation of an account.
        Bits: issuer 160 | level 8 | expires_at 64.
"""


struct Attestation:
    # Who attested.
    issuer: address
    # How much was verified: 1 a person (KYC), 2 a business (KYB); higher includes lower.
    level: uint256
    # The Unix time in seconds at which it stops to hold.
    expires_at: uint256


@internal
@pure
def _pack(word: Attestation) -> uint256:
    """
    @dev Packs an attestation.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.level < 2**8, "attestation: level too high"
    assert word.expires_at < 2**64, "attestation: expiry too late"
    return convert(word.issuer, uint256) | (word.level << 160) | (word.expires_at << 168)


@internal
@pure
def _unpack(packed: uint256) -> Attestation:
    """
    @dev Unpacks an attestation.
    @param packed The word.
    @return Attestation The fields.
    """
    return Attestation(
        issuer=convert(packed & (2**160 - 1), address),
        level=(packed >> 160) & (2**8 - 1),
        expires_at=(packed >> 168) & (2**64 - 1),
    )
