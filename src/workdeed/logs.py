"""The logs of a process: on stderr, an event a line. No secret ever gets here.

Tracebacks tell where something happened, and no values of variables: among those of an agent are
the secrets of payers, among those of a keeper its keys.
"""

import logging
import sys
from collections.abc import Sequence

import structlog
from structlog.typing import Processor


def set_up(*, json: bool = False, level: str = "debug", first: Sequence[Processor] = ()) -> None:
    """Set the logs of this process up, once.

    Args:
        json: whether each line is a JSON object, for machines, and not for people.
        level: the lowest that is shown.
        first: what is done to each event before anything else.

    """
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            *first,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if json else "%Y-%m-%d %H:%M:%S", utc=json),
            *([structlog.processors.format_exc_info] if json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Access lines of the HTTP server and chatter of libraries are no news.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
