"""Names of images."""

import pytest

from workdeed.node.runners.image_reference import ImageReference, full_name

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest"),
    [
        ("busybox", "docker.io/library/busybox", "latest", ""),
        ("team/app:v1", "docker.io/team/app", "v1", ""),
        ("docker.io/busybox", "docker.io/library/busybox", "latest", ""),
        ("index.docker.io/team/app", "docker.io/team/app", "latest", ""),
        ("localhost/app", "localhost/app", "latest", ""),
        ("registry.example:5000/a/b:v1", "registry.example:5000/a/b", "v1", ""),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a", "latest", ""),
        (f"registry.example/a@{DIGEST}", "registry.example/a", "", DIGEST),
        (f"registry.example/a:v1@{DIGEST}", "registry.example/a", "v1", DIGEST),
    ],
)
def test_what_people_write(text: str, name: str, tag: str, digest: str):
    found = ImageReference.parse(text)
    assert (found.name, found.tag, found.digest) == (name, tag, digest)
    assert full_name(name) == name


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("busybox", ("registry-1.docker.io", 443)),
        ("registry.example/a", ("registry.example", 443)),
        ("registry.example:5000/a", ("registry.example", 5000)),
    ],
)
def test_where_a_registry_is(text: str, server: tuple[str, int]):
    assert ImageReference.parse(text).server == server


def test_a_version_pins_a_name():
    found = ImageReference.parse("team/app:v1")
    assert found.pinned("ab" * 32) == f"docker.io/team/app@{DIGEST}"
    assert found.tagged == "docker.io/team/app:v1"
