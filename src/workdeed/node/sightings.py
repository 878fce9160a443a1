"""When what the chain says about an end can be relied on."""


class Sightings:
    """The blocks that spoke for an end, and against it.

    What one block says may be gone with it, so an end must stand in two. A block from before one
    that spoke against it says nothing: an RPC that is behind, or says so, shows what was.
    """

    def __init__(self) -> None:
        self._over_at: int | None = None
        self._standing_at = 0

    def stands(self, number: int) -> None:
        """Take note that at block `number` nothing is to end."""
        self._over_at = None
        self._standing_at = max(number, self._standing_at)

    def is_over(self, number: int) -> bool:
        """Take note that block `number` speaks for the end; tell whether that is certain now."""
        if number < self._standing_at:
            return False
        if self._over_at is None:
            self._over_at = number
        return number > self._over_at
