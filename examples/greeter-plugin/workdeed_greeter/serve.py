"""Serves the folder `files` on $HOST:$PORT until SIGTERM: what the runner `static` starts."""

import os
import signal
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType


def main() -> int:
    """Serve; return the exit code."""
    handler = partial(SimpleHTTPRequestHandler, directory="files")
    server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), handler)

    def stop(_number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: shutdown() waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
