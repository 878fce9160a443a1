"""Sealing: to nodes that the chain confirms and the spec wants, whoever shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from workdeed.chain.bindings.desk import Job
from workdeed.chain.bindings.licenses import NODE, ORACLE
from workdeed.intent import Spec, SpecError, encode_spec, load_spec
from workdeed.intent.secrets import MAX_BOXES
from workdeed.protocol.candidates import Candidates, CandidatesRequest
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_BODY
from workdeed.protocol.messages import NodeProfile, Resources, sign
from workdeed.protocol.sealing import Owner, open_box
from workdeed.protocol.signing import address_of, public_key_of, to_checksum
from workdeed.sdk import secrets as module
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError, SdkError
from workdeed.sdk.secrets import Sealed, Sealing

CHAIN_ID = 31_337
ESCROW, COMMITTEE, PAYER = (to_checksum(one * 20) for one in (b"\xee", b"\xcc", b"\xaa"))
DOMAIN = Domain(COMMITTEE_DOMAIN, CHAIN_ID, COMMITTEE)
VALUES = {"token": "s3cret-word"}
KEEPERS = ("http://keeper0:8600", "http://keeper1:8600")
JOB = Job(PAYER, b"\x05" * 32, 0, 0, 1, 1, 10, 2, 0, 2, 1, 4, 9, 5, 1, 0, False, False, False, 0)


def node_key(license_id: int) -> bytes:
    return keccak(b"node %d" % license_id)


def spec(**changes: Any) -> Spec:
    document = {
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
        "run": ["true"],
        "env": {"TOKEN": {"secret": "token"}},
        "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
    }
    return load_spec(document | changes)


def profile(license_id: int, *, key: bytes | None = None, **changes: Any) -> NodeProfile:
    key = key or node_key(license_id)
    content = {
        "chain_id": CHAIN_ID,
        "license_id": license_id,
        "node": address_of(key),
        "resources": Resources(cpu_milli=1_000, memory_mb=1_000, storage_mb=1_000),
        "tags": ("reg:eu",),
        "runners": ("war",),
        "public_key": public_key_of(key),
    }
    return sign(NodeProfile(**(content | changes)), DOMAIN, key)


@dataclass
class License:
    """What the chain says of a license."""

    node: str
    profile_hash: bytes
    kind: int = NODE
    eligible: bool = True


@dataclass
class World:
    """A chain with licenses, and keepers that show profiles."""

    licenses: dict[int, License] = field(default_factory=dict)
    shown: list[NodeProfile] = field(default_factory=list)
    placed: list[int] = field(default_factory=list)
    job: Job = JOB
    down: set[str] = field(default_factory=set)
    asked: list[CandidatesRequest] = field(default_factory=list)
    specs: dict[str, bytes] = field(default_factory=dict)

    def node(self, license_id: int, **changes: Any) -> NodeProfile:
        found = profile(license_id, **changes)
        self.licenses[license_id] = License(found.node, found.profile_hash)
        self.shown.append(found)
        return found

    def client(self) -> Sealing:
        return FakeClient(self)


class FakeEndpoints(Endpoints):
    def __init__(self, world: World) -> None:
        super().__init__(allow_private=True)
        self.world = world

    async def send(
        self, method: str, base: str, path: str, body: bytes, max_bytes: int = MAX_BODY
    ) -> bytes:
        assert (method, path) == ("POST", "/candidates")
        assert max_bytes == Candidates.MAX_BYTES
        if base in self.world.down:
            raise EndpointError(f"{base}: connection refused")
        self.world.asked.append(CandidatesRequest.parse(body))
        return Candidates(profiles=tuple(self.world.shown)).to_json()

    async def get(self, base: str, path: str, max_bytes: int = MAX_BODY) -> bytes:
        return self.world.specs[path]


class FakeLicenses:
    """Calls are closures over the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _of(self, license_id: int) -> License:
        return self._world.licenses.get(license_id, License("0x" + "0" * 40, bytes(32), kind=0))

    def kind_of(self, license_id: int) -> Callable[[], int]:
        return lambda: self._of(license_id).kind

    def node_of(self, license_id: int) -> Callable[[], str]:
        return lambda: self._of(license_id).node

    def profile_hash_of(self, license_id: int) -> Callable[[], bytes]:
        return lambda: self._of(license_id).profile_hash

    def eligible(self, license_id: int) -> Callable[[], bool]:
        return lambda: self._of(license_id).eligible


class FakeSession:
    """What sealing uses of a session."""

    def __init__(self, world: World) -> None:
        self.endpoints = FakeEndpoints(world)
        self.suite: Any = type("Suite", (), {})()
        self.suite.licenses = FakeLicenses(world)
        self.suite.escrow = type("Escrow", (), {"address": ESCROW})
        self.deployment = type(
            "Deployment", (), {"chain_id": CHAIN_ID, "domain": lambda _, name: DOMAIN}
        )()
        self.sender = type("Sender", (), {"address": PAYER})

    async def read(self, call: Callable[[], Any]) -> Any:
        return call()

    async def keeper_addresses(self) -> Sequence[str]:
        return KEEPERS


