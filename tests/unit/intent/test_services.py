"""The parts of an intent that say how its services run: sources, values, volumes, siblings."""

from typing import Any

import pytest

from workdeed.intent import (
    Canary,
    FixedVolume,
    FromService,
    HttpCheck,
    Recreate,
    Rolling,
    SpecError,
    TcpCheck,
    encode_spec,
    load_spec,
    parse_spec,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "sha256:" + "ab" * 32
SIZES = {"cpu_milli": 100, "memory_mb": 128, "storage_mb": 64}
PART = {"cpu_milli": 10, "memory_mb": 8, "storage_mb": 4}
BOX = {"license_id": 3, "node": "0x" + "11" * 20, "box": "AAAA"}


def document(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": "web",
        "class_id": 1,
        "runner": "car",
        "source": {"image": {"reference": f"registry.example.org/team/web@{DIGEST}"}},
        "resources": SIZES,
    }
    return made | changes


def sibling(name: str, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "runner": "car",
        "source": {"image": {"reference": "db:1"}},
        "resources": PART,
    }
    return made | changes


def git(**changes: Any) -> dict[str, Any]:
    return {"git": {"url": "https://git.example.org/hello.git"} | changes}


def image(reference: str, **changes: Any) -> dict[str, Any]:
    return {"image": {"reference": reference} | changes}


def refused(**changes: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load_spec(document(**changes))
    return caught.value


@pytest.mark.parametrize(
    "reference",
    [
        "busybox",
        "busybox:1.36",
        "library/busybox",
        "registry.example.org/a/b-c__d:v1.2",
        "127.0.0.1:5000/web",
        f"localhost:5000/web:v1@{DIGEST}",
        f"web@{DIGEST}",
    ],
)
def test_image_references_of_all_kinds_are_taken(reference: str):
    source = load_spec(document(source=image(reference))).source.image
    assert source is not None
    assert source.reference == reference


@pytest.mark.parametrize(
    "reference",
    ["", "Web", "-web", "web@sha256:ab", "web:", "a b", "../web", "web/", "host:70000000/web"],
)
def test_what_is_no_image_reference_is_refused(reference: str):
    assert refused(source=image(reference)).field == "source.image.reference"


def test_a_branch_is_taken_only_to_be_followed():
    followed = load_spec(document(source=git(branch="main", follow=True))).source.git
    assert followed is not None
    assert followed.commit is None
    for changes in (
        {"branch": "main"},
        {"follow": True},
        {"branch": "main", "follow": True, "commit": COMMIT},
        {"commit": COMMIT, "poll_ms": 20_000},
        {},
    ):
        assert refused(source=git(**changes)).field == "source.git"


@pytest.mark.parametrize("branch", ["-x", "a..b", "a//b", "a.lock", "a/", ".a", "a/.b", "a b", ""])
def test_what_git_takes_for_no_branch_is_refused(branch: str):
    assert refused(source=git(branch=branch, follow=True)).field == "source.git.branch"


def test_a_branch_is_polled_no_faster_than_the_floor():
    error = refused(source=git(branch="main", follow=True, poll_ms=14_999))
    assert error.field == "source.git.poll_ms"


def test_values_are_told_apart_by_what_they_hold():
    env = {
        "TEXT": "x",
        "SECRET": {"secret": "token"},
        "NODE": {"node": "license"},
        "DB": {"service": "db", "value": "port"},
        "SHARD": {"per_node": {"7": "seven"}, "default": "none"},
    }
    spec = load_spec(document(env=env, siblings=[sibling("db", port={})]))
    assert spec.env["DB"] == FromService(service="db", value="port")
    assert spec.used_secrets == {"token"}
    assert spec.waits_for == {"db"}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "env.A"),
        (["x"], "env.A"),
        ({"secret": "B"}, "env.A.secret"),
        ({"secret": "b", "node": "license"}, "env.A.node"),
        ({"node": "key"}, "env.A.node"),
        ({"per_node": {"0": "x"}, "default": "y"}, "env.A.per_node.0.[key]"),
        ({"per_node": {}}, "env.A.default"),
    ],
)
def test_a_value_of_no_kind_is_named(value: Any, field: str):
    assert refused(env={"A": value}).field == field


