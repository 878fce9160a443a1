"""Placements by a committee of four: leaders, followers, and what neither of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from books_support import CALENDAR, ESCROW, ISSUER, MEMBER_KEYS, MEMBERS, WINDOW, Chain
from http_support import FakeEndpoints
from rpc_support import BlockRpc

from workdeed.chain.bindings import committee, desk, escrow, licenses
from workdeed.chain.bindings.escrow import JobEscrow
from workdeed.chain.books import Books
from workdeed.chain.clock import ChainClock
from workdeed.chain.keys import LocalSigner
from workdeed.intent import encode_spec, load_spec
from workdeed.keeper.effects import PlannedEffect
from workdeed.keeper.journal import PlacementJournal
from workdeed.keeper.logs import OnceLog, get_log
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.placements import (
    SIGNED_TURNS,
    TOO_EARLY,
    Following,
    Leading,
    Member,
    NotLeaderError,
    TooEarlyError,
    Tools,
    turn_at,
)
from workdeed.keeper.reach import AT_ONCE
from workdeed.keeper.snapshots import Snapshots, Strikes
from workdeed.keeper.specs import SpecReader, SpecStore
from workdeed.keeper.view import View
from workdeed.placement import Placement, PlacementRefusedError, Profiles, choose, queue
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, ESCROW_DOMAIN, Domain, placement_digest
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import NodeProfile, PlacementProposal, Resources, sign
from workdeed.protocol.signing import address_of, public_key_of, recover
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError, StatusError

CHAIN_ID = 31_337
COMMITTEE = Domain(COMMITTEE_DOMAIN, CHAIN_ID, ESCROW)
DOMAIN = Domain(ESCROW_DOMAIN, CHAIN_ID, ESCROW)
TURN = 10.0
SPEC = encode_spec(
    load_spec(
        {
            "name": "hello",
            "class_id": 1,
            "runner": "war",
            "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
            "run": ["true"],
            "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
        }
    )
)

Prepare = Callable[[Books, PlacementProposal], Awaitable[None]]


@dataclass
class Desk:
    """Takes what is planned."""

    effects: list[PlannedEffect] = field(default_factory=list)

    async def plan(self, view: View, effect: PlannedEffect) -> None:
        self.effects.append(effect)


@dataclass
class Keeper:
    """One member of the committee."""

    leading: Leading
    following: Following
    desk: Desk
    journal: PlacementJournal


class Network:
    """A chain, four members and their nodes, joined by scripted HTTP."""

    def __init__(self, folder: Path, once: OnceLog, seats: int = 4) -> None:
        self.chain = Chain()
        self.chain.found(seats)
        self.endpoints = FakeEndpoints()
        self.profiles = Profiles(COMMITTEE)
        self.specs = SpecStore(folder / "specs")
        self.specs.put(keccak(SPEC), SPEC)
        self.struck: dict[tuple[int, int], int] = {}
        self.rpc = BlockRpc(self.chain)
        self.where: dict[int, str] = {}
        self._folder, self._once = folder, once
        for seat in range(seats):
            self.chain.log(licenses.ProfileSet(1_001 + seat, bytes(32), f"http://oracle{seat}"))
        self.keepers = [self._keeper(seat) for seat in range(seats)]

    def node(self, license_id: int, owner: int = 0, up: bool = True) -> None:
        """Add a node that offers enough for four slots."""
        key = keccak(b"node %d" % license_id)
        profile = sign(
            NodeProfile(
                chain_id=CHAIN_ID,
                license_id=license_id,
                node=address_of(key),
                resources=Resources(cpu_milli=2_000, memory_mb=4_096, storage_mb=8_192),
                tags=(),
                runners=("war",),
                public_key=public_key_of(key),
            ),
            COMMITTEE,
            key,
        )
        self.profiles.add(profile)
        endpoint = f"http://node{license_id}"
        self.chain.license(license_id, endpoint, owner)
        self.chain.log(
            licenses.NodeUnlinked(license_id, self.chain.books.licenses[license_id].node)
        )
        self.chain.log(licenses.NodeLinked(license_id, profile.node, "0x"))
        self.chain.log(licenses.ProfileSet(license_id, profile.profile_hash, endpoint))
        self.up(license_id, up)

    def up(self, license_id: int, is_up: bool) -> None:
        """Let a node answer or not."""
        key = ("GET", f"http://node{license_id}/healthz")
        self.endpoints.handlers.pop(key, None)
        if is_up:
            self.endpoints.on(*key, b"{}")

    def member_up(self, seat: int, is_up: bool = True) -> None:
        """Let a member answer proposals or not."""
        key = ("POST", f"http://oracle{seat}/placements")
        self.endpoints.handlers.pop(key, None)
        if is_up:
            self.endpoints.on(*key, self.answer(seat))

    def answer(self, seat: int) -> Callable[[bytes], Awaitable[bytes]]:
        async def answer(body: bytes) -> bytes:
            try:
                proposal = PlacementProposal.parse(body)
                return (await self.keepers[seat].following.answer(proposal)).to_json()
            except (NotLeaderError, TooEarlyError, PlacementRefusedError) as error:
                raise EndpointError(str(error)) from error

        return answer

    def clients(self) -> tuple[Endpoints, Endpoints]:
        """Return how one keeper reaches members and nodes."""
        return self.endpoints, self.endpoints

    def known(self, seat: int) -> tuple[Profiles, Prepare]:
        """Return the profiles that a member holds, and what fetches others for a proposal."""
        return self.profiles, _nothing

    def leader(self, turn: int) -> Keeper:
        """Return who leads a turn of the current window."""
        return self.keepers[(self.chain.window + turn) % len(self.keepers)]

    async def lead(self, turn: int = 0) -> list[PlannedEffect]:
        """Go to a turn of the window, let its leader work, and return what it planned."""
        start = CALENDAR.start(self.chain.window)
        if self.chain.heads[-1].timestamp < start:
            self.chain.timestamp = start - 1
            self.chain.mine()
        self.chain.timestamp = start + int(turn * TURN) + 1
        self.chain.mine()
        keeper = self.leader(turn)
        before = len(keeper.desk.effects)
        await keeper.leading.run(self.chain.view())
        return keeper.desk.effects[before:]

    def _keeper(self, seat: int) -> Keeper:
        signer = LocalSigner(MEMBER_KEYS[seat])
        journal = PlacementJournal(self._folder / f"placements{seat}.db", signer.address)
        members, nodes = self.clients()
        profiles, prepare = self.known(seat)
        tools = Tools(
            snapshots=Snapshots(
                self.rpc,
                self.chain.history,
                CALENDAR,
                profiles,
                SpecReader(self.specs),
                self._strikes,
                2,
            ),
            journal=journal,
            addresses=AddressBook(self.where),
            members=members,
            nodes=nodes,
            clock=_Clock(self.chain),
            log=get_log(),
            once=self._once,
            metrics=Metrics(),
        )
        member, desk = Member(signer, DOMAIN, TURN), Desk()
        leading = Leading(JobEscrow(ESCROW), member, tools, desk)  # type: ignore[arg-type]
        following = Following(member, tools, leading, self.chain.view, prepare)
        return Keeper(leading, following, desk, journal)

    async def _strikes(self, _: Books) -> Strikes:
        return self.struck


class _Clock(ChainClock):
    """Shows the time of the test's chain."""

    def __init__(self, chain: Chain) -> None:
        super().__init__(CALENDAR, max_drift=0)
        self._chain = chain

    def now(self) -> float:
        return self._chain.timestamp


