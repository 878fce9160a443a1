"""Signed requests: who may ask for what, once, and near the node's clock."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from workdeed.node import requests
from workdeed.node.chain_view import Moment, Standing
from workdeed.node.errors import BusyError, ChainUnsureError, RequestRefusedError, StateError
from workdeed.node.holds import Holds
from workdeed.node.identity import NodeIdentity
from workdeed.node.requests import RequestMemory, Requests
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import sign
from workdeed.protocol.noderequest import (
    READING,
    REQUEST_SECONDS_VALID,
    ROLLOUT,
    Action,
    NodeRequest,
)
from workdeed.protocol.signing import address_of, to_checksum

ESCROW, COMMITTEE = to_checksum(b"\xee" * 20), to_checksum(b"\xcc" * 20)
DOMAIN = Domain(COMMITTEE_DOMAIN, 31_337, COMMITTEE)
LICENSE, JOB = 7, 3
NOW = 1_700_000_000.0
PAYER, DELEGATE, MEMBER, STRANGER = (
    keccak(role) for role in (b"payer", b"delegate", b"member", b"stranger")
)
NOBODY = Standing(is_payer=False, scopes=0, is_member=False)
ACTIONS = list(Action.__args__)  # type: ignore[attr-defined]


@dataclass
class FakeChain:
    """Knows accounts; `trouble` makes it unsure."""

    accounts: dict[str, Standing] = field(
        default_factory=lambda: {
            address_of(PAYER): Standing(is_payer=True, scopes=0, is_member=False),
            address_of(DELEGATE): Standing(is_payer=False, scopes=8, is_member=False),
            address_of(MEMBER): Standing(is_payer=False, scopes=0, is_member=True),
        }
    )
    trouble: str = ""
    asked: int = 0
    gate: asyncio.Event | None = None

    async def moment(self) -> Moment:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble:
            raise ChainUnsureError(self.trouble)
        return Moment(1, bytes(32), int(NOW), 5)

    async def standing(self, moment: Moment, job_id: int, account: str) -> Standing:
        return self.accounts.get(account, NOBODY) if job_id == JOB else NOBODY


@dataclass
class Bench:
    path: Path
    chain: FakeChain = field(default_factory=FakeChain)
    now: float = NOW

    def open(self) -> Requests:
        chain: Any = self.chain
        identity = NodeIdentity(keccak(b"node key"), 31_337, COMMITTEE, LICENSE, b"i" * 16)
        return Requests(identity, ESCROW, chain, self.path, now=lambda: self.now)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "requests.json")


def ask(
    key: bytes = PAYER, action: str = "restart", at: float = NOW, **changes: Any
) -> NodeRequest:
    content = {
        "escrow": ESCROW,
        "job_id": JOB,
        "license_id": LICENSE,
        "revision": 0,
        "action": action,
        "asked_at": int(at * 1_000),
        "account": address_of(key),
    }
    return sign(NodeRequest(**(content | changes)), DOMAIN, key)


async def refused(requests: Requests, request: NodeRequest) -> tuple[int, str]:
    with pytest.raises(RequestRefusedError) as caught:
        await requests.allow(request)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("key", [PAYER, DELEGATE])
async def test_a_payer_and_its_delegate_may_ask_for_everything(
    bench: Bench, key: bytes, action: str
) -> None:
    await bench.open().allow(ask(key, action))


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_member_may_ask_for_what_a_rollout_needs_only(bench: Bench, action: str) -> None:
    if action in ROLLOUT:
        await bench.open().allow(ask(MEMBER, action))
    else:
        status, text = await refused(bench.open(), ask(MEMBER, action))
        assert status == 403
        assert f"may not ask for {action}" in text


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_stranger_may_ask_for_nothing(bench: Bench, action: str) -> None:
    assert (await refused(bench.open(), ask(STRANGER, action)))[0] == 403


@pytest.mark.parametrize("scopes", [0, 1, 2, 4, 16, 1 | 2 | 4 | 16])
async def test_a_delegate_without_the_scope_revise_may_not(bench: Bench, scopes: int) -> None:
    standing = Standing(is_payer=False, scopes=scopes, is_member=False)
    bench.chain.accounts[address_of(DELEGATE)] = standing
    status, text = await refused(bench.open(), ask(DELEGATE, "logs"))
    assert status == 403
    assert "scope revise" in text


async def test_the_payer_of_another_job_may_not(bench: Bench) -> None:
    assert (await refused(bench.open(), ask(job_id=JOB + 1)))[0] == 403


async def test_a_request_for_another_node_is_refused_before_the_chain_is_asked(
    bench: Bench,
) -> None:
    found = bench.open()
    for change in ({"license_id": 8}, {"escrow": to_checksum(b"\xef" * 20)}):
        assert (await refused(found, ask(**change)))[0] == 403
    assert bench.chain.asked == 0


@pytest.mark.parametrize(
    "domain",
    [
        Domain(COMMITTEE_DOMAIN, 1, COMMITTEE),
        Domain(COMMITTEE_DOMAIN, 31_337, to_checksum(b"\xcd" * 20)),
    ],
)
async def test_a_signature_of_another_chain_or_committee_counts_for_nothing(
    bench: Bench, domain: Domain
) -> None:
    request = sign(ask().model_copy(update={"signature": b""}), domain, PAYER)
    assert (await refused(bench.open(), request))[0] == 401
    assert bench.chain.asked == 0


@pytest.mark.parametrize(
    "change",
    [
        {"action": "stop"},
        {"service": "cache"},
        {"argument": "x"},
        {"revision": 1},
        {"account": address_of(STRANGER)},
        {"asked_at": int(NOW * 1_000) + 1},
        {"signature": bytes(65)},
    ],
)
async def test_a_changed_request_is_signed_by_nobody(bench: Bench, change: dict[str, Any]) -> None:
    assert (await refused(bench.open(), ask().model_copy(update=change)))[0] == 401


@pytest.mark.parametrize("off", [REQUEST_SECONDS_VALID + 1, -REQUEST_SECONDS_VALID - 1, 86_400])
async def test_a_clock_that_is_off_is_told(bench: Bench, off: float) -> None:
    status, text = await refused(bench.open(), ask(at=NOW + off))
    assert status == 401
    assert "this node's clock" in text
    for near in (REQUEST_SECONDS_VALID - 1, -REQUEST_SECONDS_VALID + 1):
        await bench.open().allow(ask(action="logs", at=NOW + near))


class TestOnce:
    async def test_what_changes_something_is_done_once_and_in_order(self, bench: Bench) -> None:
        found = bench.open()
        await found.allow(ask(at=NOW))
        for late in (NOW, NOW - 1):
            status, text = await refused(found, ask(at=late))
            assert status == 409
            assert "a later request was taken" in text
        await found.allow(ask(action="stop", at=NOW + 0.001))

    @pytest.mark.parametrize("action", sorted(READING))
    async def test_reading_may_be_repeated(self, bench: Bench, action: str) -> None:
        found = bench.open()
        await found.allow(ask())
        for _ in range(2):
            await found.allow(ask(action=action, at=NOW - 1))
        assert (await refused(found, ask()))[0] == 409

    async def test_each_account_and_job_has_an_order_of_its_own(self, bench: Bench) -> None:
        found = bench.open()
        await found.allow(ask(at=NOW + 5))
        await found.allow(ask(DELEGATE))

    async def test_a_restart_forgets_no_request(self, bench: Bench) -> None:
        await bench.open().allow(ask())
        assert (await refused(bench.open(), ask()))[0] == 409

    async def test_a_refused_request_takes_no_place(self, bench: Bench) -> None:
        found = bench.open()
        await refused(found, ask(STRANGER))
        bench.chain.trouble = "down"
        with pytest.raises(ChainUnsureError):
            await found.allow(ask())
        bench.chain.trouble = ""
        await found.allow(ask())

    async def test_two_copies_at_the_same_time_are_done_once(self, bench: Bench) -> None:
        found = bench.open()
        both = await asyncio.gather(found.allow(ask()), found.allow(ask()), return_exceptions=True)
        assert sorted(type(one).__name__ for one in both) == ["NoneType", "RequestRefusedError"]

    async def test_a_request_that_got_old_while_the_chain_was_read_is_refused(
        self, bench: Bench
    ) -> None:
        bench.chain.gate = asyncio.Event()
        found = bench.open()
        task = asyncio.create_task(found.allow(ask()))
        await asyncio.sleep(0)
        bench.now += REQUEST_SECONDS_VALID + 1
        bench.chain.gate.set()
        with pytest.raises(RequestRefusedError, match="clock"):
            await task


async def test_a_crowd_is_held_off(bench: Bench) -> None:
    bench.chain.gate = asyncio.Event()
    found = bench.open()
    crowd = [asyncio.create_task(found.allow(ask(action="logs"))) for _ in range(requests._WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await found.allow(ask(action="logs"))
    assert bench.chain.asked == requests._AT_ONCE
    bench.chain.gate.set()
    await asyncio.gather(*crowd)
    await found.allow(ask(action="logs"))


class TestMemory:
    KEY = ("0x" + "aa" * 20, 1)

    def test_a_clock_that_is_set_back_lets_nothing_old_through(self, tmp_path: Path) -> None:
        """What is too old is not kept one by one, and must not be repeatable for that."""
        memory = RequestMemory(tmp_path / "requests.json")
        memory.take(self.KEY, 1_000, oldest=0, now=60_000)
        memory.take(("other", 1), 50_000, oldest=40_000, now=60_000)
        for one in (memory, RequestMemory(tmp_path / "requests.json")):
            with pytest.raises(RequestRefusedError):
                one.take(self.KEY, 1_000, oldest=0, now=60_000)
            with pytest.raises(RequestRefusedError):
                one.take(("third", 1), 999, oldest=0, now=60_000)
        memory.take(self.KEY, 1_001, oldest=0, now=60_000)

    def test_it_does_not_grow_for_ever(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(requests, "MAX_REMEMBERED", 3)
        path = tmp_path / "requests.json"
        memory = RequestMemory(path)
        for index in range(10):
            memory.take((f"account {index}", 1), 1_000 + index, oldest=0, now=60_000)
        assert path.stat().st_size < 200
        for index in range(10):
            with pytest.raises(RequestRefusedError):
                memory.take((f"account {index}", 1), 1_000 + index, oldest=0, now=60_000)

    def test_requests_ahead_of_the_clock_shut_nobody_out(
        self, tmp_path: Path, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(requests, "MAX_REMEMBERED", 3)
        memory, now = RequestMemory(tmp_path / "requests.json"), 60_000
        for index in range(3):
            memory.take((f"member {index}", 1), 119_000, oldest=0, now=now)
        with pytest.raises(BusyError, match="clock"):
            memory.take(("member 3", 1), 119_000, oldest=0, now=now)
        for index in range(9):
            memory.take((f"payer {index}", 1), now + index, oldest=0, now=now + index)
        for account, at in (("payer 8", now + 8), ("member 0", 119_000), ("payer 0", now)):
            with pytest.raises(RequestRefusedError):
                memory.take((account, 1), at, oldest=0, now=now + 9)

    def test_a_damaged_file_is_not_taken_for_an_empty_one(self, tmp_path: Path) -> None:
        path = tmp_path / "requests.json"
        for content in ("{", "[]", '{"last": []}', '{"floor": 0, "last": [["a", 1]]}'):
            path.write_text(content)
            with pytest.raises(StateError, match="damaged"):
                RequestMemory(path)


class TestHolds:
    def test_a_stop_is_kept_over_a_restart_until_it_is_forgotten(self, tmp_path: Path) -> None:
        stop = ask(action="stop")
        Holds(tmp_path / "holds").note(stop)
        holds = Holds(tmp_path / "holds")
        (found,) = holds.of(JOB)
        assert found == stop
        assert holds.of(JOB + 1) == []
        assert found.verify(DOMAIN) == address_of(PAYER)
        for action in ("inspect", "resume", "restart"):
            holds.note(ask(action=action))
            assert holds.of(JOB) == [stop]
        later = ask(action="stop", at=NOW + 1)
        holds.note(later)
        assert holds.of(JOB) == [later]
        holds.forget(JOB)
        assert holds.of(JOB) == []

    def test_no_stop_takes_the_place_of_one_by_another_or_of_another_service(
        self, tmp_path: Path
    ) -> None:
        holds = Holds(tmp_path / "holds")
        own, others = ask(action="stop"), ask(action="stop", key=DELEGATE)
        database = ask(action="stop", key=DELEGATE, service="db")
        for stop in (own, others, database):
            holds.note(stop)
        holds.note(ask(action="stop", job_id=10 * JOB))
        assert {one.signature for one in holds.of(JOB)} == {
            one.signature for one in (own, others, database)
        }
        holds.keep(JOB, {(0, "db")})
        assert holds.of(JOB) == [database]
        holds.keep(JOB, ())
        assert holds.of(JOB) == []
        assert holds.of(10 * JOB)

    def test_what_an_earlier_release_kept_is_shown_and_dropped(self, tmp_path: Path) -> None:
        holds, stop = Holds(tmp_path), ask(action="stop")
        for kept in ({(0, "db")}, ()):
            (tmp_path / f"{JOB}.json").write_bytes(stop.to_json())
            assert holds.of(JOB) == [stop]
            holds.keep(JOB, {(0, "main")})
            assert holds.of(JOB) == [stop]
            holds.keep(JOB, kept)
            assert holds.of(JOB) == []

    def test_a_job_that_is_over_leaves_nothing(self, tmp_path: Path) -> None:
        holds = Holds(tmp_path / "holds")
        holds.note(ask(action="stop"))
        holds.forget(JOB)
        holds.forget(JOB)
        assert list((tmp_path / "holds").iterdir()) == []

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / f"{JOB}.json").write_text("{}")
        holds = Holds(tmp_path)
        holds.keep(JOB, {(0, "main")})
        with pytest.raises(StateError, match="remove it"):
            holds.of(JOB)
        holds.keep(JOB, ())
        assert holds.of(JOB) == []

    def test_a_damaged_file_hides_no_other(self, tmp_path: Path) -> None:
        holds, stop = Holds(tmp_path), ask(action="stop")
        holds.note(stop)
        (tmp_path / f"{JOB}-0-main-aa.json").write_text("{}")
        # One that can't be read at all.
        (tmp_path / f"{JOB}-0-main-bb.json").mkdir()
        with structlog.testing.capture_logs() as logs:
            assert holds.of(JOB) == [stop]
        named = [str(line["error"]) for line in logs]
        assert len(named) == 2
        assert "main-aa.json is damaged" in named[0]
