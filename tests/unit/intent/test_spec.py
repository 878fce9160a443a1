"""The model of a deployment intent."""

from typing import Any

import pytest

from workdeed.intent import HttpCheck, SpecError, load_spec

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


def git(**changes: Any) -> dict[str, Any]:
    return {"git": {"url": "https://git.example.org/hello.git", "commit": COMMIT} | changes}


def refused(changed: dict[str, Any]) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load_spec(changed)
    return caught.value


def test_a_small_document_gets_its_defaults():
    spec = load_spec(document(port={}, health={}))
    assert (spec.build, spec.env, spec.rollout.policy) == ((), {}, "recreate")
    assert spec.port is not None
    assert (spec.port.name, spec.port.env) == ("main", "PORT")
    assert isinstance(spec.health, HttpCheck)
    assert (spec.health.path, spec.health.interval_ms) == ("/healthz", 2_000)
    assert (spec.placement.tags, spec.placement.exclude, spec.placement.prefer) == ((), (), ())


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/hello.git",
        "https://git.example.org:8443/a/b.git",
        "ssh://git@git.example.org:2222/hello.git",
        "git@git.example.org:team/hello.git",
        "git://git.example.org/hello.git",
        "file:///srv/hello.git",
        "/srv/hello.git",
        "http://127.0.0.1:8000/hello.git",
    ],
)
def test_git_addresses_of_all_kinds_are_taken(url: str):
    spec = load_spec(document(source=git(url=url)))
    assert spec.source.git is not None
    assert spec.source.git.url == url


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schema": "workdeed/spec@2"}, "schema"),
        ({"name": "Hello"}, "name"),
        ({"name": "-hello"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"class_id": -1}, "class_id"),
        ({"class_id": "1"}, "class_id"),
        ({"class_id": 1.0}, "class_id"),
        ({"class_id": True}, "class_id"),
        ({"runner": "../war"}, "runner"),
        ({"source": git(commit="main")}, "source.git.commit"),
        ({"source": git(commit=COMMIT.upper())}, "source.git.commit"),
        ({"source": git(commit=COMMIT[:39])}, "source.git.commit"),
        ({"source": git(commit=COMMIT + "\n")}, "source.git.commit"),
        ({"source": git(path="/etc")}, "source.git.path"),
        ({"source": git(path="a/../b")}, "source.git.path"),
        ({"source": git(path="a//b")}, "source.git.path"),
        ({"source": git(path="-C")}, "source.git.path"),
        ({"source": git(tag="main")}, "source.git.tag"),
        ({"source": {"image": "x"}}, "source.image"),
        ({"build": [[]]}, "build.0"),
        ({"build": ["make"]}, "build.0"),
        ({"build": [["x"]] * 33}, "build"),
        ({"run": []}, "run"),
        ({"run": ["a\0b"]}, "run.0"),
        ({"run": ["x" * 4097]}, "run.0"),
        ({"env": {"1A": "x"}}, "env.1A.[key]"),
        ({"env": {"A": 1}}, "env.A"),
        ({"env": {"A": "\0"}}, "env.A"),
        ({"env": {"WORKDEED_COMMIT": "x"}}, "env"),
        ({"env": {"HOST": "0.0.0.0"}}, "env"),
        ({"port": {"name": "second"}}, "port.name"),
        ({"port": {}, "health": {"kind": "grpc"}}, "health"),
        ({"port": {}, "health": {"path": "healthz"}}, "health.path"),
        ({"port": {}, "health": {"path": "/a b"}}, "health.path"),
        ({"port": {}, "health": {"interval_ms": 99}}, "health.interval_ms"),
        ({"port": {}, "health": {"timeout_ms": 0}}, "health.timeout_ms"),
        ({"rollout": {"policy": "blue"}}, "rollout"),
        ({"resources": {"cpu_milli": 0, "memory_mb": 1, "storage_mb": 1}}, "resources.cpu_milli"),
        ({"resources": {"cpu_milli": 1, "memory_mb": 1}}, "resources.storage_mb"),
        ({"placement": {"tags": ["e u"]}}, "placement.tags.0"),
        ({"placement": {"tags": [""]}}, "placement.tags.0"),
        ({"placement": {"exclude": ["d*c"]}}, "placement.exclude.0"),
        ({"placement": {"prefer": ["eu||"]}}, "placement.prefer.0"),
        ({"placement": {"prefer": ["!!eu"]}}, "placement.prefer.0"),
        ({"placement": {"tags": ["eu"] * 33}}, "placement.tags"),
        ({"slots": 3}, "slots"),
    ],
)
def test_what_breaks_a_rule_is_named(changes: dict[str, Any], field: str):
    error = refused(document(**changes))
    assert error.field == field
    assert str(error).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"health": {}}, "health needs a port"),
        ({"port": {}, "env": {"PORT": "80"}}, "env.PORT is set by the node"),
        ({"port": {"env": "HOST"}}, "port.env HOST is set by the node"),
        ({"port": {"env": "WORKDEED_PORT"}}, "port.env WORKDEED_PORT is set by the node"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(changes: dict[str, Any], reason: str):
    assert reason in str(refused(document(**changes)))


def test_rules_of_placement_are_tag_expressions():
    rules = {"tags": ["REG:EU", "dc:*||!ct:fr"], "exclude": ["!kyb"], "prefer": ["*"]}
    assert load_spec(document(placement=rules)).placement.tags == ("REG:EU", "dc:*||!ct:fr")


def test_a_port_may_have_another_variable():
    spec = load_spec(document(port={"env": "LISTEN"}, env={"PORT": "free"}))
    assert spec.port is not None
    assert spec.port.env == "LISTEN"


@pytest.mark.parametrize("value", [None, 1, "text", [], {"schema": object()}])
def test_what_is_no_document_is_refused(value: object):
    refused(value)  # type: ignore[arg-type]