async def _nothing(_: Books, __: PlacementProposal) -> None:
    """There is nothing to fetch."""


@pytest.fixture
def network(tmp_path: Path, once: OnceLog) -> Network:
    """Four members that all answer, three nodes of two operators, and a job of two slots."""
    made = Network(tmp_path, once)
    for seat in range(4):
        made.member_up(seat)
    made.node(1, owner=0)
    made.node(2, owner=1)
    made.node(3, owner=1)
    made.chain.open_job(1, slots=2, spec=SPEC)
    return made


def arguments(network: Network, effect: PlannedEffect) -> tuple[int, list[int], list[str]]:
    """Return the window, the licenses and the signers of a planned placement."""
    from eth_abi import decode

    types = ["uint256"] * 4 + ["uint256[]", "uint256[]", "bytes"]
    job_id, round_, window, revision, release, assign, packed = decode(types, effect.call.data[4:])
    epoch = network.chain.books.committee_epoch
    digest = placement_digest(DOMAIN, job_id, round_, window, revision, release, assign, epoch)
    signers = [recover(digest, packed[at : at + 65]) for at in range(0, len(packed), 65)]
    return window, list(assign), signers


async def test_the_leader_places_with_a_quorum(network: Network) -> None:
    (effect,) = await network.lead()
    window, assign, signers = arguments(network, effect)
    assert window == network.chain.window
    assert len(assign) == 2
    assert len(signers) == 3
    assert signers == sorted(signers, key=str.lower)
    assert set(signers) < set(MEMBERS)
    assert not effect.done(network.chain.books)
    network.chain.place(1, assign)
    assert effect.done(network.chain.books)
    assert await network.lead(turn=1) == []


