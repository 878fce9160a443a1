"""Opening secrets: for this node and this job's payer only, and never into a text."""

import copy
import pickle
import traceback
from typing import Any

import pytest

from workdeed.intent import SealedBox, Secrets, Spec, load_spec
from workdeed.node.errors import SecretsError
from workdeed.node.identity import NodeIdentity
from workdeed.node.secrets import NO_SECRETS, Opened, Safe
from workdeed.protocol.hashing import keccak
from workdeed.protocol.sealing import Owner, seal
from workdeed.protocol.signing import address_of, public_key_of, to_checksum

KEY, OTHER_KEY = keccak(b"node key"), keccak(b"other node key")
ESCROW, PAYER = to_checksum(b"\xee" * 20), to_checksum(b"\xaa" * 20)
OTHER = to_checksum(b"\xbb" * 20)
CHAIN, LICENSE = 31_337, 7
OWNER = Owner(CHAIN, ESCROW, PAYER)
VALUES = {"token": "s3cret-word", "password": "another\nof-two-lines"}
IDENTITY = NodeIdentity(KEY, CHAIN, to_checksum(b"\xcc" * 20), LICENSE, b"i" * 16)


def spec_with(boxes: list[SealedBox] | None = None, **changes: Any) -> Spec:
    document = {
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://git.test/hello", "commit": "0" * 40}},
        "run": ["serve"],
        "env": {"TOKEN": {"secret": "token"}, "PASSWORD": {"secret": "password"}},
        "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
    }
    spec = load_spec(document | changes)
    if boxes is None:
        return spec
    secrets = Secrets(names=tuple(sorted(VALUES)), boxes=tuple(boxes))
    return spec.model_copy(update={"secrets": secrets})


def box(
    values: dict[str, str] = VALUES,
    *,
    license_id: int = LICENSE,
    key: bytes = KEY,
    owner: Owner = OWNER,
    node: str = address_of(KEY),
) -> SealedBox:
    return SealedBox(license_id=license_id, node=node, box=seal(values, public_key_of(key), owner))


def test_the_node_opens_what_was_sealed_to_it() -> None:
    spec = spec_with([box(license_id=3, key=OTHER_KEY, node=OTHER), box()])
    opened = Safe(IDENTITY, ESCROW).open(spec, PAYER)
    assert dict(opened) == VALUES


def test_a_spec_without_secrets_has_none() -> None:
    assert Safe(IDENTITY, ESCROW).open(spec_with(env={}), PAYER) is NO_SECRETS


@pytest.mark.parametrize(
    ("sealed", "payer", "reason"),
    [
        (box(license_id=8), PAYER, "not sealed for license 7"),
        (box(node=OTHER), PAYER, "sealed to 0x"),
        (box(key=OTHER_KEY), PAYER, "another key"),
        (box(), OTHER, "another payer"),
        (box(owner=Owner(CHAIN, OTHER, PAYER)), PAYER, "another escrow"),
        (box(owner=Owner(1, ESCROW, PAYER)), PAYER, "another chain_id"),
        (box({"token": "x"}), PAYER, "secrets.password: it is not in the box"),
    ],
)
def test_a_box_of_something_else_is_refused(sealed: SealedBox, payer: str, reason: str) -> None:
    with pytest.raises(SecretsError, match=reason) as caught:
        Safe(IDENTITY, ESCROW).open(spec_with([sealed]), payer)
    told = "".join(traceback.format_exception(caught.value))
    assert not any(word in told for word in VALUES.values())
    assert KEY.hex() not in told


def test_what_the_spec_does_not_name_is_not_taken() -> None:
    more = VALUES | {"third": "not-named"}
    assert Safe(IDENTITY, ESCROW).open(spec_with([box(more)]), PAYER).keys() == VALUES.keys()


class TestOpened:
    opened = Opened(VALUES)

    def test_prints_names_only(self) -> None:
        for text in (repr(self.opened), str(self.opened), f"{self.opened!r:>40}"):
            assert "token" in text
            assert "s3cret" not in text

    def test_is_not_copied_out_of_the_process(self) -> None:
        for how in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="stay in this process"):
                how(self.opened)

    def test_a_service_gets_what_it_names(self) -> None:
        spec = spec_with(env={"TOKEN": {"secret": "token"}})
        assert dict(self.opened.of(spec)) == {"token": "s3cret-word"}

    def test_values_are_hidden_in_what_is_told(self) -> None:
        told = "KeyError: s3cret-word; of-two-lines (another\nof-two-lines) ok"
        assert self.opened.hide_in(told) == "KeyError: ***; *** (***) ok"
        assert Opened({"pin": "12"}).hide_in("exit code 12") == "exit code 12"
        assert Opened({"a": "long-value", "b": "long-value-more"}).hide_in("long-value-more") == (
            "***"
        )
