"""The exceptions of this package; each text is one clear sentence that names the field."""


class PlacementError(Exception):
    """Something about a placement is wrong; the root of all errors of this package."""


class PlacementRefusedError(PlacementError):
    """A proposal is not the placement that follows from the chain.

    Attributes:
        field: the field of the proposal at fault.

    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field