async def test_a_member_that_reads_later_is_asked_again(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workdeed.keeper.placements.EARLY_PAUSE", 0)
    answer = network.answer(0)
    early = [StatusError("too early", TOO_EARLY), StatusError("too early", TOO_EARLY)]

    async def later(body: bytes) -> bytes:
        if early:
            raise early.pop()
        return await answer(body)

    network.member_up(2, False)
    network.member_up(3, False)
    network.endpoints.on("POST", "http://oracle0/placements", later)
    assert await network.lead() == []
    assert early == []
    network.member_up(2)
    network.member_up(3)
    assert len(await network.lead(turn=1)) == 1


async def test_a_refusal_is_not_asked_again(network: Network) -> None:
    asked: list[bytes] = []

    def refuse(body: bytes) -> bytes:
        asked.append(body)
        raise StatusError("round: another placement was signed", 409)

    for seat in (0, 2, 3):
        network.endpoints.on("POST", f"http://oracle{seat}/placements", refuse)
    assert await network.lead() == []
    assert len(asked) == 3


async def test_a_fault_at_one_node_keeps_no_other_from_its_place(
    network: Network, log_lines: list[dict[str, object]]
) -> None:
    def broken(_: bytes) -> bytes:
        raise RuntimeError("no such thing")

    network.endpoints.on("GET", "http://node2/healthz", broken)
    (effect,) = await network.lead()
    _, assign, _ = arguments(network, effect)
    assert sorted(assign) == [1, 3]
    reasons = {line["where"]: line["reason"] for line in log_lines if line["event"] == "trouble"}
    assert set(reasons) == {"health of license 2"}


async def test_a_fault_at_one_member_costs_no_other_signature(network: Network) -> None:
    def broken(_: bytes) -> bytes:
        raise RuntimeError("no such thing")

    network.endpoints.on("POST", "http://oracle0/placements", broken)
    assert len(await network.lead()) == 1


async def test_a_fault_at_one_job_leaves_the_others_their_turn(
    network: Network, log_lines: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(view: object, job_id: int, **kwargs: Any) -> object:
        if job_id == 1:
            raise RuntimeError("no such thing")
        return choose(view, job_id, **kwargs)  # type: ignore[arg-type] # it is a view

    network.chain.open_job(2, slots=1, spec=SPEC)
    monkeypatch.setattr("workdeed.keeper.placements.choose", broken)
    (effect,) = await network.lead()
    assert effect.key.startswith("place:2:")
    (trouble,) = [line for line in log_lines if line["event"] == "trouble"]
    assert trouble["where"] == "placement of job 1"
    leader = network.leader(0).leading.tools.metrics.registry.get_sample_value
    assert leader("workdeed_duty_failures_total", {"duty": "placements"}) == 1


async def test_two_operators_share_a_job(network: Network) -> None:
    (effect,) = await network.lead()
    _, assign, _ = arguments(network, effect)
    owners = {network.chain.books.licenses[one].owner for one in assign}
    assert len(owners) == 2


async def test_only_the_leader_of_a_turn_proposes(network: Network) -> None:
    network.chain.timestamp = CALENDAR.start(1) + 1
    network.chain.mine()
    for keeper in network.keepers:
        await keeper.leading.run(network.chain.view())
    assert [len(one.desk.effects) for one in network.keepers] == [0, 1, 0, 0]


async def test_nobody_leads_in_the_second_half(network: Network) -> None:
    clock = network.keepers[0].leading.tools.clock
    network.chain.timestamp = CALENDAR.start(1) + WINDOW // 2 - 1
    assert turn_at(clock, 1, TURN) == 4
    network.chain.timestamp += 1
    assert turn_at(clock, 1, TURN) is None
    for keeper in network.keepers:
        await keeper.leading.run(network.chain.view())
        assert keeper.desk.effects == []


async def test_without_a_quorum_nothing_is_sent_and_the_next_leader_gets_it_done(
    network: Network, log_lines: list[dict[str, object]]
) -> None:
    network.member_up(0, False)
    network.member_up(2, False)
    assert await network.lead() == []
    assert "2 of 3 signatures" in str(log_lines[-1]["reason"])
    network.member_up(0)
    network.member_up(2)
    # Members 1 and 3 signed: the leader of turn 1, member 2, did not and goes ahead.
    (effect,) = await network.lead(turn=1)
    assert len(arguments(network, effect)[2]) == 3


async def test_a_member_leaves_time_to_a_placement_that_it_signed(network: Network) -> None:
    assert len(await network.lead()) == 1
    assert await network.lead(turn=1) == []
    assert len(await network.lead(turn=SIGNED_TURNS)) == 1


async def test_silent_nodes_are_skipped(network: Network) -> None:
    network.up(1, False)
    (effect,) = await network.lead()
    assert sorted(arguments(network, effect)[1]) == [2, 3]


async def test_more_skips_than_faults_are_checked(network: Network) -> None:
    network.node(4, owner=2)
    network.node(5, owner=3)
    proposal = await proposal_of(network, skipped=(1, 2))
    with pytest.raises(PlacementRefusedError, match="skipped"):
        await network.keepers[0].following.answer(proposal)
    network.up(1, False)
    network.up(2, False)
    assert await network.keepers[0].following.answer(proposal)


async def test_a_follower_asks_only_about_skips_that_count(network: Network) -> None:
    network.node(4, owner=2)
    network.chain.freeze(4)
    network.endpoints.asked.clear()
    assert await network.keepers[0].following.answer(await proposal_of(network, skipped=(1, 4)))
    assert network.endpoints.asked == []


async def test_more_skips_than_can_be_checked_at_once_are_asked_for_again(
    network: Network,
) -> None:
    """One after the other, they took longer than the leader waits."""
    silent = tuple(range(10, 10 + AT_ONCE + 5))
    for license_id in silent:
        network.node(license_id, up=False)
    proposal = await proposal_of(network, skipped=silent)
    follower = network.keepers[0].following
    with pytest.raises(TooEarlyError, match="skipped: 5 of 37 nodes could not be asked"):
        await follower.answer(proposal)
    assert await follower.answer(proposal)
    healths = [url for method, url in network.endpoints.asked if url.endswith("/healthz")]
    assert len(healths) == len(set(healths)) == len(silent)


async def test_many_silent_nodes_cost_the_leader_no_more_time_than_a_few(
    network: Network,
) -> None:
    """It asked one after the other, each for the whole timeout."""
    network.chain.open_job(2, slots=1, spec=SPEC)
    for license_id in range(10, 30):
        network.node(license_id, owner=license_id % 4)
    await proposal_of(network)  # the window has begun
    leader = network.keepers[1].leading
    snapshot = await leader.tools.snapshots.current(1)
    *silent, last = queue(snapshot, 2, 99)

    waits = under_way = 0

    async def mute(_: bytes) -> bytes:
        nonlocal waits, under_way
        waits += under_way == 0
        under_way += 1
        await asyncio.sleep(0.01)
        under_way -= 1
        raise EndpointError("no answer")

    for license_id in silent:
        network.endpoints.on("GET", f"http://node{license_id}/healthz", mute)
    found = await leader._choose(snapshot, 2)
    assert found == (Placement((), (last,)), tuple(sorted(silent)))
    # For the first one, and then for all others at once.
    assert waits == 2
    assert len(network.endpoints.asked) == len(silent) + 1


async def test_too_few_nodes_wait(network: Network) -> None:
    network.chain.open_job(2, slots=4, spec=SPEC)
    effects = await network.lead()
    assert [one.key for one in effects] == ["place:1:0:1"]
    network.chain.place(1, [1, 2])
    network.node(4)
    network.chain.to_window(2)
    assert [one.key for one in await network.lead()] == ["place:2:0:2"]


async def test_a_new_job_is_placed_within_the_turn(network: Network) -> None:
    assert len(await network.lead()) == 1
    network.chain.open_job(2, slots=1, spec=SPEC)
    await network.leader(0).leading.run(network.chain.view())
    assert [one.key for one in network.leader(0).desk.effects] == ["place:1:0:1", "place:2:0:1"]


async def test_a_license_that_earns_nothing_is_replaced(network: Network) -> None:
    network.chain.place(1, [1, 2])
    network.chain.to_window(4)
    assert await network.lead() == []
    network.struck = {(1, 2): 2}
    (effect,) = await network.lead(turn=1)
    assert arguments(network, effect)[1] == [3]


async def test_a_license_that_lost_its_standing_is_replaced(network: Network) -> None:
    network.chain.place(1, [1, 2])
    network.chain.to_window(4)
    network.chain.freeze(1)
    (effect,) = await network.lead()
    assert arguments(network, effect)[1] == [3]


async def test_a_license_whose_bond_fell_below_the_minimum_is_replaced(network: Network) -> None:
    network.chain.place(1, [1, 2])
    network.chain.to_window(4)
    network.chain.bond(2, False)
    (effect,) = await network.lead()
    assert arguments(network, effect)[1] == [3]


async def test_a_scaled_job_gets_another_license(network: Network) -> None:
    network.chain.place(1, [1, 2])
    network.chain.to_window(4)
    network.chain.log(desk.JobScaled(1, 4, 3, 1, 1, 0, ()))
    (effect,) = await network.lead()
    assert arguments(network, effect)[1] == [3]


async def test_while_the_escrow_is_paused_nobody_leads(network: Network) -> None:
    network.chain.log(escrow.Paused(ISSUER, CALENDAR.start(2)))
    assert await network.lead() == []
    network.chain.to_window(2)
    assert len(await network.lead()) == 1


async def test_a_batch_job_is_told_of_and_passed_over(
    network: Network, log_lines: list[dict[str, object]]
) -> None:
    network.chain.open_job(2, spec=SPEC, kind=escrow.BATCH)
    (effect,) = await network.lead()
    assert effect.key.startswith("place:1:")
    assert any("batch job" in str(line.get("reason")) for line in log_lines)


async def proposal_of(
    network: Network, seat: int = 1, skipped: tuple[int, ...] = (), **changes: object
) -> PlacementProposal:
    """Return a proposal as a leader of window 1 would sign it, with some changes."""
    network.chain.timestamp = CALENDAR.start(1) + 1
    network.chain.mine()
    keeper = network.keepers[seat]
    view = network.chain.view()
    snapshot = await keeper.leading.tools.snapshots.current(1)
    placement = choose(snapshot, 1, skipped=skipped)
    assert placement is not None
    fields: dict[str, object] = {
        "escrow": ESCROW,
        "job_id": 1,
        "round": 0,
        "window": 1,
        "revision": 0,
        "release": placement.release,
        "assign": placement.assign,
        "committee_epoch": view.books.committee_epoch,
        "block_hash": snapshot.block_hash,
        "skipped": skipped,
        "member": MEMBERS[seat],
    }
    proposal = PlacementProposal.model_validate(fields | changes)
    return sign(proposal, DOMAIN, MEMBER_KEYS[seat])


async def test_a_follower_signs_the_right_proposal_again_and_again(network: Network) -> None:
    proposal = await proposal_of(network)
    follower = network.keepers[0].following
    first = await follower.answer(proposal)
    assert first.verify(DOMAIN, proposal) == MEMBERS[0]
    assert await follower.answer(proposal) == first


async def test_neighbouring_turns_are_led_too_since_clocks_differ(network: Network) -> None:
    follower = network.keepers[3].following
    for seat in (0, 1, 2):
        assert await follower.answer(await proposal_of(network, seat))
    with pytest.raises(NotLeaderError, match="does not lead turn 0"):
        await follower.answer(await proposal_of(network, 3))


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"assign": (3, 1)}, PlacementRefusedError, "assign"),
        ({"release": (1,), "assign": (2, 3)}, PlacementRefusedError, "release"),
        ({"revision": 1}, PlacementRefusedError, "round"),
        ({"round": 1}, TooEarlyError, "job_id"),
        ({"job_id": 9}, TooEarlyError, "job_id"),
        ({"window": 2}, TooEarlyError, "window"),
        ({"committee_epoch": 9}, PlacementRefusedError, "committee_epoch"),
        ({"block_hash": keccak(b"nowhere")}, TooEarlyError, "block_hash"),
    ],
)
async def test_a_follower_signs_nothing_else(
    network: Network, changes: dict[str, object], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        await network.keepers[0].following.answer(await proposal_of(network, **changes))


async def test_a_forged_signature_is_no_leaders(network: Network) -> None:
    proposal = await proposal_of(network)
    forged = proposal.model_copy(update={"signature": (await proposal_of(network, 0)).signature})
    with pytest.raises(NotLeaderError, match="signature"):
        await network.keepers[0].following.answer(forged)


async def test_a_follower_never_signs_two_placements_of_a_round(network: Network) -> None:
    follower = network.keepers[0].following
    await follower.answer(await proposal_of(network))
    network.up(1, False)
    other = await proposal_of(network, skipped=(1,))
    with pytest.raises(PlacementRefusedError, match="another placement was signed"):
        await follower.answer(other)


async def test_in_the_second_half_nothing_is_signed(network: Network) -> None:
    proposal = await proposal_of(network)
    network.chain.timestamp += WINDOW // 2
    with pytest.raises(NotLeaderError, match="first half"):
        await network.keepers[0].following.answer(proposal)


async def test_without_a_seat_nothing_is_signed_or_led(network: Network) -> None:
    proposal = await proposal_of(network)
    network.chain.log(committee.SeatRemoved(0, 1_001, MEMBERS[0], 5))
    with pytest.raises(NotLeaderError, match="has no seat"):
        await network.keepers[0].following.answer(proposal)
    await network.keepers[0].leading.run(network.chain.view())
    assert network.keepers[0].desk.effects == []


async def test_a_committee_of_one_needs_nobody(tmp_path: Path, once: OnceLog) -> None:
    network = Network(tmp_path, once, seats=1)
    network.node(1)
    network.chain.open_job(1, spec=SPEC)
    (effect,) = await network.lead()
    assert arguments(network, effect)[2] == [MEMBERS[0]]
