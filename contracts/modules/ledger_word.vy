# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Ledger word
@custom:contract-name ledger_word
@notice The storage word of a policy version: fee shares, fees taken and what is owed.
        Bits: in_use 1 | oracle 14 | burn 14 | treasury 14 | fees 106 | liabilities 107.
"""


struct Ledger:
    # Shares of a claim's gross in basis points.
    oracle_bps: uint256
    burn_bps: uint256
    treasury_bps: uint256
    # Fees taken since the version was added, in base units of the token.
    fees: uint256
    # What the escrow owes under the version, locked deposits and fees, in base units of the token.
    liabilities: uint256


@internal
@pure
def _pack(word: Ledger) -> uint256:
    """
    @dev Packs a ledger. The lowest bit is always set: an existing word is never zero.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.oracle_bps + word.burn_bps + word.treasury_bps <= 10_000, "ledger: shares above 100%"
    assert word.fees < 2**106, "ledger: fees too large"
    assert word.liabilities < 2**107, "ledger: deposits too large"
    return (
        1 | (word.oracle_bps << 1) | (word.burn_bps << 15) | (word.treasury_bps << 29) | (word.fees << 43)
        | (word.liabilities << 149)
    )


@internal
@pure
def _unpack(packed: uint256) -> Ledger:
    """
    @dev Unpacks a ledger.
    @param packed The word.
    @return Ledger The fields.
    """
    return Ledger(
        oracle_bps=(packed >> 1) & (2**14 - 1),
        burn_bps=(packed >> 15) & (2**14 - 1),
        treasury_bps=(packed >> 29) & (2**14 - 1),
        fees=(packed >> 43) & (2**106 - 1),
        liabilities=(packed >> 149) & (2**107 - 1),
    )


@internal
@pure
def _fee(word: Ledger, gross: uint256) -> uint256:
    """
    @dev Returns the fees due on a cumulative gross: rounded down, so the rounding favours the operator.
    @param word The ledger.
    @param gross The cumulative gross in base units of the token.
    @return uint256 The cumulative fees in base units of the token.
    """
    return gross * (word.oracle_bps + word.burn_bps + word.treasury_bps) // 10_000
