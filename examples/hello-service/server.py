"""A small HTTP service: the workload of the demo, and a starting point for one's own.

It listens on $HOST:$PORT (127.0.0.1:8080 without them), answers GET / with its name, a greeting and
its commit, and GET /healthz with "ok". On SIGTERM it finishes the requests it has and ends.
"""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

NAME = "hello-service"


class Handler(BaseHTTPRequestHandler):
    """Answers the two paths that there are."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for its head to be acknowledged

    def do_GET(self) -> None:
        """Answer / and /healthz, anything else with 404."""
        if self.path == "/healthz":
            self._answer(200, b"ok\n", "text/plain; charset=utf-8")
        elif self.path == "/":
            self._answer(200, json.dumps(description()).encode() + b"\n", "application/json")
        else:
            self._answer(404, b"not found\n", "text/plain; charset=utf-8")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log other requests than health checks, which come every few seconds."""
        if self.path != "/healthz":
            super().log_message(format, *args)

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def description() -> dict[str, str]:
    """Return what this instance is: its name, greeting and commit."""
    return {
        "name": os.environ.get("NAME", NAME),
        "greeting": os.environ.get("GREETING", "Hello"),
        "commit": os.environ.get("WORKDEED_COMMIT", ""),
    }


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))
    server = ThreadingHTTPServer((host, port), Handler)

    def stop(_number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: shutdown() waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"{NAME} listens on {host}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    print(f"{NAME} ends", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
