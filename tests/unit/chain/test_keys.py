"""Keys: every source, every way in which one can be wrong, and no way in which one can leak."""

import copy
import logging
import pickle
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from workdeed.chain.keys import (
    KeySource,
    KeySourceError,
    LocalSigner,
    load_key,
    read_secret,
    write_keystore,
)
from workdeed.protocol.errors import SignatureError
from workdeed.protocol.signing import address_of, recover

KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
ADDRESS = address_of(KEY)
PASSPHRASE = "correct hörse battery"


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A keystore that no test changes; its key derivation takes its time."""
    path = tmp_path_factory.mktemp("keys") / "member.json"
    write_keystore(path, KEY, PASSPHRASE)
    return path


def in_keystore(path: Path) -> KeySource:
    return KeySource(keystore=path, passphrase_env="PASSPHRASE")


def test_a_keystore_gives_back_its_key(keystore: Path) -> None:
    assert load_key(in_keystore(keystore), {"PASSPHRASE": PASSPHRASE}) == KEY


def test_a_passphrase_may_come_from_a_file(keystore: Path, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n", encoding="utf-8")
    assert load_key(in_keystore(keystore), {"PASSPHRASE_FILE": str(secret)}) == KEY


@pytest.mark.parametrize("written", [KEY.hex(), "0x" + KEY.hex(), f"  0x{KEY.hex().upper()[0:]}\n"])
def test_a_clear_key_comes_from_environment_or_file(written: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(written)
    assert load_key(KeySource(private_key_file=path)) == KEY
    assert load_key(KeySource(private_key_env="KEY"), {"KEY": written}) == KEY
    assert load_key(KeySource(private_key_env="KEY"), {"KEY_FILE": str(path)}) == KEY


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKDEED_TEST_KEY", KEY.hex())
    assert load_key(KeySource(private_key_env="WORKDEED_TEST_KEY")) == KEY


def test_a_keystore_is_for_its_owner_only_and_never_overwritten(keystore: Path) -> None:
    assert stat.S_IMODE(keystore.stat().st_mode) == 0o600
    assert KEY.hex() not in keystore.read_text()
    before = keystore.read_bytes()
    with pytest.raises(KeySourceError, match="exists"):
        write_keystore(keystore, KEY, PASSPHRASE)
    assert keystore.read_bytes() == before


def test_a_keystore_needs_a_passphrase(tmp_path: Path) -> None:
    with pytest.raises(KeySourceError, match="passphrase"):
        write_keystore(tmp_path / "new.json", KEY, "")
    with pytest.raises(SignatureError):
        write_keystore(tmp_path / "new.json", bytes(32), "x")
    assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"keystore": "a"},
        {"passphrase_env": "P"},
        {"private_key_env": "K", "private_key_file": "f"},
        {"private_key_env": "K", "passphrase_env": "P"},
        {"keystore": "a", "passphrase_env": "P", "private_key_env": "K"},
        {"private_key": KEY.hex()},
    ],
)
def test_a_source_is_exactly_one_place(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        KeySource.model_validate(fields)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "not set"),
        ({"KEY": KEY.hex(), "KEY_FILE": "/nowhere"}, "both set"),
        ({"KEY_FILE": "/nowhere/at/all"}, "cannot read"),
        ({"KEY": "zz" * 32}, "no key"),
        ({"KEY": KEY.hex()[:-2]}, "32 bytes"),
        ({"KEY": "00" * 32}, "32 bytes"),
        ({"KEY": "ff" * 32}, "32 bytes"),
    ],
)
def test_a_key_that_cannot_be_had_says_why(environment: dict[str, str], message: str) -> None:
    with pytest.raises(KeySourceError, match=message):
        load_key(KeySource(private_key_env="KEY"), environment)


@pytest.mark.parametrize("content", ["", "no json", "{}", "[]", "7", '{"version":9,"crypto":{}}'])
def test_a_malformed_keystore_says_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(KeySourceError, match="no version 3 keystore"):
        load_key(in_keystore(path), {"PASSPHRASE": PASSPHRASE})


def test_a_binary_secret_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeySourceError, match="not text"):
        read_secret("X", {"X_FILE": str(path)})


def test_signatures_are_those_of_the_key() -> None:
    signer = LocalSigner(KEY)
    digest = bytes(range(32))
    assert signer.address == ADDRESS
    assert recover(digest, signer.sign_digest(digest)) == ADDRESS


def test_a_signed_transaction_recovers_to_the_key() -> None:
    from eth_account import Account

    raw = LocalSigner(KEY).sign_transaction(
        {
            "type": 2,
            "chainId": 31337,
            "nonce": 7,
            "to": ADDRESS,
            "data": "0x1234",
            "value": 5,
            "gas": 21_000,
            "maxFeePerGas": 2 * 10**9,
            "maxPriorityFeePerGas": 10**9,
        }
    )
    assert Account.recover_transaction(raw) == ADDRESS


def leaks(text: str) -> bool:
    """Tell whether a text holds the key, in hex, as a number or as bytes, or the passphrase."""
    forms = (KEY.hex(), str(int.from_bytes(KEY, "big")), repr(KEY)[2:-1], PASSPHRASE)
    return any(form.lower() in text.lower() for form in forms)


def test_no_repr_shows_the_key() -> None:
    signer = LocalSigner(KEY)
    assert not leaks(f"{signer!r} {signer} {signer.__class__!r}")
    assert not hasattr(signer, "__dict__")


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_signer_is_not_copied(take: Callable[[LocalSigner], object]) -> None:
    with pytest.raises(TypeError, match="not copied"):
        take(LocalSigner(KEY))


@pytest.mark.parametrize(
    "break_it",
    [
        lambda path: load_key(KeySource(private_key_env="K"), {"K": KEY.hex() + "zz"}),
        lambda path: load_key(KeySource(private_key_env="K"), {"K": KEY.hex() + "00"}),
        lambda path: load_key(in_keystore(path), {"PASSPHRASE": PASSPHRASE + "x"}),
        lambda path: LocalSigner(KEY + b"\0"),
        lambda path: LocalSigner(KEY).sign_digest(b"short"),
        lambda path: LocalSigner(KEY).sign_transaction({"to": "nobody"}),
    ],
)
def test_no_error_shows_the_key(
    keystore: Path, break_it: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Exception) as caught:  # whatever it is, it must not leak
        break_it(keystore)
    lines = traceback.format_exception(caught.value)
    shown = "".join(line for line in lines if not line.lstrip().startswith("File"))
    assert not leaks(shown)
    assert not leaks(caplog.text)


def test_loading_and_signing_log_nothing(keystore: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    signer = LocalSigner(load_key(in_keystore(keystore), {"PASSPHRASE": PASSPHRASE}))
    signer.sign_digest(bytes(32))
    assert not leaks(caplog.text)


def test_node_agents_get_keys_and_rpc_without_heavy_imports() -> None:
    program = (
        "import sys, workdeed.chain.keys, workdeed.chain.rpc, workdeed.chain.bindings.suite;"
        "print([m for m in ('web3','sqlalchemy','eth_account','eth_abi') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
