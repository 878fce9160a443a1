"""The exceptions of this package: each is a `ValueError` whose text is one clear sentence."""


class ProtocolError(ValueError):
    """Something does not follow the protocol; the root of all errors of this package."""


class CanonicalError(ProtocolError):
    """A value has no canonical JSON form, or bytes are not in it."""


class SignatureError(ProtocolError):
    """A key, digest, address or signature is malformed, or the signer is not the one claimed."""


class EncodingError(ProtocolError):
    """A value does not fit the fixed-width form in which it is hashed."""


class FigureError(ProtocolError):
    """A figure, or a list of figures or pairs, is outside of what an observation may say."""


class MerkleError(ProtocolError):
    """A tree cannot be built from these leaves, or does not hold the one asked for."""


class ReportError(ProtocolError):
    """Report data (leaves or header) is malformed or contradicts itself."""


class MessageError(ProtocolError):
    """A message of another process is malformed.

    Attributes:
        field: dotted path of the first field at fault, empty when the whole body is.

    """

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field
