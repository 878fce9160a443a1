"""What a spec asks of a node, held against a profile."""

from typing import Any

import pytest

from workdeed.intent import SealedBox, Secrets, Spec, load_spec
from workdeed.intent.wishes import MET, preference, unmet_wish
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import NodeProfile, Resources
from workdeed.protocol.signing import address_of, public_key_of

KEY = keccak(b"node")


def spec(**changes: Any) -> Spec:
    document = {
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
        "run": ["true"],
        "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
    }
    return load_spec(document | changes)


def profile(*tags: str, runners: tuple[str, ...] = ("war",)) -> NodeProfile:
    return NodeProfile(
        chain_id=1,
        license_id=1,
        node=address_of(KEY),
        resources=Resources(cpu_milli=1, memory_mb=1, storage_mb=1),
        tags=tags,
        runners=runners,
        public_key=public_key_of(KEY),
    )


@pytest.mark.parametrize(
    ("wishes", "unmet"),
    [
        ({}, MET),
        ({"placement": {"tags": ["REG:EU", "dc:*"]}}, MET),
        ({"placement": {"tags": ["REG:EU", "ssd"]}}, "its tags do not meet ssd"),
        ({"placement": {"exclude": ["ct:fr", "dc:*"]}}, "its tags meet dc:*, which is excluded"),
        ({"placement": {"prefer": ["ssd"]}}, MET),
        ({"runner": "native"}, "it has no runner native"),
    ],
)
def test_what_is_not_met_is_named(wishes: dict[str, Any], unmet: str) -> None:
    assert unmet_wish(spec(**wishes), profile("dc:1", "reg:eu")) == unmet


def test_the_runners_of_all_services_are_asked_for() -> None:
    sibling = {
        "name": "cache",
        "runner": "car",
        "source": {"image": {"reference": "registry.test/cache:1"}},
        "resources": {"cpu_milli": 10, "memory_mb": 10, "storage_mb": 10},
    }
    both = spec(siblings=[sibling])
    assert unmet_wish(both, profile()) == "it has no runner car"
    assert unmet_wish(both, profile(runners=("car", "war"))) == MET


def test_nodes_that_meet_more_are_preferred() -> None:
    wishing = spec(placement={"prefer": ["ssd", "reg:eu"]})
    found = [preference(wishing, profile(*tags)) for tags in ((), ("ssd",), ("reg:eu", "ssd"))]
    assert found == [2, 1, 0]


def test_boxes_are_found_by_license_and_change_no_comparison() -> None:
    boxes = tuple(SealedBox(license_id=one, node=address_of(KEY), box=b"x") for one in (3, 7))
    first, second = (Secrets(names=("token",), boxes=boxes) for _ in range(2))
    assert first.by_license[7] == boxes[1]
    assert first.licenses == {3, 7}
    assert first == second
    assert first.model_dump() == second.model_dump()
