"""Who may decide what, how it is announced, and how long one waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from governance_support import (
    DELAY,
    GOVERNOR,
    NOW,
    PROPOSER,
    STRANGER,
    SUITE,
    TIMELOCK,
    FakeTimelock,
    address,
    sent_by,
    session_of,
)

from workdeed.chain.bindings.timelock import (
    DONE,
    NO_OPERATION,
    CallScheduled,
    RoleGranted,
    TimelockCall,
    operation_id,
    role_id,
)
from workdeed.sdk import governance as module
from workdeed.sdk.errors import NotPermittedError, RefusedError, SdkError
from workdeed.sdk.governance import Governance
from workdeed.sdk.operations import READY, WAITING

CALL = SUITE.registry.set_guardian(address(0x77))
ANNOUNCED = TimelockCall(CALL.to, 0, CALL.data)


def salted(number: int, predecessor: bytes = NO_OPERATION) -> bytes:
    """Return the id of the call's operation with a numbered salt."""
    return operation_id(ANNOUNCED, predecessor, number.to_bytes(32, "big"))


async def test_the_governor_acts_at_once() -> None:
    session = session_of(FakeTimelock(governor=GOVERNOR), GOVERNOR)
    decision = await Governance(session).act(CALL)
    assert (decision.operation_id, decision.ready_at) == (None, None)
    assert sent_by(session) == [CALL]
    assert await Governance(session).delay() == 0


async def test_where_no_timelock_is_the_governor_acts_at_once() -> None:
    session = session_of(FakeTimelock(governor=GOVERNOR), GOVERNOR, without=["Timelock"])
    assert (await Governance(session).act(CALL)).operation_id is None
    with pytest.raises(SdkError, match="timelock: this deployment has none"):
        await Governance(session).operations()


async def test_a_proposer_announces_what_the_timelock_decides() -> None:
    rpc = FakeTimelock(ready={})
    session = session_of(rpc)
    decision = await Governance(session).act(CALL)
    assert decision.operation_id == salted(0)
    assert sent_by(session) == [TIMELOCK.schedule(ANNOUNCED, NO_OPERATION, bytes(32), DELAY)]
    assert await Governance(session).takes_effect_at() == NOW + DELAY


async def test_what_only_the_timelock_may_is_announced_whoever_governs() -> None:
    session = session_of(FakeTimelock(governor=GOVERNOR))
    call = TIMELOCK.grant_role("canceller", STRANGER)
    decision = await Governance(session).act(call)
    assert decision.operation_id is not None
    assert sent_by(session)[0].name == "Timelock.schedule"


@pytest.mark.parametrize(
    ("governor", "names"),
    [
        (GOVERNOR, f"set_guardian: only {GOVERNOR} may do this, not {STRANGER}"),
        (TIMELOCK.address, rf"only its proposers may do this \({PROPOSER}\), not {STRANGER}"),
    ],
)
async def test_others_are_told_who_may(governor: str, names: str) -> None:
    granted = RoleGranted(role_id("proposer"), PROPOSER, address(9))
    dropped = RoleGranted(role_id("proposer"), address(8), address(9))
    rpc = FakeTimelock(events=[granted, dropped], governor=governor)
    session = session_of(rpc, STRANGER)
    with pytest.raises(NotPermittedError, match=names):
        await Governance(session).act(CALL)
    assert sent_by(session) == []


async def test_what_would_be_refused_is_announced_unchecked_only() -> None:
    session = session_of(FakeTimelock(refusal="committee: no bond"))
    with pytest.raises(RefusedError, match=r"set_guardian: .* not bonded enough.* unchecked") as it:
        await Governance(session).act(CALL)
    assert it.value.reason == "committee: no bond"
    assert sent_by(session) == []
    assert (await Governance(session).act(CALL, check=False)).operation_id == salted(0)


