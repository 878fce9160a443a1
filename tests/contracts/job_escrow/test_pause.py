"""The guardian's pause: what it stops, for how long, how often."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_desk.desk import Opening
from tests.contracts.job_escrow.moves import FEES, FORFEITS, PAYMENTS, REFUNDS, Scene, scene
from tests.contracts.system import PolicyTerms, System, event

OPENINGS = ("open_job", "open_job_for", "open_jobs")


@pytest.fixture
def made(system: System) -> Scene:
    """Jobs in every state."""
    return scene(system)


def pause(system: System) -> int:
    """Pause as the guardian; return when it ends."""
    system.escrow.pause(sender=system.guardian)
    return evm.env.timestamp + system.freeze_period


def test_guardian_pauses(system: System) -> None:
    until = pause(system)

    assert event(system.escrow, "Paused") == {"guardian": system.guardian, "until": until}
    again_at = evm.env.timestamp + system.trust.FREEZE_COOLDOWN()
    assert tuple(system.escrow.pause_of()) == (until, again_at)


@pytest.mark.parametrize("role", ["governor", "issuer", "payer", "deployer", "stranger"])
def test_only_the_guardian_pauses(system: System, role: str) -> None:
    with evm.reverts("roles: not the guardian"):
        system.escrow.pause(sender=getattr(system, role))


@pytest.mark.parametrize("opening", OPENINGS)
def test_opening_stops_until_the_last_second(made: Scene, opening: str) -> None:
    system = made.system
    until = pause(system)
    with evm.reverts("escrow: paused"):
        made.moves()[opening]()
    system.wait(until - 1 - evm.env.timestamp)
    with evm.reverts("escrow: paused"):
        made.moves()[opening]()
    system.wait(1)

    made.moves()[opening]()

    assert system.escrow.job_count() == made.running + 1


def test_placing_stops_until_the_last_second(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=2, min_slots=1)
    until = pause(system)
    with evm.reverts("escrow: paused"):
        system.place(job_id, nodes[:1])
    system.wait(until - 1 - evm.env.timestamp)
    with evm.reverts("escrow: paused"):
        system.place(job_id, nodes[:1])
    system.wait(1)

    system.place(job_id, nodes[:1])

    assert system.desk.job(job_id).active == 1


def test_license_is_not_even_released_meanwhile(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:2])
    pause(system)

    with evm.reverts("escrow: paused"):
        system.place(job_id, release=nodes[:1])


@pytest.mark.parametrize("move", [*REFUNDS, *PAYMENTS, *FEES, *FORFEITS])
def test_nothing_that_pays_anybody_stops(made: Scene, move: str) -> None:
    """M12: claims, closes, cancels and refunds go on."""
    system = made.system
    before = system.token.balanceOf(system.escrow.address)
    pause(system)

    made.moves()[move]()

    assert system.token.balanceOf(system.escrow.address) < before


def test_open_jobs_may_still_be_changed(made: Scene) -> None:
    system = made.system
    pause(system)
    payer = {"sender": system.payer}

    system.desk.extend_job(made.running, 1, **payer)
    system.desk.scale_job(made.running, 3, [], **payer)
    system.desk.revise_job(made.running, bytes(32), **payer)
    system.desk.grant(system.stranger, 31, 1, 1, **payer)

    assert system.desk.job(made.running).slots == 3


def test_payer_still_asks_for_a_close_without_a_report(system: System, nodes: list[int]) -> None:
    """M11: the grace runs on while openings are paused."""
    job_id = system.start_job(nodes[:1], windows=1)
    system.to_window(3)
    pause(system)
    system.desk.request_close(job_id, sender=system.payer)
    system.to_window(3 + system.close_grace + 1)

    assert system.desk.close_unattested(job_id) > 0


def test_committee_still_reports(made: Scene) -> None:
    pause(made.system)
    made.system.advance_windows()
    made.system.report()

    assert made.system.committee.final_report()[0] == made.system.now() - 1


def test_pause_is_not_prolonged(system: System) -> None:
    """L23: as with a freeze, the cooldown runs from the start and is several times as long."""
    until = pause(system)
    _, again_at = system.escrow.pause_of()
    assert again_at - evm.env.timestamp >= 4 * system.freeze_period
    for moment in (evm.env.timestamp, until - 1, until, again_at - 1):
        system.wait(moment - evm.env.timestamp)
        with evm.reverts("escrow: pause cooldown"):
            system.escrow.pause(sender=system.guardian)
    assert system.open_job() == 1
    system.wait(1)

    pause(system)

    with evm.reverts("escrow: paused"):
        system.open_job()


def test_new_guardian_inherits_the_cooldown(system: System) -> None:
    pause(system)
    system.trust.set_guardian(system.stranger, sender=system.governor)

    with evm.reverts("escrow: pause cooldown"):
        system.escrow.pause(sender=system.stranger)


def test_pause_counts_no_jobs_and_no_policies(system: System) -> None:
    system.open_job()
    pause(system)

    assert system.escrow.job_count() == 1
    assert system.tariff.add_policy(PolicyTerms(), sender=system.governor) == 2
    with evm.reverts("escrow: paused"):
        system.desk.open_job_for(system.payer, Opening(), sender=system.payer)
    system.wait(system.freeze_period)
    assert system.open_job() == 2
    assert system.desk.job(2).policy_version == 2
