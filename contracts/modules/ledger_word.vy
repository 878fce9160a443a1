# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Ledger word
@custom:contract-name ledger_word
@notice The storage word of a policy version: fee shares, fees taken and what is owed.
        Bits: in use 1 | oracle 14 | burn 14 | all shares 14 | payer level 6 | payer standing 1 | payer oracle 1
        | fees 102 | liabilities 103.
"""


struct Ledger:
    # Shares of a claim's gross in basis points.
    oracle_bps: uint256
    burn_bps: uint256
    treasury_bps: uint256
    # The attested level that a payer needs to open a job; 0 asks for none.
    payer_level: uint256
    # Whether a payer must be in good standing to open a job.
    payer_standing: bool
    # Whether a payer must hold an oracle license to open a job.
    payer_oracle: bool
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
    assert word.payer_level < 2**6, "ledger: level too high"
    assert word.fees < 2**102, "ledger: fees too large"
    assert word.liabilities < 2**103, "ledger: deposits too large"
    return (
        1
        | (word.oracle_bps << 1)
        | (word.burn_bps << 15)
        | ((word.oracle_bps + word.burn_bps + word.treasury_bps) << 29)
        | (word.payer_level << 43)
        | (convert(word.payer_standing, uint256) << 49)
        | (convert(word.payer_oracle, uint256) << 50)
        | (word.fees << 51)
        | (word.liabilities << 153)
    )


@internal
@pure
def _unpack(packed: uint256) -> Ledger:
    """
    @dev Unpacks a ledger.
    @param packed The word.
    @return Ledger The fields.
    """
    oracle_bps: uint256 = (packed >> 1) & (2**14 - 1)
    burn_bps: uint256 = (packed >> 15) & (2**14 - 1)
    return Ledger(
        oracle_bps=oracle_bps,
        burn_bps=burn_bps,
        treasury_bps=((packed >> 29) & (2**14 - 1)) - oracle_bps - burn_bps,
        payer_level=(packed >> 43) & (2**6 - 1),
        payer_standing=(packed >> 49) & 1 != 0,
        payer_oracle=(packed >> 50) & 1 != 0,
        fees=(packed >> 51) & (2**102 - 1),
        liabilities=packed >> 153,
    )


@internal
@pure
def _fee_bps(packed: uint256) -> uint256:
    """
    @dev Reads the sum of the fee shares, in the shape that costs a claim least.
    @param packed The word.
    @return uint256 Basis points of a claim's gross.
    """
    return (packed >> 29) & (2**14 - 1)


@internal
@pure
def _with_claim(packed: uint256, amount: uint256, fee: uint256) -> uint256:
    """
    @dev Books a claim in place: the fee stays owed, the operator's amount does not.
    @param packed The word.
    @param amount What the operator gets, in base units of the token.
    @param fee The fee, in base units of the token.
    @return uint256 The new word.
    """
    assert amount <= packed >> 153, "ledger: more than is owed"
    # The count of fees stops at its bound instead of refusing a claim for ever.
    room: uint256 = unsafe_sub(2**102 - 1, (packed >> 51) & (2**102 - 1))
    return unsafe_sub(unsafe_add(packed, min(fee, room) << 51), amount << 153)


@internal
@pure
def _with_liabilities(packed: uint256, added: uint256, removed: uint256) -> uint256:
    """
    @dev Books a deposit or a refund in place.
    @param packed The word.
    @param added Base units of the token that came in.
    @param removed Base units of the token that go out.
    @return uint256 The new word.
    """
    liabilities: uint256 = (packed >> 153) + added - removed
    assert liabilities < 2**103, "ledger: deposits too large"
    return (packed & (2**153 - 1)) | (liabilities << 153)


@internal
@pure
def _gate(packed: uint256) -> (uint256, bool, bool):
    """
    @dev Reads what a payer must show to open a job, in the shape that costs it least.
    @param packed The word.
    @return uint256 The attested level; 0 asks for none.
    @return bool Whether good standing is asked for.
    @return bool Whether an oracle license is asked for.
    """
    return (packed >> 43) & (2**6 - 1), (packed >> 49) & 1 != 0, (packed >> 50) & 1 != 0


@internal
@pure
def _is_fresh(packed: uint256) -> bool:
    """
    @dev Says whether a word is the ledger of a new version: in use, and no books yet.
    @param packed The word.
    @return bool Whether it is.
    """
    return packed & 1 == 1 and packed >> 51 == 0


@internal
@pure
def _fees(packed: uint256) -> uint256:
    """
    @dev Reads the fees.
    @param packed The word.
    @return uint256 Base units of the token, taken since the version was added.
    """
    return (packed >> 51) & (2**102 - 1)


@internal
@pure
def _liabilities(packed: uint256) -> uint256:
    """
    @dev Reads what is owed.
    @param packed The word.
    @return uint256 Base units of the token.
    """
    return packed >> 153
