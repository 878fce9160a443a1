"""Reading evidence: nothing is taken that a node did not sign, or an oracle did not count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from workdeed.chain.keys import LocalSigner
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.evidence import Evidence, EvidenceRequest, ProvenAnswer
from workdeed.protocol.figures import UNKNOWN, Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_BODY
from workdeed.protocol.merkle import MerkleTree
from workdeed.protocol.messages import Answer, Observations, SignedObservation, Workload, sign
from workdeed.protocol.signing import address_of, to_checksum
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.evidence import EvidenceReader

ESCROW, COMMITTEE = to_checksum(b"\xee" * 20), to_checksum(b"\xcc" * 20)
DOMAIN = Domain(COMMITTEE_DOMAIN, 31_337, COMMITTEE)
NODE_KEY, PAYER = keccak(b"node"), LocalSigner(keccak(b"payer"))
MEMBERS = [keccak(b"member %d" % index) for index in range(3)]
KEEPERS = tuple(f"http://keeper{index}:8600" for index in range(3))
WINDOW, JOB, NODE = 4, 1, 7
PAIR = Pair(ESCROW, JOB, NODE)


def answer(number: int) -> Answer:
    work = Workload(
        escrow=ESCROW,
        job_id=JOB,
        revision=0,
        spec_hash=b"\x01" * 32,
        commit="",
        state="running",
        healthy=True,
        port=None,
    )
    made = Answer(
        chain_id=31_337,
        license_id=NODE,
        node=address_of(NODE_KEY),
        nonce=number.to_bytes(32, "big"),
        window=WINDOW,
        instance_id=b"\x07" * 16,
        workloads=(work,),
    )
    return sign(made, DOMAIN, NODE_KEY)


@dataclass
class Keeper:
    """An oracle that counted some answers, `per_page` of them on a page."""

    key: bytes
    answers: list[Answer]
    figure: int = 10_000
    per_page: int = 2
    requests: list[EvidenceRequest] = field(default_factory=list)

    @property
    def tree(self) -> MerkleTree:
        return MerkleTree(keccak(one.canonical()) for one in self.answers)

    def observation(self) -> SignedObservation:
        made = SignedObservation(
            window=WINDOW,
            committee_epoch=0,
            snapshot_hash=b"\x02" * 32,
            evidence_root=self.tree.root,
            pairs=(PAIR,),
            figures=(self.figure,),
            member=address_of(self.key),
        )
        return sign(made, DOMAIN, self.key)

    def show(self, request: EvidenceRequest) -> Evidence:
        self.requests.append(request)
        first = request.page * self.per_page
        return Evidence(
            window=WINDOW,
            job_id=JOB,
            license_id=NODE,
            pages=-(-len(self.answers) // self.per_page),
            evidence_root=self.tree.root,
            answers=tuple(
                ProvenAnswer(
                    answer=one.canonical(), proof=tuple(self.tree.proof(keccak(one.canonical())))
                )
                for one in self.answers[first : first + self.per_page]
            ),
        )


class FakeEndpoints(Endpoints):
    """Keepers by address; one that is None is down. The last one keeps the observations."""

    def __init__(self, keepers: dict[str, Keeper | None]) -> None:
        super().__init__(allow_private=True)
        self.keepers = keepers

    async def get(self, base: str, path: str, max_bytes: int = MAX_BODY) -> bytes:
        if base != KEEPERS[-1]:
            raise EndpointError(f"{base}: connection refused")
        assert path == f"/observations/{WINDOW}"
        found = [one.observation() for one in self.keepers.values() if one]
        return Observations(observations=tuple(found)).to_json()

    async def send(
        self, method: str, base: str, path: str, body: bytes, max_bytes: int = MAX_BODY
    ) -> bytes:
        keeper = self.keepers[base]
        if keeper is None:
            raise EndpointError(f"{base}: connection refused")
        assert (method, path) == ("POST", f"/evidence/{WINDOW}")
        return keeper.show(EvidenceRequest.parse(body)).to_json()


@dataclass
class FakeDeployment:
    def domain(self, name: str) -> Domain:
        assert name == COMMITTEE_DOMAIN
        return DOMAIN


class FakeSession:
    """What a reader uses of a session."""

    def __init__(self, keepers: list[Keeper | None]) -> None:
        self.endpoints = FakeEndpoints(dict(zip(KEEPERS, keepers, strict=True)))
        self.deployment = FakeDeployment()
        self.suite: Any = type("Suite", (), {"escrow": type("Escrow", (), {"address": ESCROW})})

    async def keeper_addresses(self) -> tuple[str, ...]:
        return KEEPERS


def reader(keepers: list[Keeper | None]) -> EvidenceReader:
    session: Any = FakeSession(keepers)
    return EvidenceReader(session)


async def test_what_each_oracle_counted_is_read_page_by_page() -> None:
    answers = [answer(number) for number in range(5)]
    keepers = [
        Keeper(MEMBERS[0], answers, 9_900),
        None,
        Keeper(MEMBERS[2], answers[:1], UNKNOWN),
    ]
    shown, troubles = await reader(keepers).read(PAYER, JOB, NODE, WINDOW)

    assert [(one.member, one.figure) for one in shown] == [
        (address_of(MEMBERS[0]), 9_900),
        (address_of(MEMBERS[2]), None),
    ]
    assert [list(one.answers) for one in shown] == [answers, answers[:1]]
    assert troubles == [f"{KEEPERS[1]}: connection refused"]
    assert keepers[0] is not None
    assert [one.page for one in keepers[0].requests] == [0, 1, 2]
    for request in keepers[0].requests:
        assert request.verify(DOMAIN) == PAYER.address


async def test_what_no_member_signed_is_not_taken() -> None:
    class Liar(Keeper):
        def show(self, request: EvidenceRequest) -> Evidence:
            self.answers = [answer(99)]  # after it signed another observation
            return super().show(request)

    shown, troubles = await reader([None, None, Liar(MEMBERS[2], [answer(1)])]).read(
        PAYER, JOB, NODE, WINDOW
    )
    assert shown == []
    assert "no member signed an observation of what it shows" in troubles[-1]


async def test_an_answer_about_something_else_is_not_taken() -> None:
    class Other(Keeper):
        def show(self, request: EvidenceRequest) -> Evidence:
            return super().show(request).model_copy(update={"license_id": NODE + 1})

    shown, troubles = await reader([None, None, Other(MEMBERS[2], [answer(1)])]).read(
        PAYER, JOB, NODE, WINDOW
    )
    assert shown == []
    assert "it answered something else" in troubles[-1]


async def test_pages_without_end_are_not_followed() -> None:
    class Endless(Keeper):
        def show(self, request: EvidenceRequest) -> Evidence:
            return super().show(request).model_copy(update={"pages": 2**40})

    shown, troubles = await reader([None, None, Endless(MEMBERS[2], [answer(1)])]).read(
        PAYER, JOB, NODE, WINDOW
    )
    assert shown == []
    assert "empty page" in troubles[-1]


async def test_evidence_that_changes_between_pages_is_not_taken() -> None:
    class Fickle(Keeper):
        def show(self, request: EvidenceRequest) -> Evidence:
            self.answers = [answer(number + 10 * request.page) for number in range(4)]
            return super().show(request)

    shown, troubles = await reader([None, None, Fickle(MEMBERS[2], [answer(1)])]).read(
        PAYER, JOB, NODE, WINDOW
    )
    assert shown == []
    assert "its evidence changed while it was read" in troubles[-1]


async def test_without_any_observation_nothing_is_read() -> None:
    class Silent(FakeSession):
        async def keeper_addresses(self) -> tuple[str, ...]:
            return KEEPERS[:2]

    session: Any = Silent([Keeper(MEMBERS[0], [answer(1)]), None, None])
    with pytest.raises(EndpointError, match="keeper0:8600: connection refused"):
        await EvidenceReader(session).read(PAYER, JOB, NODE, WINDOW)
