"""The page on specs: its examples are valid, and it names every field that there is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from workdeed.intent import (
    Canary,
    CommandCheck,
    Credentials,
    DelayCheck,
    ExtraPort,
    FileVolume,
    FixedVolume,
    FromNode,
    FromSecret,
    FromService,
    GitSource,
    HttpCheck,
    ImageSource,
    NamedVolume,
    PerNode,
    PlacementRules,
    PluginSource,
    Port,
    Recreate,
    Resources,
    Restart,
    Rolling,
    Sibling,
    Source,
    Spec,
    TcpCheck,
    load_spec,
)

PAGE = (Path(__file__).parents[3] / "docs" / "spec.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
PARTS: tuple[type[BaseModel], ...] = (
    *(Spec, Sibling, Source, ImageSource, GitSource, PluginSource, Credentials, Port, ExtraPort),
    *(HttpCheck, TcpCheck, CommandCheck, DelayCheck, FileVolume, NamedVolume, FixedVolume),
    *(Restart, Resources, PlacementRules, Recreate, Rolling, Canary),
    *(FromSecret, FromNode, FromService, PerNode),
)


def fields() -> Iterator[str]:
    for part in PARTS:
        for name, field in part.model_fields.items():
            yield field.alias or name


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_specs(example: str) -> None:
    document = json.loads(example)
    spec = load_spec(document)
    assert spec.name == document["name"]


def test_there_is_an_example_of_a_container_and_of_a_worker() -> None:
    assert [json.loads(one)["runner"] for one in EXAMPLES] == ["car", "war"]


@pytest.mark.parametrize("name", sorted(set(fields())))
def test_every_field_is_on_the_page(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


DEFAULTS = {
    Restart: ("first_ms", "longest_ms", "reset_ms"),
    HttpCheck: ("interval_ms", "start_period_ms"),
    Recreate: ("deadline_ms",),
    Rolling: ("settle_ms",),
    Canary: ("share_bps", "wait_ms"),
}


@pytest.mark.parametrize(
    ("part", "name"), [(part, name) for part, names in DEFAULTS.items() for name in names]
)
def test_defaults_are_those_of_the_model(part: type[BaseModel], name: str) -> None:
    assert f"{part.model_fields[name].default:,}" in PAGE
