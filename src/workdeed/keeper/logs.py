"""The keeper's logger, and one that does not repeat itself."""

import structlog

from workdeed.keeper.settings import LogSettings
from workdeed.logs import set_up

Log = structlog.typing.FilteringBoundLogger


def setup_logs(settings: LogSettings) -> Log:
    """Set the process's logging up once, and return the keeper's logger."""
    set_up(json=settings.format == "json", level=settings.level)
    return get_log()


def get_log() -> Log:
    """Return the keeper's logger."""
    log: Log = structlog.get_logger("workdeed.keeper")
    return log


class OnceLog:
    """Logs a trouble when it appears or changes, and its end, but not every repetition."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._troubles: dict[str, str] = {}

    def trouble(self, where: str, reason: str) -> None:
        """Tell that `where` has a trouble; repeated reasons go to the debug level."""
        if self._troubles.get(where) == reason:
            self._log.debug("trouble_goes_on", where=where, reason=reason)
            return
        self._troubles[where] = reason
        self._log.warning("trouble", where=where, reason=reason)

    def fine(self, where: str) -> None:
        """Tell that `where` has none (any more)."""
        if self._troubles.pop(where, None) is not None:
            self._log.info("trouble_over", where=where)

    def forget(self, where: str) -> None:
        """Drop a place that is no more."""
        self._troubles.pop(where, None)
