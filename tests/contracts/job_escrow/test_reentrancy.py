"""A token that calls back in the middle of a transfer: escrow and desk are shut meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.job_desk.desk import Opening, Permit
from tests.contracts.job_escrow.moves import ALL, FORFEITS, PULLS, Scene, scene
from tests.contracts.system import (
    FOREVER,
    JOB_LEAF,
    PRICE,
    SERVICE,
    SPEC_HASH,
    deploy_system,
    deployer,
)

Calls = dict[str, tuple[Any, ...]]

BY_DESK = (
    "open_job_for",
    "open_jobs",
    "extend_job",
    "scale_job up",
    "scale_job down",
    "cancel_job",
    "close_unattested",
)
"""The moves that a call of the desk makes."""

APART = ("grant", "bind_escrow", "grant_of")
"""Calls of the desk that never reach the escrow."""


@pytest.fixture
def made() -> Scene:
    """Jobs of a system whose token calls back."""
    return scene(deploy_system(oracles=1, token=deployer("testing/HookToken").deploy(6)))


def escrow_calls(made: Scene) -> Calls:
    """Return the arguments of every call that writes, and of two that read."""
    system = made.system
    money, terms = system.escrow.words_of(made.running)
    opening = (SPEC_HASH, 1, SERVICE, 1, 1, 1, PRICE)
    return {
        "open_job": opening,
        "open_job_for": (system.payer, *opening),
        "place": system.placement(made.running, release=[made.paid]),
        "claim": made.entry(made.unpaid),
        "claim_many": (system.operators[1], [made.entry(made.unpaid)]),
        "forfeit": made.entry(made.outlaw),
        "flush_fees": (1,),
        "amend": (made.running, money, terms, []),
        "revise": (made.running, bytes(32)),
        "close_job": (made.ended, *made.entry(JOB_LEAF)[2:]),
        "pause": (),
        "set_class": (1, 1, True),
        "add_policy": (1, 0),
        "words_of": (made.running,),
        "liabilities": (),
    }


def desk_calls(made: Scene) -> Calls:
    """Return the arguments of every call that writes, and of two that read."""
    system = made.system
    job_id, token = made.running, system.token.address
    permit = Permit(0, FOREVER, 27, bytes(32), bytes(32))
    return {
        "bind_escrow": (system.escrow,),
        "grant": (system.stranger, 1, 1, 1),
        "open_job_for": (token, Opening()),
        "open_jobs": (token, [Opening()]),
        "open_jobs_with_permit": (token, [Opening()], permit),
        "extend_job": (job_id, 1),
        "scale_job": (job_id, 3, []),
        "revise_job": (job_id, bytes(32)),
        "cancel_job": (job_id,),
        "attest_result": (job_id, bytes(32), b""),
        "request_close": (made.abandoned,),
        "close_unattested": (made.abandoned,),
        "job": (job_id,),
        "grant_of": (token, token),
    }


@pytest.mark.parametrize(("contract", "calls"), [("escrow", escrow_calls), ("desk", desk_calls)])
def test_every_call_that_writes_is_tried(
    made: Scene, contract: str, calls: Callable[[Scene], Calls]
) -> None:
    writing = {
        entry["name"]
        for entry in getattr(made.system, contract).abi
        if entry["type"] == "function" and entry["stateMutability"] == "nonpayable"
    }

    assert writing <= calls(made).keys()


def check_shut(made: Scene, contract: evm.Contract, calls: Calls, move: str) -> None:
    """Make a move once for each call, which the token tries to get in during the transfer.

    The lock gives no reason; whatever gets past it goes through or gives one.
    """
    token = made.system.token
    for name, arguments in calls.items():
        data = getattr(contract, name).prepare_calldata(*arguments)
        outside = evm.env.probe(contract, sender=made.system.stranger, data=data)
        assert outside.succeeded or outside.output, f"{name} is malformed and proves nothing"
        with evm.env.anchor():
            token.set_hook(contract, data)
            made.moves()[move]()

            assert token.calls() == (2 if move in FORFEITS else 1)
            assert token.successes() == 0, name
            assert token.response() == b"", name


@pytest.mark.parametrize("move", ALL)
def test_no_call_of_the_escrow_gets_in_during_a_transfer(made: Scene, move: str) -> None:
    check_shut(made, made.system.escrow, escrow_calls(made), move)


@pytest.mark.parametrize("move", ALL)
def test_no_call_of_the_desk_gets_at_the_escrow_during_a_transfer(made: Scene, move: str) -> None:
    calls = desk_calls(made)
    if move not in BY_DESK:
        # The desk is not locked by a call that it has no part in.
        calls = {name: row for name, row in calls.items() if name not in APART}

    check_shut(made, made.system.desk, calls, move)


def test_hook_itself_works(made: Scene) -> None:
    """Else the refusals above would prove nothing: a call to another contract gets through."""
    other = deployer("testing/PlainToken").deploy(6)
    token = made.system.token
    token.set_hook(other, other.mint.prepare_calldata(made.system.stranger, 5))

    for index, move in enumerate(ALL):
        with evm.env.anchor():
            made.moves()[move]()

            assert token.successes() == token.calls() > 0, move
            assert other.balanceOf(made.system.stranger) == 5 * token.calls(), index


def test_what_money_waits_for_may_be_read_meanwhile(made: Scene) -> None:
    committee, token = made.system.committee, made.system.token
    token.set_hook(committee, committee.final_report.prepare_calldata())

    made.moves()["claim"]()

    assert token.succeeded()
    window, root = committee.final_report()
    assert token.response() == window.to_bytes(32, "big") + root


def test_grant_given_during_a_transfer_is_no_use_to_it(made: Scene) -> None:
    """The token grants to itself in the middle of a claim; it has no jobs to change by it."""
    desk, token = made.system.desk, made.system.token
    data = desk.grant.prepare_calldata(token, 31, 2**128, FOREVER - 1)
    token.set_hook(desk, data)

    made.moves()["claim"]()

    assert token.succeeded()
    assert desk.grant_of(token, token)[0] == 31
    assert desk.grant_of(made.system.payer, token)[0] == 0
    with evm.reverts("desk: not granted"):
        desk.cancel_job(made.running, sender=token.address)


@pytest.mark.parametrize("move", PULLS)
def test_deposit_is_owed_before_it_is_pulled(made: Scene, move: str) -> None:
    """M1: whoever looks at the token in the middle sees no escrow that owes more than it has."""
    system = made.system
    token = system.token
    token.set_hook(token, token.balanceOf.prepare_calldata(system.escrow))

    made.moves()[move]()

    during = int.from_bytes(token.response(), "big")
    assert during == system.escrow.liabilities() == token.balanceOf(system.escrow)
