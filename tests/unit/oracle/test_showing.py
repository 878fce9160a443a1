"""Who may see the evidence of a job, and that what is shown is what the member signed."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Awaitable
from pathlib import Path

import pytest

from workdeed.oracle.archive import Archive
from workdeed.oracle.errors import DataMissingError, ForbiddenError, NotYetError
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.showing import MAX_SHOWN_BYTES, VALID_SECONDS, EvidenceDesk
from workdeed.protocol.errors import MerkleError, MessageError, SignatureError
from workdeed.protocol.evidence import Evidence, EvidenceRequest
from workdeed.protocol.limits import MAX_ANSWERS, MAX_LEAVES, MIB
from workdeed.protocol.messages import Answer, Workload, evidence_root, sign
from workdeed.protocol.signing import address_of

from .support import DOMAIN, ESCROW, FIRST_NODE, Sim, View, key_of, with_job

WINDOW = 2
JOB, NODE = 1, FIRST_NODE
NODE_KEY = key_of("node", 0)


class Settled(Archive):
    """An archive that says whether a window is settled."""

    def __init__(self) -> None:
        self.reason = ""

    async def require_settled(self, window: int) -> None:
        if self.reason:
            raise NotYetError(self.reason)


def answer(number: int, job_id: int = JOB, license_id: int = NODE) -> Answer:
    work = Workload(
        escrow=ESCROW,
        job_id=job_id,
        revision=0,
        spec_hash=b"\x01" * 32,
        commit="",
        state="running",
        healthy=True,
        port=None,
    )
    made = Answer(
        chain_id=31_337,
        license_id=license_id,
        node=address_of(NODE_KEY),
        nonce=number.to_bytes(32, "big"),
        window=WINDOW,
        instance_id=b"\x07" * 16,
        workloads=(work,),
    )
    return sign(made, DOMAIN, NODE_KEY)


async def measured(work: Awaitable[Evidence]) -> tuple[Evidence | None, int]:
    """Return what was shown, None if it was too much, and how much memory that took at most."""
    tracemalloc.start()
    try:
        shown = None
        with contextlib.suppress(DataMissingError):
            shown = await work
        return shown, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


PAYER, OPERATOR, STRANGER = key_of("payer"), key_of("operator", 0), key_of("stranger")


@pytest.fixture
def sim() -> Sim:
    return with_job(Sim())


@pytest.fixture
def archive() -> Settled:
    return Settled()


@pytest.fixture
def log(tmp_path: Path) -> EvidenceLog:
    return EvidenceLog(tmp_path / "evidence")


@pytest.fixture
def desk(sim: Sim, archive: Settled, log: EvidenceLog) -> EvidenceDesk:
    return EvidenceDesk(View(sim), archive, log, DOMAIN)


def request(sim: Sim, key: bytes, page: int = 0, late: int = 0) -> EvidenceRequest:
    made = EvidenceRequest(
        window=WINDOW,
        job_id=JOB,
        license_id=NODE,
        page=page,
        asked_at=int(View(sim).now()) - late,
        account=address_of(key),
    )
    return sign(made, DOMAIN, key)


async def test_the_payer_sees_what_its_job_was_measured_by(
    desk: EvidenceDesk, log: EvidenceLog, sim: Sim
) -> None:
    answers = [answer(1), answer(2, job_id=9), answer(3, license_id=NODE + 1), answer(4)]
    for one in answers:
        log.add(WINDOW, one)

    shown = await desk.show(request(sim, PAYER))
    assert shown.check(DOMAIN) == [answers[0], answers[3]]
    assert (shown.pages, shown.evidence_root) == (1, evidence_root(answers))


async def test_many_answers_come_in_pages(desk: EvidenceDesk, log: EvidenceLog, sim: Sim) -> None:
    answers = [answer(number) for number in range(MAX_ANSWERS + 3)]
    for one in answers:
        log.add(WINDOW, one)

    found: list[Answer] = []
    for page in range(2):
        shown = await desk.show(request(sim, PAYER, page))
        assert shown.pages == 2
        found += shown.check(DOMAIN)
    assert found == answers
    assert (await desk.show(request(sim, PAYER, 2))).answers == ()


async def test_a_page_reads_no_more_than_its_own(
    desk: EvidenceDesk, log: EvidenceLog, sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [answer(number) for number in range(MAX_ANSWERS + 3)]
    for one in answers:
        log.add(WINDOW, one)
    await desk.show(request(sim, PAYER))
    asked: list[int] = []
    real = log.answers_at
    monkeypatch.setattr(log, "answers", None)
    monkeypatch.setattr(
        log, "answers_at", lambda window, places: asked.append(len(places)) or real(window, places)
    )
    assert (await desk.show(request(sim, PAYER, 1))).check(DOMAIN) == answers[MAX_ANSWERS:]
    assert asked == [3]


async def test_what_came_since_is_shown_too(desk: EvidenceDesk, log: EvidenceLog, sim: Sim) -> None:
    for count in (1, 2):
        log.add(WINDOW, answer(count))
        shown = await desk.show(request(sim, PAYER))
        assert len(shown.check(DOMAIN)) == count


async def test_a_large_window_is_not_read_into_memory(
    desk: EvidenceDesk, log: EvidenceLog, sim: Sim, tmp_path: Path
) -> None:
    pad = b"x" * 8_000
    with (tmp_path / "evidence" / f"{WINDOW}.jsonl").open("wb") as file:
        for number in range(4_000):
            file.write(b'{"license_id":9,"nonce":%d,"pad":"%s"}\n' % (number, pad))
    log.add(WINDOW, answer(1))
    asked = request(sim, PAYER)
    shown, most = await measured(desk.show(asked))
    assert shown is not None
    assert shown.check(DOMAIN) == [answer(1)]
    assert most < 4 * MIB  # of 32


@pytest.mark.parametrize("how", ["many", "large"])
async def test_a_window_above_the_limits_is_refused_before_it_is_read(
    desk: EvidenceDesk, log: EvidenceLog, sim: Sim, tmp_path: Path, how: str
) -> None:
    with (tmp_path / "evidence" / f"{WINDOW}.jsonl").open("wb") as file:
        if how == "many":
            file.write(b"{}\n" * (MAX_LEAVES + 1))
        else:
            file.truncate(MAX_SHOWN_BYTES + 1)
    asked = request(sim, PAYER)
    for _ in range(2):
        shown, most = await measured(desk.show(asked))
        assert shown is None
        assert most < 4 * MIB


async def test_nothing_kept_is_no_page(desk: EvidenceDesk, sim: Sim) -> None:
    shown = await desk.show(request(sim, PAYER))
    assert (shown.pages, shown.answers, shown.evidence_root) == (0, (), bytes(32))


async def test_the_owner_of_the_license_may_ask(desk: EvidenceDesk, sim: Sim) -> None:
    await desk.show(request(sim, OPERATOR))


async def test_of_a_license_that_never_served_the_job_nothing_is_shown(
    desk: EvidenceDesk, sim: Sim
) -> None:
    """Whoever owns any license could otherwise make an oracle read any window."""
    for key in (key_of("operator", 2), PAYER):
        asked = request(sim, key).model_copy(update={"license_id": NODE + 2, "signature": b""})
        with pytest.raises(ForbiddenError, match="license_id: it was never placed on this job"):
            await desk.show(sign(asked, DOMAIN, key))


async def test_a_license_that_was_released_may_still_ask(desk: EvidenceDesk, sim: Sim) -> None:
    sim.place(1, release=[NODE])
    await desk.show(request(sim, OPERATOR))


@pytest.mark.parametrize("late", [VALID_SECONDS + 1, -VALID_SECONDS - 1])
async def test_a_request_of_another_time_is_refused(
    desk: EvidenceDesk, sim: Sim, late: int
) -> None:
    with pytest.raises(ForbiddenError, match="asked_at"):
        await desk.show(request(sim, PAYER, late=late))


async def test_others_may_not_ask(desk: EvidenceDesk, sim: Sim) -> None:
    with pytest.raises(ForbiddenError, match="account: only the job's payer"):
        await desk.show(request(sim, STRANGER))


async def test_nobody_asks_in_another_name(desk: EvidenceDesk, sim: Sim) -> None:
    mine = request(sim, STRANGER)
    forged = mine.model_copy(update={"account": address_of(PAYER)})
    with pytest.raises(ForbiddenError, match="signature"):
        await desk.show(forged)


@pytest.mark.parametrize("change", [{"job_id": 77}, {"license_id": 77}])
async def test_what_does_not_exist_is_named(
    desk: EvidenceDesk, sim: Sim, change: dict[str, int]
) -> None:
    asked = request(sim, PAYER).model_copy(update=change)
    with pytest.raises(ForbiddenError, match="job_id: there is no such job or license"):
        await desk.show(sign(asked, DOMAIN, PAYER))


async def test_nothing_is_shown_while_figures_could_be_copied(
    desk: EvidenceDesk, archive: Settled, sim: Sim
) -> None:
    archive.reason = "window: a pair of 2 is still open"
    with pytest.raises(NotYetError):
        await desk.show(request(sim, PAYER))


class TestChecks:
    """A reader finds what an oracle shows wrongly."""

    @pytest.fixture
    async def shown(self, desk: EvidenceDesk, log: EvidenceLog, sim: Sim) -> Evidence:
        for one in (answer(1), answer(2)):
            log.add(WINDOW, one)
        return await desk.show(request(sim, PAYER))

    def test_another_root(self, shown: Evidence) -> None:
        with pytest.raises(MerkleError):
            shown.model_copy(update={"evidence_root": b"\x01" * 32}).check(DOMAIN)

    @pytest.mark.parametrize("change", [{"window": 3}, {"job_id": 2}, {"license_id": 2}])
    def test_another_subject(self, shown: Evidence, change: dict[str, int]) -> None:
        with pytest.raises(MessageError, match="about something else"):
            shown.model_copy(update=change).check(DOMAIN)

    def test_an_answer_that_its_node_did_not_sign(self, shown: Evidence) -> None:
        forged = answer(1).model_copy(update={"signature": answer(2).signature})
        entry = shown.answers[0].model_copy(update={"answer": forged.canonical()})
        with pytest.raises(SignatureError):
            shown.model_copy(update={"answers": (entry,)}).check(DOMAIN)

    def test_the_same_answer_in_other_words(self, shown: Evidence) -> None:
        entry = shown.answers[0].model_copy(update={"answer": shown.answers[0].answer + b" "})
        with pytest.raises(MessageError, match="canonical"):
            shown.model_copy(update={"answers": (entry,)}).check(DOMAIN)
