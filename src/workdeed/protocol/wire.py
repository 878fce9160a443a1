"""What the bodies of all messages have in common: strict reading, canonical writing, signing."""

from abc import abstractmethod
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator

from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.eip712 import Domain, envelope_digest
from workdeed.protocol.errors import MessageError, SignatureError
from workdeed.protocol.fields import Signature
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_BODY
from workdeed.protocol.signing import address_of, recover, sign_digest


class Body(BaseModel):
    """A JSON object: immutable, without unknown keys, and with every key present when it is read.

    Defaults serve constructors only, so that a message has one form and one hash.

    Attributes:
        MAX_BYTES: the largest body that may be read for this message.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    MAX_BYTES: ClassVar[int] = MAX_BODY

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a body as it came over the wire.

        Raises:
            MessageError: if it is too long, no JSON, or not of this form; names the first field.

        """
        if len(data) > cls.MAX_BYTES:
            raise MessageError(f"body: it exceeds {cls.MAX_BYTES} bytes")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise _message_error(error) from error

    def to_json(self) -> bytes:
        """Return the body to send: compact JSON. Hashes go over `canonical()` instead."""
        return self.model_dump_json(by_alias=True).encode()

    def canonical(self) -> bytes:
        """Return the canonical JSON of the whole message, signature included."""
        return canonical_bytes(self.model_dump(mode="json", by_alias=True))

    @model_validator(mode="after")
    def _all_present(self, info: ValidationInfo) -> Self:
        if info.mode == "json":
            missing = type(self).model_fields.keys() - self.model_fields_set
            if missing:
                raise ValueError(f"lacks {', '.join(sorted(n.rstrip('_') for n in missing))}")
        return self


class Message(Body):
    """A body that names its kind and version in "schema" (`schema_` in Python)."""

    schema_: str


class SignedMessage(Message):
    """A message with a signature over its `digest`.

    An unsigned one is built without `signature`; it cannot be read back from the wire, and its
    empty signature verifies nowhere.
    """

    signature: Signature = b""

    @property
    @abstractmethod
    def signer(self) -> str:
        """The address that the message says it is signed by."""

    @abstractmethod
    def digest(self, domain: Domain) -> bytes:
        """Return the 32 bytes to sign, in the domain of the contract that checks this type."""

    def verify(self, domain: Domain) -> str:
        """Return the signer's address.

        Raises:
            SignatureError: if the signature is malformed or not by the address that is named.

        """
        found = recover(self.digest(domain), self.signature)
        if found != self.signer:
            raise SignatureError(f"signature: it is by {found}, the message names {self.signer}")
        return found


class EnvelopeMessage(SignedMessage):
    """A message signed as `Envelope(schema, keccak(content))` in the committee's domain."""

    UNSIGNED: ClassVar[frozenset[str]] = frozenset({"signature"})

    def signed_content(self) -> bytes:
        """Return the canonical JSON that the signature covers: all keys but those `UNSIGNED`."""
        exclude = set(self.UNSIGNED)
        return canonical_bytes(self.model_dump(mode="json", by_alias=True, exclude=exclude))

    def digest(self, domain: Domain) -> bytes:
        """Return the envelope's digest."""
        return envelope_digest(domain, self.schema_, keccak(self.signed_content()))


S = TypeVar("S", bound=SignedMessage)


def sign(message: S, domain: Domain, private_key: bytes) -> S:
    """Return `message` with its signature by `private_key` over `message.digest(domain)`.

    Raises:
        SignatureError: if the key is not that of the address that the message names.

    """
    if address_of(private_key) != message.signer:
        raise SignatureError(f"private_key: it is not the key of {message.signer}")
    signature = sign_digest(private_key, message.digest(domain))
    return message.model_copy(update={"signature": signature})


def signer_of(message: SignedMessage, domain: Domain) -> str:
    """Return who signed `message`, whoever it names; raises `SignatureError` as `recover` does."""
    return recover(message.digest(domain), message.signature)


def _message_error(error: ValidationError) -> MessageError:
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return MessageError(f"{field or 'body'}: {text}", field)
