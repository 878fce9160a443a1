"""The exceptions of this package; each text is one clear sentence with the remedy."""


class KeeperError(Exception):
    """The keeper cannot do something that it was asked to do."""


class SettingsError(KeeperError):
    """The settings are missing, malformed or contradict each other.

    Attributes:
        field: dotted path of the setting at fault, empty when it is the whole file.

    """

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(f"{field}: {text}" if field else text)
        self.field = field


class StartError(KeeperError):
    """The surroundings do not allow a start: wrong chain, no contract, no seat, port in use."""


class SpecRefusedError(KeeperError):
    """The spec store does not take these bytes."""