def test_services_start_after_those_that_they_wait_for():
    env = {"DB": {"service": "db", "value": "dsn"}}
    siblings = [sibling("db", after=["cache"]), sibling("cache")]
    spec = load_spec(document(env=env, siblings=siblings))
    assert spec.start_order == ("cache", "db", "main")
    assert spec.resources_of("main").memory_mb == 128 - 2 * 8
    assert spec.resources_of("db").memory_mb == 8


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"after": ["db"]}, "it waits for db"),
        ({"after": ["main"]}, "it waits for main"),
        ({"siblings": [sibling("db"), sibling("db")]}, "two have one name"),
        ({"siblings": [sibling("main")]}, "main is the job's main service"),
        ({"siblings": [sibling("a", after=["b"]), sibling("b", after=["a"])]}, "wait for each"),
        ({"siblings": [sibling("a", resources=SIZES)]}, "the siblings take all of it"),
        (
            {"env": {"A": {"service": "db", "value": "port"}}, "siblings": [sibling("db")]},
            "no port",
        ),
        ({"ports": [{"name": "x", "env": "X"}]}, "the first port is the main one"),
        ({"port": {}, "ports": [{"name": "main", "env": "X"}]}, "main is there twice"),
        ({"port": {}, "ports": [{"name": "x", "env": "PORT"}]}, "PORT is there twice"),
        ({"port": {}, "health": {"kind": "tcp", "port": "x"}}, "there is no port x"),
        ({"restart": {"first_ms": 2_000, "longest_ms": 1_000}}, "swap them"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(changes: dict[str, Any], reason: str):
    assert reason in str(refused(**changes))


def fixed(**changes: Any) -> dict[str, Any]:
    return {"kind": "fixed", "name": "data", "path": "/data", "size_mb": 8} | changes


def file(path: str) -> dict[str, Any]:
    return {"kind": "file", "path": path, "content": ""}


def test_volumes_lie_beside_each_other():
    paths = ["/data", "/data-more", "/run/web", "/app/data/x"]
    spec = load_spec(document(volumes=[file(path) for path in paths]))
    assert [volume.path for volume in spec.volumes] == paths


def test_volumes_are_told_apart_by_their_kind():
    volumes = [fixed(), {"kind": "file", "path": "/etc/web.conf", "content": "a=1\n"}]
    spec = load_spec(document(volumes=volumes))
    assert spec.kept_volumes == (FixedVolume(kind="fixed", name="data", path="/data", size_mb=8),)


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [
        ([fixed(size_mb=65)], "larger than resources.storage_mb"),
        ([fixed(), fixed(name="more")], "/data is there twice"),
        ([fixed(), fixed(path="/more")], "data is there twice"),
        ([fixed(path="data")], "volumes.0.path"),
        ([fixed(path="/a/../b")], "volumes.0.path"),
        ([fixed(path="/a:b")], "volumes.0.path"),
        ([fixed(path="/")], "volumes.0.path"),
        ([{"name": "data", "path": "/data"}], "volumes.0: its kind"),
        ([fixed(), fixed(name="more", path="/data/more")], "/data/more lies inside of /data;"),
        ([fixed(path="/a/b"), file("/a")], "/a/b lies inside of /a;"),
        ([fixed(), file("/data/x/y")], "/data/x/y lies inside of /data;"),
        ([file("/run/workdeed/exports/x")], "lies inside of /run/workdeed;"),
    ],
)
def test_volumes_that_break_a_rule_are_refused(volumes: list[dict[str, Any]], reason: str):
    assert reason in str(refused(volumes=volumes))


def test_services_share_a_volume_by_its_name_if_it_is_the_same():
    shared = sibling("db", volumes=[fixed(path="/var/db")])
    spec = load_spec(document(volumes=[fixed()], siblings=[shared]))
    assert {one.name for one in spec.kept_volumes} == {"data"}
    other = sibling("db", volumes=[fixed(size_mb=4)])
    assert "two kinds or sizes" in str(refused(volumes=[fixed()], siblings=[other]))


def test_a_secret_that_is_used_must_be_sealed_before_the_spec_has_bytes():
    unsealed = load_spec(document(env={"TOKEN": {"secret": "token"}}))
    with pytest.raises(SpecError, match="secrets: token is used and not sealed"):
        encode_spec(unsealed)
    secrets = {"names": ["token"], "boxes": [BOX]}
    sealed = load_spec(document(env={"TOKEN": {"secret": "token"}}, secrets=secrets))
    assert parse_spec(encode_spec(sealed)) == sealed
    with pytest.raises(SpecError, match="secrets: token is sealed and not used"):
        encode_spec(load_spec(document(secrets=secrets)))


def test_boxes_stand_in_one_order():
    boxes = [BOX, BOX | {"license_id": 2}]
    assert "boxes must ascend" in str(refused(secrets={"names": ["a"], "boxes": boxes}))


def test_checks_and_rollouts_are_told_apart_by_a_word():
    spec = load_spec(document(port={}, health={}, rollout={}))
    assert isinstance(spec.health, HttpCheck)
    assert isinstance(spec.rollout, Recreate)
    spec = load_spec(document(port={}, health={"kind": "tcp"}, rollout={"policy": "rolling"}))
    assert isinstance(spec.health, TcpCheck)
    assert isinstance(spec.rollout, Rolling)
    assert isinstance(load_spec(document(rollout={"policy": "canary"})).rollout, Canary)


def test_the_configuration_of_a_plugin_is_canonical_json():
    source = {"plugin": {"name": "greeter", "config": {"deep": [1, {"a": None}]}}}
    spec = load_spec(document(runner="native", source=source))
    assert parse_spec(encode_spec(spec)) == spec
    source["plugin"]["config"] = {"a": 0.5}
    assert refused(runner="native", source=source).field == "source.plugin.config"
