"""Sealed secrets: values that only the holder of one node key can read.

A box is `ephemeral public key (33 bytes) || nonce (12) || tag (16) || ciphertext`, as the package
`eciespy` makes it over secp256k1: a fresh key a box, its shared point with the node's public key
through HKDF-SHA256, and AES-256-GCM under that. Only the node key opens it, and a changed box opens
not at all. It does not prove who sealed it: what is inside says whose job the values are for, and
whoever opens it must hold that against the chain. The length of a box tells that of its values, and
whoever gets the node key opens every box that was ever made for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from workdeed.protocol.errors import MessageError, ProtocolError
from workdeed.protocol.fields import Address, Positive
from workdeed.protocol.limits import KIB
from workdeed.protocol.signing import address_of, address_of_public_key
from workdeed.protocol.wire import Message

if TYPE_CHECKING:
    from ecies.config import Config

MAX_BOX_BYTES: Final = 16 * KIB
"""Bytes of a box."""

MAX_SECRETS: Final = 64
"""Values in a box."""

BOX_OVERHEAD: Final = 33 + 12 + 16
"""By how many bytes a box is longer than what is inside."""


class SealingError(ProtocolError):
    """A box can't be made or opened, or is another's; no text of it quotes a value."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose values a box holds.

    The job's number is not among it: it is not known before the job is opened. All jobs of one
    payer in one escrow may therefore use a box alike.

    Attributes:
        chain_id: EIP-155 chain id.
        escrow: address of the escrow.
        payer: the account that pays for the job.

    """

    chain_id: int
    escrow: str
    payer: str


def _value(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    if "\0" in text:
        raise ValueError("it holds a NUL character, which no variable can")
    return text


class SealedContent(Message):
    """What a box holds."""

    MAX_BYTES: ClassVar[int] = MAX_BOX_BYTES - BOX_OVERHEAD

    schema_: Literal["workdeed/secrets@1"] = Field(default="workdeed/secrets@1", alias="schema")
    chain_id: Positive
    escrow: Address
    payer: Address
    values: Annotated[
        dict[
            Annotated[str, Field(strict=True, min_length=1, max_length=63)],
            Annotated[str, Field(strict=True), AfterValidator(_value)],
        ],
        Field(min_length=1, max_length=MAX_SECRETS),
    ]


def seal(values: Mapping[str, str], public_key: bytes, owner: Owner) -> bytes:
    """Return a box of `values`, by name, that the key of `public_key` alone can open.

    Two boxes of the same values differ.

    Raises:
        SealingError: if there are none or too many, one is empty or holds a NUL character, they are
            too long together, the owner is malformed, or the key is no point of the curve.

    """
    reason = ""
    try:
        address_of_public_key(public_key)
        content = SealedContent(
            chain_id=owner.chain_id, escrow=owner.escrow, payer=owner.payer, values=dict(values)
        ).canonical()
    except ValueError as error:
        # Raised below, without a cause or context: their texts may quote a value.
        reason, content = _reason(error), b""
    if reason:
        raise SealingError(reason)
    most = SealedContent.MAX_BYTES
    if len(content) > most:
        raise SealingError(
            f"secrets: they have {len(content)} bytes together and at most {most} fit a box; "
            "shorten them"
        )
    from ecies import encrypt  # late: of those who read specs few ever seal or open

    return bytes(encrypt(public_key, content, _config()))


def open_box(private_key: bytes, box: bytes, owner: Owner) -> dict[str, str]:
    """Return the values of a box that was sealed to `private_key` for a job of `owner`.

    Raises:
        SealingError: if it is too long, was sealed to another key or changed since, holds something
            else, or was sealed for another owner.
        SignatureError: if the key is none.

    """
    address_of(private_key)
    if not BOX_OVERHEAD < len(box) <= MAX_BOX_BYTES:
        raise SealingError(f"box: {len(box)} bytes are no box; seal the secrets anew")
    from ecies import decrypt

    try:
        data = decrypt(private_key, box, _config())
    except ValueError:
        data = None
    if data is None:
        raise SealingError("box: it was sealed to another key, or changed; seal the secrets anew")
    content = _parse(data)
    for field in ("chain_id", "escrow", "payer"):
        if getattr(content, field) != getattr(owner, field):
            raise SealingError(
                f"box: it was sealed for another {field}, {getattr(content, field)}, and the job's "
                f"is {getattr(owner, field)}; its payer seals its own"
            )
    return dict(content.values)


@cache
def _config() -> "Config":
    """Return the form of boxes; the package's own settings can be changed by any other part."""
    from ecies.config import Config

    return Config(
        elliptic_curve="secp256k1",
        is_ephemeral_key_compressed=True,
        is_hkdf_key_compressed=True,
        symmetric_algorithm="aes-256-gcm",
        symmetric_nonce_length=12,
    )


def _parse(data: bytes) -> SealedContent:
    try:
        content = SealedContent.parse(data)
    except MessageError:
        content = None
    if content is None or content.canonical() != data:
        raise SealingError("box: what is inside is malformed; seal the secrets anew")
    return content


def _reason(error: ValueError) -> str:
    """Return what is wrong, naming the secret and never quoting it."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part != "values")
    text = first["msg"].removeprefix("Value error, ")
    return f"secrets.{where}: {text}; correct it" if where else f"secrets: {text}; correct them"
