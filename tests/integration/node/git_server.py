"""Git's own HTTP server on loopback, which may ask for a login and hold its answers back."""

import asyncio
import base64
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from node_support import Repository


class GitServer:
    """Serves one repository by `git http-backend`.

    Attributes:
        url: where the repository is.
        asked: how many requests came in.
        answering: while it is not set, no request is answered.

    """

    def __init__(self, repository: Repository, login: tuple[str, str] | None = None) -> None:
        """Serve `repository`, to everybody or to those who know `login`: a name and a password."""
        self.url = ""
        self.asked = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self._repository = repository
        self._login = _basic(*login) if login is not None else ""
        self._backend = _programs() / "git-http-backend"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["GitServer"]:
        """Serve for as long as the context lasts."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/{self._repository.path.name}"
        try:
            yield self
        finally:
            self.answering.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        await self.answering.wait()
        shown = request.headers.get("Authorization", "")
        if self._login and shown != self._login:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        output = await self._run(request)
        head, _, body = output.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(fields.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=fields, body=body)

    async def _run(self, request: web.Request) -> bytes:
        body = await request.read()
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self._repository.path.parent),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            self._backend, env=env, stdin=pipe, stdout=pipe
        )
        return (await process.communicate(body))[0]


def _basic(name: str, password: str) -> str:
    """Return the header that shows a name and a password."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def _programs() -> Path:
    """Return the folder of git's own programs."""
    found = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip())
