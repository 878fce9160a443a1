"""The exceptions of this package; each text is one clear sentence with the remedy."""


class SdkError(Exception):
    """An operation cannot be done."""


class MissingKeyError(SdkError):
    """An operation needs a transaction, and the client has no key."""


class RefusedError(SdkError):
    """A contract refuses an operation.

    Attributes:
        reason: the contract's own words, such as "escrow: job over"; "" if it gave none.

    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class NotPermittedError(SdkError):
    """The sender does not hold the role that an operation asks for; the text names who does."""


class UnminedError(SdkError):
    """A transaction was sent and is not mined in time; it may still be.

    Attributes:
        tx_hash: its hash, 32 bytes.

    """

    def __init__(self, text: str, tx_hash: bytes) -> None:
        super().__init__(text)
        self.tx_hash = tx_hash


class EndpointError(SdkError):
    """A keeper or node did not answer, or not as the protocol asks; a later try may do better."""


class StatusError(EndpointError):
    """A keeper or node answered with an error status.

    Attributes:
        status: the HTTP status.

    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class NoProofError(SdkError):
    """Nobody has the leaf of the final report that is asked for."""
