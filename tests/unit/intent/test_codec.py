"""Canonical bytes and hash of an intent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.intent import SpecError, encode_spec, load_spec, parse_spec, spec_hash
from workdeed.protocol.canonical import canonical_bytes, parse_canonical
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_SPEC_BYTES

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def document(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "schema": "workdeed/spec@1",
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://git.example.org/hello.git", "commit": COMMIT}},
        "run": ["python3", "server.py"],
        "resources": {"cpu_milli": 100, "memory_mb": 128, "storage_mb": 64},
    }
    return made | changes


def test_the_bytes_hold_all_defaults_and_no_absent_part():
    content = parse_canonical(encode_spec(load_spec(document())))
    assert content == document(
        source={"git": document()["source"]["git"] | {"follow": False}},
        build=[],
        env={},
        ports=[],
        volumes=[],
        restart={
            "policy": "always",
            "first_ms": 1_000,
            "longest_ms": 60_000,
            "reset_ms": 300_000,
        },
        after=[],
        siblings=[],
        rollout={"policy": "recreate", "drain_ms": 0, "deadline_ms": 600_000},
        placement={"tags": [], "exclude": [], "prefer": []},
    )


def test_the_hash_of_an_intent_never_changes():
    # Fixed once: were it ever to change, running jobs would no longer match their chain.
    data = encode_spec(load_spec(document(port={}, health={})))
    assert spec_hash(data).hex() == (
        "22a696c0c3ebff5a62f8bed05c4892d829a6206967c831c159fb4ef27459bf12"
    )


def test_spelling_and_order_of_what_was_written_do_not_matter():
    first = encode_spec(load_spec(document()))
    backwards = dict(reversed(document(build=[], rollout={}).items()))
    assert encode_spec(load_spec(json.loads(json.dumps(backwards, indent=3)))) == first


def test_the_hash_is_over_the_bytes():
    data = encode_spec(load_spec(document()))
    assert spec_hash(data) == keccak(data)


texts = st.text(max_size=40).filter(lambda text: "\0" not in text)


@given(
    run=st.lists(texts, min_size=1, max_size=5),
    env=st.dictionaries(st.from_regex(r"\A[A-Z][A-Z0-9_]{0,8}\Z"), texts, max_size=4),
    path=st.none() | st.just("examples/hello-service"),
    has_port=st.booleans(),
)
def test_bytes_are_read_back_as_the_same_intent(
    run: list[str], env: dict[str, str], path: str | None, has_port: bool
):
    env = {name: text for name, text in env.items() if name not in ("HOST", "PORT")}
    source = document()["source"]["git"] | ({"path": path} if path else {})
    changes: dict[str, Any] = {"run": run, "env": env, "source": {"git": source}}
    if has_port:
        changes |= {"port": {}, "health": {}}
    try:
        spec = load_spec(document(**changes))
        data = encode_spec(spec)
    except SpecError:
        # Lone surrogates are text in Python and nowhere else.
        texts_used = "".join((*run, *env.values()))
        assert any(0xD800 <= ord(character) < 0xE000 for character in texts_used)
        return
    assert parse_spec(data) == spec
    assert canonical_bytes(parse_canonical(data)) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", ""),
        (json.dumps(document()).encode(), "canonical"),
        (canonical_bytes(document()), "leaves out fields"),
        (canonical_bytes({**document(), "build": [], "unknown": 1}), "unknown"),
        (b" " * (MAX_SPEC_BYTES + 1), "bytes"),
    ],
)
def test_bytes_with_another_form_are_refused(data: bytes, reason: str):
    with pytest.raises(SpecError) as caught:
        parse_spec(data)
    assert reason in str(caught.value)


def test_an_explicit_null_is_another_form():
    content = parse_canonical(encode_spec(load_spec(document())))
    with pytest.raises(SpecError, match="leaves out"):
        parse_spec(canonical_bytes({**content, "port": None}))


def test_a_spec_over_the_limit_is_not_encoded():
    env = {f"A{number}": "x" * 4000 for number in range(80)}
    with pytest.raises(SpecError, match=str(MAX_SPEC_BYTES)):
        encode_spec(load_spec(document(env=env)))


def test_text_that_no_json_can_hold_is_refused():
    spec = load_spec(document())
    with pytest.raises(SpecError, match="canonical"):
        encode_spec(spec.model_copy(update={"env": {"A": "\ud800"}}))
