"""The images of a container engine: what is there, bringing one, removing one."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from workdeed.node.drivers.container_engine import Engine, EngineRefusedError
from workdeed.node.errors import DriverError

_CONNECT_SECONDS: Final = 10.0
_DIGEST_LINE: Final = "Digest: sha256:"
# What no second try changes, in the words of registries, of Docker and of Podman.
_FINAL_WORDS: Final = (
    "unauthorized",
    "denied",
    "forbidden",
    "manifest unknown",
    "name unknown",
    "not found",
    "invalid reference",
    "no matching manifest",
    "no image found",
)


class PullFailedError(DriverError):
    """An image could not be brought.

    Attributes:
        final: whether another try would end the same way.

    """

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text)
        self.final = final


class ImageTooLargeError(DriverError):
    """An image has more bytes than it may."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is there.

    Attributes:
        id: `sha256:` and the digest of its configuration.
        digests: `name@sha256:...` by which registries know it.
        tags: `name:tag` by which this engine knows it.
        size: bytes on disk, unpacked.

    """

    id: str
    digests: tuple[str, ...]
    tags: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Login:
    """Name and password for a registry; never written anywhere."""

    username: str
    password: str = field(repr=False)


class ImageStore:
    """The images of one engine."""

    def __init__(self, engine: Engine) -> None:
        """Use those of `engine`."""
        self._engine = engine

    async def find(self, reference: str) -> Image | None:
        """Return the image that the engine has under a name or an id, None without one.

        Raises:
            DriverError: if the engine can't be asked.

        """
        try:
            found = await self._engine.call(
                "looking at an image", lambda client: client.inspect_image(reference)
            )
        except EngineRefusedError as error:
            if error.missing:
                return None
            raise
        return Image(
            id=str(found["Id"]),
            digests=tuple(found.get("RepoDigests") or ()),
            tags=tuple(tag for tag in found.get("RepoTags") or () if "@" not in tag),
            size=int(found.get("Size") or 0),
        )

    async def ids(self) -> frozenset[str]:
        """Return the ids of all images that are there, those of other people too.

        Raises:
            DriverError: if the engine can't be asked.

        """
        found = await self._engine.call("listing images", lambda client: client.images())
        return frozenset(str(one["Id"]) for one in found)

    async def pull(
        self, name: str, tag: str, login: Login | None, *, seconds: float, max_bytes: int
    ) -> str:
        """Bring `name` at `tag`, which may be a digest; return the digest if the engine tells it.

        Args:
            name: with the registry in front.
            tag: or `sha256:...`.
            login: for the registry.
            seconds: time that it may take, and that the registry may be silent.
            max_bytes: as soon as more than that is on the way it is given up.

        Raises:
            PullFailedError: if it can't be brought.
            ImageTooLargeError: if it has more than `max_bytes`.
            EngineDownError: if the engine can't be asked.

        """
        try:
            return await self._engine.call(
                f"pulling {name}",
                lambda client: _pull(client, name, tag, login, seconds, max_bytes),
                takes_long=True,
            )
        except EngineRefusedError as error:
            raise _failed(name, str(error), login) from error

    async def remove(self, reference: str) -> bool:
        """Remove a name of an image, and the image with its last one; False when it is in use.

        Raises:
            EngineDownError: if the engine can't be asked.

        """
        try:
            await self._engine.call(
                "removing an image", lambda client: client.remove_image(reference)
            )
        except EngineRefusedError as error:
            return error.missing
        return True


def _pull(
    client: Any, name: str, tag: str, login: Login | None, seconds: float, max_bytes: int
) -> str:
    """Bring an image; the SDK's own `pull` has no time limit and falls back on other logins."""
    from docker import auth

    found = {} if login is None else {"username": login.username, "password": login.password}
    deadline = time.monotonic() + seconds
    sizes: dict[str, int] = {}
    digest = ""
    late = PullFailedError(f"{name} took longer than {seconds:.0f} s", final=False)
    with (
        _deadline(late),
        client.post(
            f"{client.base_url}/v{client.api_version}/images/create",
            params={"fromImage": name, "tag": tag},
            # Sent without a login too: else the operator's own would be taken where there is one.
            headers={"X-Registry-Auth": auth.encode_header(found)},
            stream=True,
            timeout=(_CONNECT_SECONDS, seconds),
        ) as response,
    ):
        for line in response.iter_lines():
            message = _parse(line)
            if response.status_code >= 400 or message.get("error"):
                raise _failed(name, str(message.get("error") or message.get("message")), login)
            digest = _digest(message) or digest
            size = int((message.get("progressDetail") or {}).get("total") or 0)
            sizes[str(message.get("id"))] = max(size, sizes.get(str(message.get("id")), 0))
            if sum(sizes.values()) > max_bytes:
                raise ImageTooLargeError(f"{name} has more than {max_bytes // 1_000_000} MB")
            if time.monotonic() > deadline:
                raise late
    return digest


@contextlib.contextmanager
def _deadline(late: PullFailedError) -> Iterator[None]:
    """Raise `late` when the engine is silent for too long while it pulls."""
    import requests

    try:
        yield
    except (requests.Timeout, requests.ConnectionError) as error:
        # A timeout in the middle of an answer comes as the latter.
        if isinstance(error, requests.Timeout) or "timed out" in str(error):
            raise late from error
        raise


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {"message": line.decode(errors="replace")}
    return message if isinstance(message, dict) else {}


def _digest(message: Mapping[str, Any]) -> str:
    status = str(message.get("status") or "")
    return status[len("Digest: ") :].strip() if status.startswith(_DIGEST_LINE) else ""


def _failed(name: str, text: str, login: Login | None) -> PullFailedError:
    if login is not None and login.password:
        text = text.replace(login.password, "***")
    final = any(word in text.lower() for word in _FINAL_WORDS)
    return PullFailedError(f"{name} can't be pulled: {text.strip()}", final=final)
