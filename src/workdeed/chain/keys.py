"""Private keys: where they come from, and signers that never show them.

A key is read from an encrypted keystore file (Web3 Secret Storage, version 3), or, for development
chains, in the clear from the environment or a file. Nothing here logs, and no repr, error text or
pickle holds a key or a passphrase. Imports are light: keystore and transaction code loads at need.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol, Self

from pydantic import BaseModel, ConfigDict, model_validator

from workdeed.chain.errors import ChainError
from workdeed.protocol.signing import address_of, sign_digest


class KeySourceError(ChainError):
    """A key cannot be had from its source; the text names the source, never what it holds."""


class KeySource(BaseModel):
    """Where a key is read from: exactly one of `keystore`, `private_key_env`, `private_key_file`.

    Attributes:
        keystore: an encrypted keystore file.
        passphrase_env: the environment variable with its passphrase; `<name>_FILE` may name a file
            that holds the passphrase instead.
        private_key_env: the environment variable with a clear key in hex, or `<name>_FILE` with the
            name of a file. For development chains.
        private_key_file: a file with a clear key in hex. For development chains.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keystore: Path | None = None
    passphrase_env: str | None = None
    private_key_env: str | None = None
    private_key_file: Path | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        sources = (self.keystore, self.private_key_env, self.private_key_file)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("set exactly one of keystore, private_key_env and private_key_file")
        if (self.keystore is None) != (self.passphrase_env is None):
            raise ValueError("passphrase_env: set it together with keystore, and only then")
        return self


class Signer(Protocol):
    """Signs for one account; a remote signer or a hardware key can stand behind it."""

    @property
    def address(self) -> str:
        """The account, checksummed."""

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Return the raw signed transaction; numbers are `int`, data and hashes 0x-hex or bytes."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the 65-byte signature (r, s, v with v 27 or 28) of a 32-byte digest."""


class LocalSigner:
    """Signs with a key in this process's memory."""

    __slots__ = ("__key", "_address")

    def __init__(self, private_key: bytes) -> None:
        """Take a 32-byte key; raises `workdeed.protocol.errors.SignatureError` if it is none."""
        self._address = address_of(private_key)
        self.__key = private_key

    @classmethod
    def from_source(cls, source: KeySource) -> Self:
        """Load the key of `source`; raises `KeySourceError`."""
        return cls(load_key(source))

    @property
    def address(self) -> str:
        """The account, checksummed."""
        return self._address

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Return the raw signed transaction."""
        from eth_account import Account

        return bytes(Account.sign_transaction(dict(transaction), self.__key).raw_transaction)

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the 65-byte signature of a 32-byte digest."""
        return sign_digest(self.__key, digest)

    def __repr__(self) -> str:
        return f"LocalSigner({self._address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is not copied or pickled: its key would leave with it")


def load_key(source: KeySource, environment: Mapping[str, str] | None = None) -> bytes:
    """Return the 32-byte private key of `source`.

    Args:
        source: where to read it.
        environment: in place of the process's environment.

    Raises:
        KeySourceError: if something is missing, unreadable, or no key, or the passphrase is wrong.

    """
    env = os.environ if environment is None else environment
    if source.keystore is not None:
        passphrase = read_secret(source.passphrase_env or "", env)
        return _decrypt(source.keystore, passphrase)
    if source.private_key_file is not None:
        return _parse_key(_read(source.private_key_file), f"file {source.private_key_file}")
    name = source.private_key_env or ""
    return _parse_key(read_secret(name, env), name)


def read_secret(name: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a secret from the variable `name`, or from the file that `<name>_FILE` names.

    One trailing line end of a file is not part of the secret.

    Raises:
        KeySourceError: if neither is set, both are, or the file cannot be read.

    """
    env = os.environ if environment is None else environment
    value, path = env.get(name), env.get(f"{name}_FILE")
    if value is not None and path is not None:
        raise KeySourceError(f"{name}: it and {name}_FILE are both set; unset one")
    if value is not None:
        return value
    if path is None:
        raise KeySourceError(f"{name}: not set; set it, or {name}_FILE to a file that holds it")
    return _read(Path(path))


def write_keystore(path: Path, private_key: bytes, passphrase: str) -> str:
    """Encrypt a key into a new file that only its owner may read, and return its address.

    Raises:
        KeySourceError: if the file exists, cannot be written, or the passphrase is empty.

    """
    from eth_account import Account

    if not passphrase:
        raise KeySourceError("passphrase: it is empty; choose one")
    address = address_of(private_key)
    content = json.dumps(Account.encrypt(private_key, passphrase))
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise KeySourceError(f"keystore {path}: it exists; keys are never overwritten") from None
    except OSError as error:
        raise KeySourceError(f"keystore {path}: cannot write it ({error.strerror})") from None
    return address


def _decrypt(path: Path, passphrase: str) -> bytes:
    from eth_account import Account

    try:
        key = bytes(Account.decrypt(json.loads(_read(path)), passphrase))
    except KeySourceError:
        raise
    except ValueError as error:
        wrong = "MAC" in str(error)
        problem = "wrong passphrase" if wrong else "it is no version 3 keystore"
        raise KeySourceError(f"keystore {path}: {problem}") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise KeySourceError(f"keystore {path}: it is no version 3 keystore") from None
    return _checked(key, f"keystore {path}")


def _parse_key(text: str, origin: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        # The cause is dropped, here and below: its text may quote what was read.
        raise KeySourceError(f"{origin}: it holds no key; write 64 hex digits") from None
    return _checked(key, origin)


def _checked(key: bytes, origin: str) -> bytes:
    try:
        address_of(key)
    except ValueError:
        raise KeySourceError(f"{origin}: it holds no secp256k1 key of 32 bytes") from None
    return key


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KeySourceError(f"file {path}: cannot read it ({error.strerror})") from None
    except UnicodeDecodeError:
        raise KeySourceError(f"file {path}: it is not text") from None
    return text.removesuffix("\n").removesuffix("\r")
