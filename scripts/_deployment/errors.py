"""What ends a deployment; each text is one clear sentence."""

from workdeed.chain.errors import ChainError


class DeployError(ChainError):
    """The deployment cannot go on, or what stands is not what is recorded."""