class FakeClient(Sealing):
    def __init__(self, world: World) -> None:
        self.session: Any = FakeSession(world)
        self.world = world

    async def _job_of(self, job_id: int, payer: str | None) -> Any:
        return type("JobView", (), {"job": self.world.job})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    async def placed(session: Any, job_id: int, job: Job) -> list[int]:
        return made.placed

    monkeypatch.setattr(module, "placed_licenses", placed)
    return made


def opened(sealed: Sealed, license_id: int, payer: str = PAYER) -> dict[str, str]:
    assert sealed.spec.secrets is not None
    box = sealed.spec.secrets.by_license[license_id].box
    return open_box(node_key(license_id), box, Owner(CHAIN_ID, ESCROW, payer))


class TestNew:
    async def test_it_is_sealed_for_slots_and_spares_best_first(self, world: World) -> None:
        for license_id in (5, 3, 9, 4, 8):
            world.node(license_id)
        sealed = await world.client().seal_new(spec(), VALUES, slots=1, spares=2)
        assert sealed.licenses == (3, 5, 9)
        assert all(opened(sealed, one) == VALUES for one in sealed.licenses)
        assert b"s3cret" not in encode_spec(sealed.spec)
        (asked,) = world.asked
        assert (asked.class_id, asked.placed) == (1, ())
        assert asked.count >= 3
        assert load_spec(json.loads(asked.spec)) == spec()

    @pytest.mark.parametrize(("slots", "wanted"), [(1, 3), (2, 4), (4, 8)])
    async def test_there_are_as_many_spares_as_slots_by_default_and_two_at_least(
        self, world: World, slots: int, wanted: int
    ) -> None:
        for license_id in range(1, 12):
            world.node(license_id)
        sealed = await world.client().seal_new(spec(), VALUES, slots=slots)
        assert len(sealed.licenses) == wanted

    async def test_too_few_nodes_are_told(self, world: World) -> None:
        world.node(3)
        with pytest.raises(SdkError, match=r"1 nodes could .* 3 are wanted .* lower --spares"):
            await world.client().seal_new(spec(), VALUES, slots=1)
        sealed = await world.client().seal_new(spec(), VALUES, slots=1, spares=0)
        assert sealed.licenses == (3,)

    async def test_a_keeper_that_is_down_is_passed_over(self, world: World) -> None:
        world.node(3)
        world.down = {KEEPERS[0]}
        assert (await world.client().seal_new(spec(), VALUES, slots=1, spares=0)).licenses == (3,)
        world.down = set(KEEPERS)
        with pytest.raises(SdkError, match="connection refused"):
            await world.client().seal_new(spec(), VALUES, slots=1, spares=0)

    async def test_a_delegate_seals_for_its_payer(self, world: World) -> None:
        world.node(3)
        other = to_checksum(b"\xab" * 20)
        sealed = await world.client().seal_new(spec(), VALUES, slots=1, spares=0, payer=other)
        assert opened(sealed, 3, other) == VALUES

    async def test_no_more_than_boxes_fit_a_spec(self, world: World) -> None:
        with pytest.raises(SdkError, match=f"may be {MAX_BOXES} together"):
            await world.client().seal_new(spec(), VALUES, slots=200, spares=100)
        assert world.asked == []

    @pytest.mark.parametrize(
        ("values", "reason"),
        [({}, "give its value with --secret token"), (VALUES | {"b": "x"}, "remove --secret b")],
    )
    async def test_values_must_be_those_that_the_spec_uses(
        self, world: World, values: dict[str, str], reason: str
    ) -> None:
        with pytest.raises(SdkError, match=reason):
            await world.client().seal_new(spec(), values, slots=1)

    async def test_a_spec_without_secrets_is_left_as_it_is(self, world: World) -> None:
        plain = spec(env={})
        sealed = await world.client().seal_new(plain, {}, slots=1)
        assert (sealed.spec, sealed.licenses) == (plain, ())
        assert world.asked == []

    async def test_secrets_of_siblings_and_sources_are_sealed_too(self, world: World) -> None:
        world.node(3, runners=("car", "war"))
        sibling = {
            "name": "cache",
            "runner": "car",
            "source": {
                "image": {
                    "reference": "registry.test/cache:1",
                    "credentials": {"username": "me", "secret": "registry"},
                }
            },
            "resources": {"cpu_milli": 10, "memory_mb": 10, "storage_mb": 10},
        }
        values = VALUES | {"registry": "word"}
        found = spec(siblings=[sibling])
        with pytest.raises(SpecError, match="not sealed"):
            encode_spec(found)
        sealed = await world.client().seal_new(found, values, slots=1, spares=0)
        assert opened(sealed, 3) == values
        encode_spec(sealed.spec)