async def test_nothing_is_announced_twice_by_mistake() -> None:
    rpc = FakeTimelock(ready={salted(0): DONE, salted(1): NOW + 5})
    session = session_of(rpc)
    with pytest.raises(SdkError, match=f"0x{salted(1).hex()}: this very call is announced already"):
        await Governance(session).act(CALL)
    rpc.ready[salted(1)] = DONE
    assert (await Governance(session).act(CALL)).operation_id == salted(2)
    given = b"\x55" * 32
    decision = await Governance(session).propose(CALL, salt=given, predecessor=salted(0))
    assert decision.operation_id == operation_id(ANNOUNCED, salted(0), given)


async def test_what_others_sign_is_only_prepared() -> None:
    session = session_of(FakeTimelock(), STRANGER)
    decision = await Governance(session).act(CALL, send=False)
    assert decision.transaction == TIMELOCK.schedule(ANNOUNCED, NO_OPERATION, bytes(32), DELAY)
    assert (decision.operation_id, decision.ready_at) == (salted(0), None)
    direct = session_of(FakeTimelock(governor=GOVERNOR), STRANGER)
    assert (await Governance(direct).act(CALL, send=False)).transaction == CALL
    assert sent_by(session) == sent_by(direct) == []


async def test_a_call_that_the_timelock_does_not_take_is_refused() -> None:
    long = SUITE.licenses.set_profile(1, "x" * 1_024, bytes(32))
    with pytest.raises(SdkError, match="set_profile: it has 1156 bytes, the timelock takes 1024"):
        await Governance(session_of(FakeTimelock())).act(long)


def chain_with(predecessor: bytes, ready_at: int, **changes: Any) -> tuple[FakeTimelock, bytes]:
    """Return a chain on which one operation stands."""
    name = salted(0, predecessor)
    event = CallScheduled(name, 0, *ANNOUNCED, predecessor=predecessor, delay=DELAY)
    return FakeTimelock(events=[event], ready={name: ready_at}, **changes), name


async def test_an_operation_waits_for_its_predecessor() -> None:
    before = b"\x11" * 32
    rpc, name = chain_with(before, NOW, members={"executor": [address(0)]})
    session = session_of(rpc, STRANGER)
    with pytest.raises(SdkError, match=f"it waits for 0x{before.hex()}; execute that first"):
        await Governance(session).execute(name)
    rpc.ready[before] = DONE
    executed = await Governance(session).execute(name)
    assert (executed.state, sent_by(session)[0].name) == (READY, "Timelock.execute")


async def test_an_executor_is_needed_where_not_anyone_is_one() -> None:
    rpc, name = chain_with(NO_OPERATION, NOW, members={"executor": [PROPOSER]})
    with pytest.raises(NotPermittedError, match="only its executors"):
        await Governance(session_of(rpc, STRANGER)).execute(name)
    await Governance(session_of(rpc, PROPOSER)).execute(name)


@pytest.mark.parametrize("act", [Governance.execute, Governance.cancel, Governance.wait])
async def test_an_unknown_operation_is_said_to_be_one(act: Callable[..., Any]) -> None:
    with pytest.raises(SdkError, match="it was never announced"):
        await act(Governance(session_of(FakeTimelock())), b"\x22" * 32)


async def test_waiting_ends_with_the_delay() -> None:
    rpc, name = chain_with(NO_OPERATION, NOW + 3)

    class Ticking(FakeTimelock):
        async def call(self, method: str, params: Any = ()) -> Any:
            self.now += method == "eth_getBlockByNumber"
            return await super().call(method, params)

    ticking = Ticking(events=rpc.events, ready=rpc.ready)
    governance = Governance(session_of(ticking))
    assert (await governance.operation(name)).state == WAITING
    await governance.wait(name, poll_seconds=0)
    assert ticking.now >= NOW + 3
    ticking.ready[name] = DONE
    await governance.wait(name)


async def test_waiting_gives_up_on_a_chain_that_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    rpc, name = chain_with(NO_OPERATION, NOW + 1)
    monkeypatch.setattr(module, "IDLE_SECONDS", -1)
    with pytest.raises(SdkError, match="the chain's clock stands at 2027-01-15T08:00:00Z"):
        await Governance(session_of(rpc)).wait(name, poll_seconds=0)
