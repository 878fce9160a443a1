"""Logs: one JSON object a line for machines, or lines for people. No secret ever gets here."""

import logging
import sys

import structlog

from workdeed.keeper.settings import LogSettings

Log = structlog.typing.FilteringBoundLogger


def setup_logs(settings: LogSettings) -> Log:
    """Set the process's logging up once, and return the keeper's logger."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Access lines of the HTTP server and chatter of libraries are no news.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
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
