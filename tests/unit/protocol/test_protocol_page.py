"""`docs/protocol.md` names what the code has: types, messages, keys, limits and vectors."""

import re
from pathlib import Path

import pytest

from workdeed.protocol import eip712, limits, messages
from workdeed.protocol.candidates import Candidates, CandidatesRequest
from workdeed.protocol.evidence import Evidence, EvidenceRequest
from workdeed.protocol.noderequest import InspectionReply, LogReply, NodeRequest, ServicePort
from workdeed.protocol.report import ReportHeader
from workdeed.protocol.rollouts import (
    Endpoint,
    EndpointList,
    ReplicaProgress,
    RolloutProgress,
)
from workdeed.protocol.sealing import SealedContent
from workdeed.protocol.wire import Body, Message, SignedMessage

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "protocol.md").read_text(encoding="utf-8")
TYPES = [
    value
    for name, value in vars(eip712).items()
    if name.endswith("_TYPE") and name != "DOMAIN_TYPE"
]
LIMITS = {name: value for name, value in vars(limits).items() if name.startswith("MAX_")}
WAITS = {name: value for name, value in vars(limits).items() if name.endswith("_SECONDS")}
BODIES: list[type[Body]] = [
    ReportHeader,
    Evidence,
    EvidenceRequest,
    Candidates,
    CandidatesRequest,
    NodeRequest,
    Endpoint,
    EndpointList,
    ReplicaProgress,
    RolloutProgress,
    LogReply,
    InspectionReply,
    ServicePort,
    SealedContent,
    *(
        value
        for value in (getattr(messages, name) for name in messages.__all__)
        if isinstance(value, type) and issubclass(value, Body) and not value.__abstractmethods__
        if value not in (Body, Message)
    ),
]
BY_SCHEMA = {
    body.model_fields["schema_"].default: body for body in BODIES if "schema_" in body.model_fields
}


def sections() -> dict[str, str]:
    """Return the text below each heading of the third level."""
    parts = re.split(r"^##+ (.+)$", PAGE, flags=re.MULTILINE)
    return {title.strip("`"): text for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def keys_of(body: type[Body]) -> set[str]:
    return {field.alias or name for name, field in body.model_fields.items()}


@pytest.mark.parametrize("type_text", TYPES)
def test_the_page_spells_every_signed_type(type_text: str) -> None:
    assert f"| `{type_text}` |" in PAGE


def test_every_signed_type_is_in_the_code() -> None:
    assert sorted(re.findall(r"^\| `(\w+\([^`]+\))` \|", PAGE, flags=re.MULTILINE)) == sorted(TYPES)


def test_every_message_has_a_section_and_every_section_a_message() -> None:
    titles = {title for title in sections() if title.startswith("workdeed/")}
    assert titles == set(BY_SCHEMA)


@pytest.mark.parametrize("schema", sorted(BY_SCHEMA))
def test_a_section_lists_the_keys_of_its_message(schema: str) -> None:
    """The first table lists them; parts (a workload, a leaf) have their keys further on."""
    table = sections()[schema].split("\n\n")[1]
    rows = [row for row in table.splitlines() if row.startswith("| `")]
    listed = [key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert len(listed) == len(set(listed))
    assert set(listed) == keys_of(BY_SCHEMA[schema])
    if issubclass(BY_SCHEMA[schema], SignedMessage):
        assert listed[-1] == "signature"


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_no_key_is_missing_on_the_page(body: type[Body]) -> None:
    for key in keys_of(body):
        assert f"`{key}`" in PAGE


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_the_page_tells_every_limit(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| {LIMITS[name]} \|", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("name", sorted(WAITS))
def test_the_page_tells_every_wait(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| {WAITS[name]} \|", PAGE, flags=re.MULTILINE)


def test_the_page_tells_no_limit_that_is_not_in_the_code() -> None:
    told = set(re.findall(r"^\| `([A-Z_]+)` \| \d+ \|", PAGE, flags=re.MULTILINE))
    assert told == LIMITS.keys() | WAITS.keys()


def test_every_link_leads_somewhere() -> None:
    titles = re.findall(r"^#+ (.+)$", PAGE, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (DOCS / target).exists(), target


def test_every_vector_is_referred_to() -> None:
    for path in (DOCS / "vectors").iterdir():
        assert f"(vectors/{path.name})" in PAGE
