"""The root of the exceptions of this package; each text is one clear sentence."""


class ChainError(Exception):
    """Something between this process and the chain went wrong."""


class StoreError(ChainError):
    """The database cannot be opened, or belongs to something else."""


class StoreUnavailableError(StoreError):
    """The database does not answer now; what was begun is undone, and may be tried again."""
