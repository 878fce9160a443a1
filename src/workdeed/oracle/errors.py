"""The exceptions of this package; each text is one clear sentence."""


class OracleError(Exception):
    """Something about measuring or settling went wrong; the root of all errors of this package."""


class NotYetError(OracleError):
    """The chain is not read far enough here, or the turn has not begun; ask again soon."""


class RoundOverError(OracleError):
    """The window is settled, vetoed or past its round: nothing is to be signed for it."""


class DataMissingError(OracleError):
    """Leaves or header of a report on chain are not here and could not be fetched yet."""


class ForbiddenError(OracleError):
    """The sender may not ask this: no member, not the leader of this turn, or no part in the job.

    Attributes:
        field: the field of the request at fault.

    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


class StandbyError(OracleError):
    """Another process acts for this member; this one stands by and signs nothing."""


class RefusedError(OracleError):
    """A proposal, an observation or signatures are not what this member computes.

    Attributes:
        field: the field of the message at fault.

    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


class SettlementError(OracleError):
    """The inputs of a settlement contradict each other."""


class JournalError(OracleError):
    """The signing journal can't be used: locked, damaged, or of another member."""


class EquivocationError(JournalError):
    """Another root was signed for the same window, turn and epoch; this one must not be."""


class StoreError(OracleError):
    """The oracle's database can't be opened or read."""


class EndpointError(OracleError):
    """An address was not reached, may not be called, or answered something unusable."""


class StatusError(EndpointError):
    """A peer answered with an error status.

    Attributes:
        status: the HTTP status.

    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status
