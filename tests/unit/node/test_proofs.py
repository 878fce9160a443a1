"""Leaves and proofs that a node keeps of final reports."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from workdeed.node.chain_view import FinalReport
from workdeed.node.proofs import ProofKeeper
from workdeed.protocol.merkle import MerkleTree, leaf_hash
from workdeed.protocol.messages import Proofs, ProvenLeaf
from workdeed.protocol.signing import to_checksum

ESCROW = to_checksum("0x" + "e5" * 20)
LICENSE = 7
UNITS = {(3, 7): 10_000, (4, 7): 5_000, (3, 8): 10_000}
TREE = MerkleTree(leaf_hash(ESCROW, job, owned, units) for (job, owned), units in UNITS.items())
REPORT = FinalReport(12, TREE.root)


def proofs(job: int, license_id: int, units: int | None = None) -> Proofs:
    known = UNITS[job, license_id]
    proof = tuple(TREE.proof(leaf_hash(ESCROW, job, license_id, known)))
    leaf = ProvenLeaf(
        escrow=ESCROW,
        job_id=job,
        license_id=license_id,
        units=known if units is None else units,
        proof=proof,
    )
    return Proofs(window=12, root=TREE.root, leaves=(leaf,))


class Oracle:
    """An oracle that answers from `answers`, and 404 for the rest."""

    def __init__(self) -> None:
        self.answers: dict[str, web.Response | bytes] = {
            f"/reports/12/proofs/{job}/{owned}": proofs(job, owned).to_json()
            for job, owned in UNITS
        }
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        found = self.answers.get(request.path)
        if isinstance(found, web.Response):
            return web.Response(status=found.status, headers=found.headers)
        return web.Response(body=found) if found is not None else web.Response(status=404)


@pytest.fixture
async def oracle() -> AsyncIterator[Oracle]:
    made = Oracle()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def keeper(tmp_path: Path, oracle: Oracle) -> AsyncIterator[ProofKeeper]:
    made = ProofKeeper(tmp_path / "proofs", LICENSE, [oracle.url + "/"])
    yield made
    await made.close()


JOBS = {(ESCROW, 3), (ESCROW, 4), (ESCROW, 5)}


async def test_its_own_leaves_are_kept_and_what_has_none_is_told(keeper: ProofKeeper):
    found, absent = await keeper.collect(REPORT, JOBS)
    assert (found, absent) == ({(ESCROW, 3), (ESCROW, 4)}, {(ESCROW, 5)})
    kept = keeper.kept(12)
    assert kept is not None
    kept.check(TREE.root)
    assert [(one.job_id, one.license_id, one.units) for one in kept.leaves] == [
        (3, 7, 10_000),
        (4, 7, 5_000),
    ]
    assert keeper.kept(11) is None


async def test_what_is_kept_is_not_fetched_again(keeper: ProofKeeper, oracle: Oracle):
    await keeper.collect(REPORT, JOBS)
    oracle.asked.clear()
    found, _ = await keeper.collect(REPORT, JOBS)
    assert found == {(ESCROW, 3), (ESCROW, 4)}
    assert oracle.asked == ["/reports/12/proofs/5/7"]


@pytest.mark.parametrize(
    "lie",
    [
        proofs(3, 7, units=20_000).to_json(),
        b"{}",
        b"x" * (Proofs.MAX_BYTES + 1),
        web.Response(status=500),
        web.Response(status=302, headers={"Location": "/reports/12/proofs/3/7"}),
    ],
    ids=["too many units", "another message", "too long", "an error", "a redirect"],
)
async def test_a_lying_oracle_is_passed_over(
    tmp_path: Path, oracle: Oracle, lie: web.Response | bytes
):
    path = "/reports/12/proofs/3/7"
    liar = oracle.answers
    honest = dict(liar)
    liar[path] = lie
    keeper = ProofKeeper(tmp_path / "proofs", LICENSE, [oracle.url])
    assert await keeper.collect(REPORT, {(ESCROW, 3)}) == (set(), set())
    assert keeper.kept(12) is None
    liar.update(honest)
    assert (await keeper.collect(REPORT, {(ESCROW, 3)}))[0] == {(ESCROW, 3)}
    await keeper.close()


async def test_a_leaf_of_somebody_else_is_not_kept(keeper: ProofKeeper, oracle: Oracle):
    oracle.answers["/reports/12/proofs/3/7"] = proofs(3, 8).to_json()
    found, absent = await keeper.collect(REPORT, {(ESCROW, 3)})
    assert (found, absent) == (set(), {(ESCROW, 3)})


async def test_an_oracle_that_is_down_decides_nothing(tmp_path: Path, oracle: Oracle):
    keeper = ProofKeeper(tmp_path / "proofs", LICENSE, ["http://127.0.0.1:1", oracle.url])
    found, absent = await keeper.collect(REPORT, JOBS)
    assert (found, absent) == ({(ESCROW, 3), (ESCROW, 4)}, {(ESCROW, 5)})
    await keeper.close()
    alone = ProofKeeper(tmp_path / "other", LICENSE, ["http://127.0.0.1:1"])
    assert await alone.collect(REPORT, JOBS) == (set(), set())
    await alone.close()


async def test_without_oracles_nothing_is_waited_for(tmp_path: Path):
    keeper = ProofKeeper(tmp_path / "proofs", LICENSE, [])
    assert await keeper.collect(REPORT, JOBS) == (set(), JOBS)


async def test_a_report_that_replaces_a_vetoed_one_replaces_its_proofs(
    keeper: ProofKeeper, oracle: Oracle
):
    await keeper.collect(REPORT, {(ESCROW, 3)})
    alone = MerkleTree([leaf_hash(ESCROW, 3, 7, 9_000)])
    leaf = ProvenLeaf(escrow=ESCROW, job_id=3, license_id=7, units=9_000, proof=())
    body = Proofs(window=12, root=alone.root, leaves=(leaf,)).to_json()
    oracle.answers["/reports/12/proofs/3/7"] = body
    await keeper.collect(FinalReport(12, alone.root), {(ESCROW, 3)})
    kept = keeper.kept(12)
    assert kept is not None
    assert [one.units for one in kept.leaves] == [9_000]


async def test_only_the_newest_reports_are_kept(keeper: ProofKeeper, oracle: Oracle):
    for window in range(1, 71):
        body = proofs(3, 7).model_copy(update={"window": window}).to_json()
        oracle.answers[f"/reports/{window}/proofs/3/7"] = body
        await keeper.collect(FinalReport(window, TREE.root), {(ESCROW, 3)})
    assert keeper.kept(6) is None
    assert keeper.kept(7) is not None
    assert keeper.kept(70) is not None


async def test_a_damaged_file_is_fetched_anew(keeper: ProofKeeper, tmp_path: Path):
    await keeper.collect(REPORT, {(ESCROW, 3)})
    (tmp_path / "proofs" / "12.json").write_text("{")
    assert keeper.kept(12) is None
    await keeper.collect(REPORT, {(ESCROW, 3)})
    assert keeper.kept(12) is not None
