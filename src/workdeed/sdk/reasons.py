"""What a contract's reason means for the person who sent the transaction, and what helps.

Reasons are the contracts' own "area: reason" strings. One that is not listed is passed on as it
stands: these are the ones that a payer, an operator or a role holder can meet.
"""

from typing import Final

REASONS: Final[dict[str, str]] = {
    # Opening and funding.
    "escrow: price above maximum": "the class costs more than max_price; raise it or wait",
    "escrow: unknown kind": "only service jobs can be opened",
    "escrow: zero slots": "slots must be at least 1",
    "escrow: min slots out of range": "min_slots must be from 1 to slots, and at most 64",
    "escrow: zero windows": "windows must be at least 1",
    "escrow: too many windows": "one call buys at most 65,536 windows; extend the job later",
    "escrow: payer's standing": "your account is not in good standing; see `workdeed trust show`",
    "escrow: payer not verified": "your account is not verified enough; ask an issuer to attest it",
    "escrow: class dearer": "the class costs more now than the job's own price; open a new job",
    "tariff: unknown class": "there is no such price class",
    "tariff: class retired": "this price class takes no new money; choose another",
    "money: too many units": "slots times windows is too large for one job; open several",
    "terms: too many slots": "a job has at most 262,143 slots; open several",
    "vault: fee on transfer": "the token takes a fee on transfers, which the escrow does not take",
    "vault: transfer refused": "the token refused the transfer; check balance and allowance",
    "erc20: insufficient allowance": "the escrow may not take the deposit; approve it first",
    "erc20: transfer amount exceeds balance": "your balance does not cover the deposit",
    "faucet: above the limit": "the faucet gives less at once; ask for a smaller amount",
    # Life of a job.
    "escrow: unknown job": "there is no such job",
    "escrow: not the payer": "only the account that opened the job may do this",
    "escrow: cancelled": "the job is cancelled",
    "escrow: job over": "the job is over",
    "escrow: job not over": "the job still runs; wait for its end or cancel it",
    "escrow: not started": "the job has not started; cancel it to get everything back",
    "escrow: revised this window": "one revision a window; try again in the next",
    "escrow: closed": "the job is closed already",
    "escrow: end not reported": "the job's last window is not in a final report yet; try later",
    "escrow: close not requested": "the close was not requested; request it first",
    "escrow: close grace": "the grace after the request still runs; try later",
    "escrow: request anew": "reports caught up since the request; close with them, or ask anew",
    "escrow: wrong proof": "the final report changed meanwhile; try again",
    "escrow: payee frozen": "license, owner or node is frozen; the claim waits for its end",
    "escrow: payee suspended": "license, owner or node is suspended; the claim waits for its end",
    "escrow: payee blacklisted": "license, owner or node is blacklisted and is not paid",
    # Licenses.
    "license: not the owner": "only the owner of the license may do this",
    "license: already linked": "the license has a node; unlink it first",
    "license: relink delay": "the license was unlinked lately; wait for the relink delay",
    "license: node linked elsewhere": "this node key is linked to another license; unlink it there",
    "license: not in good standing": "license, owner or node is not in good standing",
    "license: deadline passed": "the node's signature is too old; sign anew",
    "license: signature length": "the node's signature must have 65 bytes",
    "license: wrong node signature": "the node key signed something else; sign this link anew",
    "license: not linked": "the license has no node",
    "license: unknown kind": "the kind must be 1 (node) or 2 (oracle)",
    "license: zero owner": "the owner must not be the zero address",
    "signature: invalid": "the node's signature is malformed; sign anew",
    "signature: high s": "the node's signature is not in its low-s form; sign anew",
    "erc721: invalid token ID": "there is no such license",
    # Trust.
    "roles: not an issuer": "only an issuer may do this",
    "roles: not the governor": "only the governor may do this",
    "roles: not the guardian": "only the guardian may do this",
    "ownable: caller is not the owner": "only the governor may do this",
    "trust: not the guardian": "only the guardian may freeze",
    "trust: not an issuer": "only an active issuer may attest",
    "trust: not in good standing": "it is frozen, suspended or blacklisted already",
    "trust: freeze cooldown": "license, owner or node was frozen lately; the cooldown still runs",
    "trust: until in the past": "the end must lie in the future",
    "trust: until too late": "the end lies too far in the future",
    "trust: zero subject": "name an account or a license",
    "trust: zero level": "the level must be at least 1",
    "trust: already expired": "the expiry must lie in the future",
    "trust: attested by another": "another issuer attests this account; it must revoke first",
    "trust: not attested": "the account has no attestation",
    "trust: not its issuer": "only the issuer of the attestation or the governor may revoke it",
    "trust: not the subject": "only the account itself or the license's owner may appeal",
    "trust: in good standing": "it is in good standing; there is nothing to appeal",
    "standing: reason too large": "the reason code must be below 2^32",
    "attestation: level too high": "the level must be below 256",
    "attestation: expiry too late": "the expiry lies too far in the future",
}


def in_words(reason: str) -> str:
    """Return what `reason` means, followed by the reason itself in brackets."""
    if not reason:
        return "the contract refuses it without a reason"
    meaning = REASONS.get(reason)
    return f"{meaning} ({reason})" if meaning else f"the contract refuses it ({reason})"
