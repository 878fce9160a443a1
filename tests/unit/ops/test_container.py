"""The image of the keeper: its sources exist, it is pinned, small and without privileges."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import pytest

from .ops_support import OPS, ROOT

FILE = OPS / "container" / "Containerfile"
Pins = dict[str, tuple[str, frozenset[str]]]


def instructions() -> list[tuple[str, str]]:
    """Return the instructions as (word, rest), continued lines joined, comments left out."""
    lines = [
        line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


def rests(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def copied() -> Iterator[str]:
    for rest in rests("COPY"):
        if not rest.startswith("--from="):
            yield from rest.split()[:-1]


def pins(name: str) -> Pins:
    """Return version and hashes of each package of a lock file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found: Pins = {}
    for block in re.split(r"(?m)^(?=\S)", text):
        head = re.match(r"([a-z0-9][a-z0-9._-]*)==([^\s;]+)", block)
        if head:
            found[head[1]] = head[2], frozenset(re.findall(r"--hash=(\S+)", block))
    return found


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=~! ;]", requirement)[0].lower().replace("_", "-")


def test_what_is_copied_is_there() -> None:
    sources = list(copied())
    assert {"pyproject.toml", "src", "requirements-run.lock"} <= set(sources)
    assert [path for path in sources if not (ROOT / path).exists()] == []
    assert rests("ADD") == []


def test_the_base_is_pinned_by_version() -> None:
    (default,) = rests("ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+\.\d+-slim-[a-z]+", default)
    assert rests("FROM") == ["${PYTHON} AS build", "${PYTHON}"]


def test_packages_are_pinned_by_hash() -> None:
    installs = [rest for rest in rests("RUN") if "pip install" in rest]
    packages = [rest for rest in installs if "--requirement" in rest]
    assert len(packages) == 1
    assert "--require-hashes" in packages[0]
    assert all("--no-deps" in rest for rest in installs)
    assert all("--index" not in rest for rest in installs)


def test_it_runs_without_privileges_and_writes_to_its_volume_only() -> None:
    last_stage = instructions()[[word for word, _ in instructions()].index("FROM", 3) :]
    settings = dict(last_stage)
    user, _, group = settings["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert settings["WORKDIR"] == settings["VOLUME"] == "/var/lib/workdeed"
    words = [word for word, _ in last_stage]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word == "RUN")


def test_its_health_is_that_of_the_keeper() -> None:
    (check,) = rests("HEALTHCHECK")
    (port,) = rests("EXPOSE")
    (environment,) = rests("ENV")
    assert f"http://127.0.0.1:{port}/healthz" in check
    assert f"WORKDEED_HTTP__PORT={port}" in environment
    assert rests("STOPSIGNAL") == ["SIGTERM"]


def test_the_smaller_lock_is_a_part_of_the_whole() -> None:
    """Tested is what the whole lock pins; what runs elsewhere must be the same."""
    small, whole = pins("requirements-run.lock"), pins("requirements.lock")
    assert {name: pin for name, pin in small.items() if whole.get(name) != pin} == {}
    assert len(small) < len(whole) / 2


def test_the_smaller_lock_has_all_that_runs_and_nothing_for_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = pins("requirements-run.lock").keys()
    assert {name_of(one) for one in project["dependencies"]} <= locked
    extras = project["optional-dependencies"]
    development = {name_of(one) for one in (*extras["dev"], *extras["contracts"])}
    assert development & locked == {"flit-core"}  # builds this package


@pytest.mark.parametrize("name", ["requirements-run.lock", "requirements-run.in"])
def test_no_lock_names_an_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
