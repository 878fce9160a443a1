"""The exceptions of this package."""


class SpecError(ValueError):
    """A deployment intent is refused.

    Attributes:
        field: dotted path of the field at fault, empty when it is the whole document.

    """

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(f"{field}: {text}" if field else text)
        self.field = field


class TagError(SpecError):
    """A tag expression of a spec is malformed."""