class TestWhatAKeeperShows:
    """A keeper may lie: to read the secrets of others with nodes of its friends."""

    async def refused(self, world: World, found: Spec | None = None) -> str:
        with pytest.raises(SdkError) as caught:
            await world.client().seal_new(found or spec(), VALUES, slots=1, spares=0)
        return str(caught.value)

    async def test_a_profile_that_the_chain_does_not_name(self, world: World) -> None:
        world.node(3)
        world.licenses[3].profile_hash = b"\x01" * 32
        assert "announces another profile" in await self.refused(world)

    async def test_a_profile_of_a_key_that_is_not_linked(self, world: World) -> None:
        world.node(3)
        world.shown = [profile(3, key=keccak(b"stranger"))]
        assert "another node is linked" in await self.refused(world)

    async def test_a_profile_that_its_node_did_not_sign(self, world: World) -> None:
        found = world.node(3)
        world.shown = [found.model_copy(update={"tags": ("gpu",)})]
        assert "not signed by its node" in await self.refused(world)

    async def test_a_profile_of_another_chain(self, world: World) -> None:
        world.node(3, chain_id=1)
        assert "of chain 1" in await self.refused(world)

    async def test_a_license_that_is_none_or_an_oracle_s(self, world: World) -> None:
        world.node(3)
        for kind in (0, ORACLE):
            world.licenses[3].kind = kind
            assert "no node license" in await self.refused(world)

    async def test_a_license_that_is_not_eligible(self, world: World) -> None:
        world.node(3)
        world.licenses[3].eligible = False
        assert "not eligible" in await self.refused(world)

    async def test_a_node_that_drains(self, world: World) -> None:
        world.node(3, resources=Resources(cpu_milli=0, memory_mb=0, storage_mb=0))
        assert "no new work" in await self.refused(world)

    async def test_a_node_that_the_payer_excluded(self, world: World) -> None:
        """It would never be placed, and could read the secrets all the same."""
        world.node(3)
        for rules in ({"exclude": ["REG:EU"]}, {"tags": ["REG:US"]}):
            assert "its tags" in await self.refused(world, spec(placement=rules))
        assert "no runner car" in await self.refused(world, spec(runner="car"))

    async def test_a_false_profile_does_not_hide_the_good_ones(self, world: World) -> None:
        world.node(3)
        world.node(4)
        world.shown[0] = world.shown[0].model_copy(update={"tags": ("gpu",)})
        sealed = await world.client().seal_new(spec(), VALUES, slots=1, spares=0)
        assert sealed.licenses == (4,)


class TestRevision:
    async def test_it_is_sealed_for_those_in_place_and_for_spares(self, world: World) -> None:
        for license_id in range(1, 7):
            world.node(license_id)
        world.placed = [2, 5]
        world.shown.sort(key=lambda one: one.license_id not in world.placed)
        sealed = await world.client().seal_revision(1, spec(), VALUES, spares=2)
        assert sealed.licenses == (1, 2, 3, 5)
        assert sealed.left_out == {}
        assert world.asked[0].placed == (2, 5)

    async def test_one_in_place_counts_though_it_takes_no_new_work(self, world: World) -> None:
        nothing = Resources(cpu_milli=0, memory_mb=0, storage_mb=0)
        for license_id in (2, 5):
            world.node(license_id, resources=nothing)
            world.licenses[license_id].eligible = False
        world.placed = [2, 5]
        sealed = await world.client().seal_revision(1, spec(), VALUES, spares=0)
        assert sealed.licenses == (2, 5)

    async def test_one_that_cannot_be_sealed_for_is_left_out_and_replaced(
        self, world: World
    ) -> None:
        for license_id in (2, 3, 4, 5):
            world.node(license_id)
        world.placed = [2, 5]
        world.licenses[5].profile_hash = b"\x01" * 32
        sealed = await world.client().seal_revision(1, spec(), VALUES, spares=1)
        assert sealed.licenses == (2, 3, 4)
        assert list(sealed.left_out) == [5]

    async def test_a_job_that_waits_has_none_in_place(self, world: World) -> None:
        world.job = replace(JOB, active=0)
        world.placed = [99]  # must not be asked for
        for license_id in (2, 3):
            world.node(license_id)
        sealed = await world.client().seal_revision(1, spec(), VALUES, spares=0)
        assert sealed.licenses == (2, 3)


class TestKept:
    async def test_boxes_of_the_job_are_kept(self, world: World) -> None:
        world.node(3)
        first = await world.client().seal_new(spec(), VALUES, slots=1, spares=0)
        data = encode_spec(first.spec)
        world.job = replace(JOB, spec_hash=keccak(data))
        world.specs = {f"/specs/0x{keccak(data).hex()}": data}
        kept = await world.client().keep_sealed(1, spec(name="hello-2"))
        assert kept.licenses == (3,)
        assert kept.spec.name == "hello-2"
        assert opened(kept, 3) == VALUES
        more = spec(env={"A": {"secret": "token"}, "B": {"secret": "other"}})
        with pytest.raises(SdkError, match="--secret other"):
            await world.client().keep_sealed(1, more)

    async def test_a_spec_without_secrets_asks_nobody(self, world: World) -> None:
        found = await world.client().keep_sealed(1, spec(env={}))
        assert found.spec.secrets is None
