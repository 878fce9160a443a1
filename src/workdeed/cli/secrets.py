"""The options that say where the values of secrets are; no command line ever holds one."""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from workdeed.cli.errors import Failure
from workdeed.cli.output import note

if TYPE_CHECKING:
    from workdeed.sdk.secrets import Sealed

T = TypeVar("T")

Secrets = tuple[tuple[str, Path | None], ...]
"""What `--secret` names: secrets, and the files of those that come from one."""

ENV_PREFIX: Final = "WORKDEED_SECRET_"
"""Of variables with values; `-` in a secret's name is `_` there."""


def secret_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--secret` and `--spares`; the command gets both by these names, `secret` as pairs."""

    @click.option(
        "--secret",
        metavar="NAME[=@FILE]",
        multiple=True,
        help=f"Secret that the spec uses, from FILE, {ENV_PREFIX}NAME, its _FILE, or asked for.",
    )
    @click.option(
        "--spares",
        type=click.IntRange(min=0),
        help="Further nodes to seal secrets for. Default: as many as slots, at least 2.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, secret: tuple[str, ...], **kwargs: Any) -> T:
        return command(*args, secrets=tuple(_parse(one) for one in secret), **kwargs)

    return wrapped


def read_values(secrets: Secrets) -> dict[str, str]:
    """Return the values of the secrets that `--secret` names.

    One line end at the end of a file is not part of a value.

    Raises:
        Failure: if a name comes twice, or a value is not to be had.

    """
    values: dict[str, str] = {}
    for name, path in secrets:
        if name in values:
            raise Failure(f"--secret {name}: it is there twice; remove one")
        values[name] = _read_file(name, path) if path is not None else _read_other(name)
    return values


def tell(sealed: "Sealed") -> None:
    """Say on stderr whom secrets were sealed for, and who is left out."""
    if sealed.licenses:
        note(f"sealed for license {', '.join(map(str, sealed.licenses))}")
    for license_id, reason in sealed.left_out.items():
        note(f"not sealed for license {license_id}, which will be replaced: {reason}")


def _parse(text: str) -> tuple[str, Path | None]:
    name, given, source = text.partition("=")
    if given and not source.startswith("@"):
        # Not quoted: what was meant as a value must not be printed as well.
        raise Failure(
            f"--secret {name}: a command line is readable by everybody on this machine; write "
            f"{name}=@FILE, or set {variable(name)}"
        )
    if not name or (given and len(source) == 1):
        raise Failure("--secret: write NAME, or NAME=@FILE")
    return name, Path(source[1:]) if given else None


def variable(name: str) -> str:
    """Return the environment variable that a secret's value is taken from."""
    return ENV_PREFIX + name.upper().replace("-", "_")


def _read_file(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"--secret {name}: cannot read {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise Failure(f"--secret {name}: {path} is not text; encode it, by base64 say") from None
    return text.removesuffix("\n").removesuffix("\r")


def _read_other(name: str, environment: Mapping[str, str] = os.environ) -> str:
    from workdeed.chain.keys import read_secret

    word = variable(name)
    if {word, f"{word}_FILE"} & environment.keys():
        return read_secret(word, environment)
    if not click.get_text_stream("stdin").isatty():
        raise Failure(f"--secret {name}: set {word} or {word}_FILE, or write {name}=@FILE")
    answer: str = click.prompt(f"Secret {name}", hide_input=True, err=True)
    return answer
