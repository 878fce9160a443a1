"""How an agent that cannot start says so."""

import socket
from pathlib import Path
from typing import Any

import pytest

from workdeed.chain.keys import KeySourceError
from workdeed.node import run
from workdeed.node.errors import SettingsError, StateError
from workdeed.node.run import Node, main, profile_of
from workdeed.node.settings import NodeSettings
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of

KEY = keccak(b"node key")


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "node.key").write_text(KEY.hex())
    return {
        "chain_id": 31337,
        "rpc_urls": ("http://127.0.0.1:1",),
        "min_rpcs": 1,
        "contracts": dict.fromkeys(("escrow", "licenses", "committee"), "0x" + "11" * 20),
        "license_id": 7,
        "key": {"private_key_file": tmp_path / "node.key"},
        "port": 0,
        "state_dir": tmp_path / "state",
        "resources": {"cpu_milli": 1, "memory_mb": 1, "storage_mb": 1},
    }


@pytest.fixture
def taken() -> Any:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_is_named_and_the_state_left_free(values: dict[str, Any], taken: int):
    with pytest.raises(SettingsError, match=r"port: .* can't be listened on"):
        Node(NodeSettings(**values | {"port": taken}))
    with pytest.raises(SettingsError, match="port: "):
        Node(NodeSettings(**values | {"port": taken}))


async def test_two_agents_on_one_state_are_refused(values: dict[str, Any]):
    node = Node(NodeSettings(**values))
    with pytest.raises(StateError, match="another agent"):
        Node(NodeSettings(**values))
    await node.close()
    again = Node(NodeSettings(**values))
    await again.close()
    await again.close()


async def test_a_part_that_cannot_be_closed_keeps_no_other_open(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    node = Node(NodeSettings(**values))
    closed = []

    async def fail(**_: Any) -> None:
        raise OSError("No space left on device")

    async def close() -> None:
        closed.append(1)

    monkeypatch.setattr(node.agent, "close", fail)
    monkeypatch.setattr(node._parts.chain, "close", close)
    await node.close()
    assert closed
    await Node(NodeSettings(**values)).close()  # the state is free again


def test_a_missing_key_is_named(values: dict[str, Any], tmp_path: Path):
    (tmp_path / "node.key").unlink()
    with pytest.raises(KeySourceError, match=r"node\.key"):
        Node(NodeSettings(**values))


def test_main_reports_instead_of_raising(values: dict[str, Any], tmp_path: Path):
    (tmp_path / "node.key").unlink()
    assert main(NodeSettings(**values)) == 2


def test_main_reports_a_damaged_memory(values: dict[str, Any], tmp_path: Path):
    (tmp_path / "state" / "jobs").mkdir(parents=True)
    (tmp_path / "state" / "jobs" / "x.json").write_text("{")
    assert main(NodeSettings(**values)) == 2


def test_a_profile_can_be_made_without_an_agent(values: dict[str, Any]):
    profile = profile_of(NodeSettings(**values | {"tags": ("eu",)}))
    assert (profile.node, profile.tags, profile.runners) == (address_of(KEY), ("eu",), ("war",))
    assert profile_of(NodeSettings(**values | {"tags": ("eu",)})) == profile


def test_an_agent_sets_its_logs_up_before_anything_can_fail(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []

    class Failing:
        def __init__(self, settings: NodeSettings) -> None:
            done.append("node")
            raise SettingsError("resources: none")

    monkeypatch.setattr(run, "set_up", lambda: done.append("logs"))
    monkeypatch.setattr(run, "Node", Failing)
    assert main(NodeSettings(**values)) == 2
    assert done == ["logs", "node"]
