"""The root of the exceptions of this package; each text is one clear sentence."""


class ChainError(Exception):
    """Something between this process and the chain went wrong."""
