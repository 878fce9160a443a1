"""Settings: file, environment, secrets, and sentences for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workdeed.keeper.errors import SettingsError
from workdeed.keeper.settings import KeeperSettings, load_settings

MINIMAL = """
[chain]
rpc_urls = ["https://user:secret@rpc.example.org/key123"]
chain_id = 31337
deployment = "deployments/31337.json"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "keeper.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = 'state_dir = "state"\ndatabase = "/var/keeper.db"\n' + MINIMAL
    text += '[keys.sender]\nkeystore = "sender.json"\npassphrase_env = "PASSPHRASE"\n'
    settings = load_settings(write(tmp_path, text), {})
    assert settings.chain.deployment == tmp_path / "deployments" / "31337.json"
    assert settings.state_dir == tmp_path / "state"
    assert settings.database == "/var/keeper.db"
    assert settings.keys.sender is not None
    assert settings.keys.sender.keystore == tmp_path / "sender.json"


def test_a_database_url_is_no_path(tmp_path: Path) -> None:
    text = 'database = "postgresql://keeper@db/keeper"\n' + MINIMAL
    assert load_settings(write(tmp_path, text), {}).database == "postgresql://keeper@db/keeper"


def test_environment_goes_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKDEED_CHAIN__CONFIRMATIONS", "7")
    monkeypatch.setenv("WORKDEED_KEYS__MEMBER__PRIVATE_KEY_ENV", "MEMBER")
    monkeypatch.setenv("WORKDEED_PEERS", '{"4": "http://10.0.0.4:8600"}')
    settings = load_settings(write(tmp_path, MINIMAL), {})
    assert settings.chain.confirmations == 7
    assert settings.keys.member is not None
    assert settings.keys.member.private_key_env == "MEMBER"
    assert settings.peers == {4: "http://10.0.0.4:8600"}


def test_secrets_come_from_files(tmp_path: Path) -> None:
    urls, database = tmp_path / "urls", tmp_path / "database"
    urls.write_text("https://a.example.org/1\nhttps://b.example.org/2\n")
    database.write_text("postgresql://keeper:pw@db/keeper\n")
    settings = load_settings(
        write(tmp_path, MINIMAL),
        {
            "WORKDEED_CHAIN__RPC_URLS_FILE": str(urls),
            "WORKDEED_DATABASE_FILE": str(database),
        },
    )
    assert settings.chain.rpc_urls == ("https://a.example.org/1", "https://b.example.org/2")
    assert settings.database == "postgresql://keeper:pw@db/keeper"


def test_neither_repr_nor_public_form_shows_a_secret(tmp_path: Path) -> None:
    text = 'database = "postgresql://keeper:pw123@db/keeper"\n' + MINIMAL
    settings = load_settings(write(tmp_path, text), {})
    shown = repr(settings) + str(settings) + json.dumps(settings.public())
    assert "rpc.example.org" in shown
    for secret in ("secret", "key123", "pw123"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[chain]\nchain_id = 1", r"chain\.rpc_urls: it is not set; set it in .* or as WORKDEED_"),
        (MINIMAL + "confirmation = 1", r"chain\.confirmation: Extra inputs"),
        (MINIMAL + "[oracle]\nenabled = true", r"oracle: it needs keys\.member"),
        (MINIMAL + '[oracle]\njournal = "database"', r'oracle\.journal: "database" needs Postgr'),
        (MINIMAL + '[peers]\n4 = "http://x/path"', r"peers\.4: "),
        (MINIMAL + '[claims]\npayees = ["0x12"]', r"claims\.payees"),
        ("not toml", "it is not TOML"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        load_settings(write(tmp_path, text), {})
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: cannot read it"):
        load_settings(tmp_path / "absent.toml", {})
    with pytest.raises(SettingsError, match="RPC_URLS_FILE: cannot read"):
        load_settings(
            write(tmp_path, MINIMAL), {"WORKDEED_CHAIN__RPC_URLS_FILE": str(tmp_path / "absent")}
        )


def test_settings_can_be_built_without_a_file() -> None:
    settings = KeeperSettings.model_validate(
        {"chain": {"rpc_urls": ["http://127.0.0.1:1"], "chain_id": 1, "deployment": "d.json"}}
    )
    assert settings.http.host == "127.0.0.1"
    assert settings.duties.claims


@pytest.mark.parametrize(
    ("count", "set_to", "agreeing"),
    [(1, None, 1), (2, None, 1), (3, None, 2), (5, None, 2), (2, 2, 2), (5, 4, 4)],
)
def test_rpcs_that_have_to_agree(
    tmp_path: Path, count: int, set_to: int | None, agreeing: int
) -> None:
    urls = json.dumps([f"https://rpc{index}.example.org" for index in range(count)])
    text = f'[chain]\nrpc_urls = {urls}\nchain_id = 1\ndeployment = "1.json"\n'
    text += f"agree = {set_to}\n" if set_to else ""
    assert load_settings(write(tmp_path, text), {}).chain.agreeing == agreeing


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        (["https://a.example.org"], "agree: 2 is more than there are rpc_urls; add some"),
        (["https://a.example.org"] * 2, "an address stands there twice"),
    ],
)
def test_rpcs_that_cannot_agree(tmp_path: Path, urls: list[str], message: str) -> None:
    text = (
        f'[chain]\nrpc_urls = {json.dumps(urls)}\nchain_id = 1\ndeployment = "1.json"\nagree = 2\n'
    )
    with pytest.raises(SettingsError, match=message):
        load_settings(write(tmp_path, text), {})


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_journal_may_lie_in_postgresql(tmp_path: Path, scheme: str) -> None:
    text = f'database = "{scheme}://keeper@db/keeper"\n' + MINIMAL + '[oracle]\njournal="database"'
    assert load_settings(write(tmp_path, text), {}).oracle.journal == "database"
