"""The whole agent: HTTP in front, real processes behind, a chain that tests can bend."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from agent_process import agent_process
from aiohttp import web
from node_support import (
    CHAIN_ID,
    COMMITTEE,
    ESCROW,
    JOB,
    LICENSE_ID,
    LICENSES,
    NODE_KEY,
    Chain,
    ChainJob,
    Client,
    FakeRpc,
    Launch,
    Repository,
    alive,
    eventually,
    has_sandbox,
    marked,
    revise,
    settings,
    spec_bytes,
)

from workdeed.intent import spec_hash
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.merkle import leaf_hash
from workdeed.protocol.messages import (
    Answer,
    NodeProfile,
    Probe,
    Proofs,
    ProvenLeaf,
    signer_of,
)
from workdeed.protocol.signing import address_of, to_checksum

DOMAIN = Domain("OracleCommittee", CHAIN_ID, COMMITTEE)


LEAF_ROOT = leaf_hash(to_checksum(ESCROW), JOB, LICENSE_ID, 10_000)


@pytest.fixture
async def oracle() -> AsyncIterator[str]:
    """An oracle that holds one leaf, of report 11."""
    leaf = ProvenLeaf(
        escrow=to_checksum(ESCROW), job_id=JOB, license_id=LICENSE_ID, units=10_000, proof=()
    )

    async def answer(request: web.Request) -> web.Response:
        if request.path != f"/reports/11/proofs/{JOB}/{LICENSE_ID}":
            return web.Response(status=404)
        return web.Response(body=Proofs(window=11, root=LEAF_ROOT, leaves=(leaf,)).to_json())

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_placed_job_runs_before_its_first_window_begins(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain, hello: str
):
    assert chain.window < placed.first
    client = await launch()
    status, body = await client.dispatch(data)
    assert (status, body["state"]) == (202, "pending")
    workload = await client.reaches("running")
    assert workload["reason"] == ""
    assert alive(workload["pid"])
    _, page = await client.get("/", workload["port"])
    assert page == {"name": "hello-service", "greeting": "Good morning", "commit": hello}
    again, body = await client.dispatch(data)
    assert (again, body["state"]) == (202, "running")
    await client.settled()


@pytest.mark.sandbox
@pytest.mark.skipif(
    not has_sandbox(), reason="bubblewrap is not installed or can't make a sandbox here"
)
async def test_a_placed_job_runs_in_a_sandbox(
    launch: Launch,
    placed: ChainJob,
    repository: Repository,
    hello: str,
    tmp_path: Path,
    chain: Chain,
):
    build = [["/usr/bin/python3", "-m", "py_compile", "server.py"], ["sh", "-c", "pwd > where"]]
    data = spec_bytes(repository, hello, build=build, run=["/usr/bin/python3", "server.py"])
    placed.spec_hash = spec_hash(data)
    path = {"path": "/usr/bin:/bin"}
    client = await launch(sandboxed=True, allow_unsandboxed=False, sandbox=path)
    await client.dispatch(data)
    workload = await client.reaches("running")
    _, page = await client.get("/", workload["port"])
    assert page["commit"] == hello
    (where,) = (tmp_path / "state/runners/war/trees").glob("*/where")
    assert where.read_text() == "/app\n"
    await client.node.close()
    second = await launch(sandboxed=True, allow_unsandboxed=False, sandbox=path)
    assert (await second.reaches("running"))["pid"] == workload["pid"]
    placed.first = 0
    await second.rounds()
    chain.go_on()
    await second.gone()
    assert not alive(workload["pid"])


async def test_without_a_sandbox_a_workload_does_not_run(
    launch: Launch, data: bytes, placed: ChainJob
):
    client = await launch(allow_unsandboxed=False)
    await client.dispatch(data)
    workload = await client.reaches("failed")
    assert "install bubblewrap" in workload["reason"]
    status, body = await client.get("/readyz")
    assert (status, "bubblewrap" in body["error"]) == (503, True)


async def test_a_probe_is_answered_and_signed(
    launch: Launch, data: bytes, placed: ChainJob, hello: str
):
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("running")
    probe = Probe(nonce=os.urandom(32), window=11, block_hash=os.urandom(32))
    status, body = await client.post("/probe", probe.to_json())
    answer = Answer.parse(json.dumps(body).encode())
    assert status == 200
    assert answer.answers(probe)
    assert signer_of(answer, DOMAIN) == answer.node == address_of(NODE_KEY)
    assert (answer.chain_id, answer.license_id) == (CHAIN_ID, LICENSE_ID)
    (one,) = answer.workloads
    assert (one.escrow, one.job_id, one.revision) == (to_checksum(ESCROW), JOB, 0)
    assert (one.spec_hash, one.commit) == (placed.spec_hash, hello)
    assert (one.state, one.healthy, one.port) == ("running", True, workload["port"])


async def test_a_probe_without_workloads_is_answered_too(launch: Launch):
    client = await launch()
    probe = Probe(nonce=bytes(32), window=1, block_hash=bytes(32))
    _, body = await client.post("/probe", probe.to_json())
    answer = Answer.parse(json.dumps(body).encode())
    assert answer.verify(DOMAIN) == address_of(NODE_KEY)
    assert answer.workloads == ()


async def test_the_instance_outlives_the_agent_and_is_its_own(launch: Launch, tmp_path: Path):
    first = await launch()
    instance = first.node.agent.identity.instance
    await first.node.close()
    second = await launch()
    assert second.node.agent.identity.instance == instance
    other = await launch(state_dir=tmp_path / "other")
    assert other.node.agent.identity.instance != instance


async def test_the_profile_is_signed_and_always_the_same(launch: Launch):
    client = await launch()
    _, body = await client.get("/profile")
    profile = NodeProfile.parse(json.dumps(body).encode())
    assert profile.verify(DOMAIN) == address_of(NODE_KEY)
    assert (profile.tags, profile.runners) == (("eu",), ("war",))
    assert profile.resources.memory_mb == 1024
    _, again = await client.get("/profile")
    assert again == body
    _, body = await client.get("/profile/draining")
    draining = NodeProfile.parse(json.dumps(body).encode())
    assert draining.verify(DOMAIN) == address_of(NODE_KEY)
    assert (draining.draining, profile.draining) == (True, False)
    # Tags and runners stay: without them a node would be released at once, not when replaced.
    same = {"resources", "signature"}
    assert draining.model_dump(exclude=same) == profile.model_dump(exclude=same)


async def test_a_spec_that_is_not_on_chain_is_refused(
    launch: Launch, repository: Repository, hello: str, placed: ChainJob
):
    client = await launch()
    other = spec_bytes(repository, hello, env={"GREETING": "Other"})
    status, body = await client.dispatch(other)
    assert (status, body["field"]) == (409, "spec")
    assert "hash is not the one on chain" in body["error"]
    assert await client.workloads() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"first": 0, "until": 0}, "not placed"),
        ({"first": 2, "until": 10}, "released"),
        ({"end": 10}, "over"),
        ({"end": 10, "cancelled": True}, "cancelled"),
        ({"start": 0, "end": 0, "cancelled": True, "closed": True}, "closed"),
        ({"revision": 1}, "stands on chain"),
    ],
)
async def test_what_the_chain_does_not_say_is_refused(
    launch: Launch, data: bytes, placed: ChainJob, change: dict[str, Any], reason: str
):
    for name, value in change.items():
        setattr(placed, name, value)
    client = await launch()
    status, body = await client.dispatch(data)
    assert status == 409
    assert reason in body["error"]
    assert await client.workloads() == []


async def test_a_job_that_does_not_exist_is_refused(launch: Launch, data: bytes):
    client = await launch()
    status, body = await client.dispatch(data)
    assert (status, body["error"]) == (409, "job_id: the escrow holds no such job")


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"escrow": to_checksum(LICENSES)}, 409, "escrow"),
        ({"escrow": ESCROW.lower()}, 400, "escrow"),
        ({"spec": "bm8ganNvbg=="}, 409, "spec"),
        ({"spec": "!"}, 400, "spec"),
        ({"revision": -1}, 400, "revision"),
        ({"extra": 1}, 400, "extra"),
    ],
)
async def test_a_malformed_dispatch_names_the_field(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    changes: dict[str, Any],
    status: int,
    field: str,
):
    client = await launch()
    found, body = await client.dispatch(data, **changes)
    assert (found, body["field"]) == (status, field)
    assert body["error"]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/nowhere", 404, "path"),
        ("/probe", 405, "path"),
        ("/proofs/1", 404, "window"),
        ("/proofs/x", 400, "window"),
        ("/proofs/0", 400, "window"),
        ("/proofs/-1", 400, "window"),
        ("/proofs/..%2finstance", 404, "path"),
    ],
)
async def test_every_error_has_the_same_form(launch: Launch, path: str, status: int, field: str):
    client = await launch()
    found, body = await client.get(path)
    assert (found, body["field"]) == (status, field)
    assert body.keys() == {"error", "field"}


async def test_the_proofs_of_a_final_report_are_kept_and_served(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain, oracle: str
):
    client = await launch(oracle_urls=[oracle])
    await client.dispatch(data)
    chain.report = (11, LEAF_ROOT)

    async def served() -> bool:
        return (await client.get("/proofs/11"))[0] == 200

    await eventually(served, "keeping of the proof")
    _, body = await client.get("/proofs/11")
    kept = Proofs.parse(json.dumps(body).encode())
    kept.check(LEAF_ROOT)
    assert [(one.job_id, one.license_id, one.units) for one in kept.leaves] == [
        (JOB, LICENSE_ID, 10_000)
    ]


async def test_an_ended_job_is_forgotten_when_no_report_holds_it_any_more(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain, oracle: str, tmp_path: Path
):
    client = await launch(oracle_urls=[oracle])
    await client.dispatch(data)
    await client.reaches("running")
    placed.until = 12
    chain.go_on(12)
    await client.rounds()
    chain.go_on()
    await client.gone()
    jobs = tmp_path / "state" / "jobs"
    chain.report = (11, LEAF_ROOT)

    async def served() -> bool:
        return (await client.get("/proofs/11"))[0] == 200

    await eventually(served, "keeping of the proof")
    await client.rounds()
    assert len(list(jobs.iterdir())) == 1  # its leaf is still to be claimed
    chain.report = (14, bytes(32))
    await eventually(lambda: list(jobs.iterdir()) == [], "forgetting")


async def test_bodies_are_limited(launch: Launch):
    client = await launch()
    for path, size in (("/probe", 5_000), ("/dispatch", 500_000)):
        status, body = await client.post(path, b" " * size)
        assert status == 413
        assert "exceeds" in body["error"]
        status, body = await client.post(path, b"{}", "text/plain")
        assert (status, body["field"]) == (415, "body")
        status, body = await client.post(path, b"{", "application/json; charset=utf-8")
        assert status == 400


async def test_a_fault_of_the_node_itself_is_told_without_its_details(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
):
    client = await launch()

    def fail() -> None:
        raise RuntimeError("an inner detail")

    monkeypatch.setattr(client.node.agent, "jobs", fail)
    status, body = await client.get("/status")
    assert status == 500
    assert "inner detail" not in body["error"]
    monkeypatch.undo()


async def test_a_spec_for_another_runner_or_a_larger_node_is_refused(
    launch: Launch, repository: Repository, hello: str, chain: Chain
):
    client = await launch()
    other = spec_bytes(repository, hello, runner="nobody")
    chain.jobs[JOB] = ChainJob(spec_hash(other))
    status, body = await client.dispatch(other)
    assert (status, body["field"]) == (409, "spec")
    assert "war, not nobody; place the job elsewhere" in body["error"]
    chain.paid = (10_000, 10_000, 10_000)
    large = {"cpu_milli": 100, "memory_mb": 4096, "storage_mb": 64}
    data = spec_bytes(repository, hello, resources=large)
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    status, body = await client.dispatch(data)
    assert (status, body["field"]) == (409, "spec.resources.memory_mb")
    assert "the node offers 1024" in body["error"]


ENDS: list[tuple[str, dict[str, Any], int]] = [
    ("released", {"until": 12}, 12),
    ("over", {}, 21),
    ("cancelled", {"end": 12, "cancelled": True}, 12),
    ("closed", {"closed": True}, 11),
    ("never placed", {"first": 0, "until": 0}, 11),
]


@pytest.mark.parametrize(("how", "change", "window"), ENDS, ids=[one[0] for one in ENDS])
async def test_a_job_that_ends_is_stopped_when_its_last_window_is_over(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    chain: Chain,
    how: str,
    change: dict[str, Any],
    window: int,
    tmp_path: Path,
):
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("running")
    for name, value in change.items():
        setattr(placed, name, value)
    chain.go_on(window - 1)
    if how in ("released", "over", "cancelled"):
        await client.rounds()
        chain.go_on()
        await client.rounds()
        assert alive(workload["pid"])
    chain.go_on(window)
    await client.rounds()
    chain.go_on()
    await client.gone()
    assert not alive(workload["pid"])
    assert list((tmp_path / "state/runners/war/trees").iterdir()) == []
    status, _ = await client.dispatch(data)
    assert status == 409


async def test_one_block_is_not_enough_to_stop_a_job(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain
):
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("running")
    placed.first = 0
    await client.rounds(5)
    placed.first = 11
    chain.go_on()
    await client.rounds(5)
    chain.go_on()
    await client.rounds()
    assert [one["pid"] for one in await client.workloads()] == [workload["pid"]]
    assert alive(workload["pid"])


async def test_blocks_from_before_the_placement_end_no_job(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain
):
    """An RPC that lags, or says so, makes all meet at blocks in which the job was not placed."""
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("running")
    placed.first = 0
    chain.number -= 50
    for _ in range(3):
        await client.rounds()
        chain.number += 1
    assert alive(workload["pid"])
    await client.node.close()
    client = await launch()  # it remembers the block that confirmed the dispatch
    for _ in range(3):
        await client.rounds()
        chain.number += 1
    assert alive(workload["pid"])
    chain.number += 50
    await client.rounds()
    chain.go_on()
    await client.gone()


def unlink(chain: Chain) -> None:
    chain.linked = "0x" + "00" * 20


def freeze(chain: Chain) -> None:
    chain.standing = 1


def blacklist(chain: Chain) -> None:
    chain.standing = 3


def allow(chain: Chain) -> None:
    chain.linked, chain.standing = address_of(NODE_KEY), 0


BARS = {unlink: "linked to", freeze: "frozen", blacklist: "blacklisted"}


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: bar.__name__)
async def test_what_runs_ends_with_the_license_and_comes_back_with_it(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain, bar: Callable[[Chain], None]
):
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("running")

    bar(chain)
    await client.rounds(5)
    assert alive(workload["pid"])  # seen in one block only
    chain.go_on()
    waiting = await client.reaches("pending")
    assert not alive(workload["pid"])
    assert BARS[bar] in waiting["reason"]
    status, body = await client.get("/readyz")
    assert (status, body["error"]) == (503, waiting["reason"])
    # What is dispatched meanwhile waits like the rest.
    assert (await client.dispatch(data))[1]["state"] == "pending"

    allow(chain)
    again = await client.reaches("running")
    assert again["pid"] != workload["pid"]
    assert (await client.get("/readyz"))[0] == 200


async def test_a_bar_that_is_gone_in_the_next_block_ends_nothing(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain
):
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("running")
    for _ in range(2):
        freeze(chain)
        await client.rounds()
        allow(chain)
        chain.go_on()
        await client.rounds()
    assert (await client.reaches("running"))["pid"] == workload["pid"]


async def test_blocks_from_before_the_link_end_nothing(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain
):
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("running")
    unlink(chain)
    chain.number -= 50
    for _ in range(3):
        await client.rounds()
        chain.number += 1
    assert alive(workload["pid"])
    chain.number += 50
    await client.rounds()
    chain.go_on()
    await client.reaches("pending")
    assert not alive(workload["pid"])


async def test_a_restarted_agent_ends_what_it_finds_running_without_a_license(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain
):
    first = await launch()
    await first.dispatch(data)
    workload = await first.reaches("running")
    await first.node.close()
    unlink(chain)
    second = await launch()
    await second.rounds()
    chain.go_on()
    await second.reaches("pending")
    assert not alive(workload["pid"])


async def test_a_command_starts_nothing_without_a_license(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain
):
    client = await launch()
    await client.dispatch(data)
    await client.reaches("running")
    freeze(chain)
    await client.rounds()
    chain.go_on()
    await client.reaches("pending")
    job = client.node.agent.job(JOB)
    async with job.lock:
        await job.serving.main.restart()
    await client.rounds()
    assert (await client.reaches("pending"))["pid"] is None
    # A job that the chain ends meanwhile is over all the same.
    placed.closed = True
    await client.rounds()
    chain.go_on()
    await client.gone()


def disagree(rpcs: list[FakeRpc]) -> None:
    other = Chain(
        window=rpcs[0].chain.window, number=rpcs[0].chain.number, began=rpcs[0].chain.began
    )
    rpcs[1].chain = other  # knows no job


def fork(rpcs: list[FakeRpc]) -> None:
    other = Chain(began=rpcs[0].chain.began, jobs=rpcs[0].chain.jobs, fork=b"other")
    rpcs[1].chain = other


def one_down(rpcs: list[FakeRpc]) -> None:
    rpcs[0].down = True


def all_stale(rpcs: list[FakeRpc]) -> None:
    rpcs[0].chain.age = 3600


def one_lags(rpcs: list[FakeRpc]) -> None:
    old = Chain(began=rpcs[0].chain.began, number=rpcs[0].chain.number - 400, age=3600)
    rpcs[1].chain = old


def wrong_chain(rpcs: list[FakeRpc]) -> None:
    rpcs[1].chain_id = 1
    # The agent asks once, so a fresh connection is needed to see it.


FAULTS = [disagree, fork, one_down, all_stale, one_lags]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_with_unsure_rpcs_nothing_is_started_and_nothing_stopped(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    chain: Chain,
    rpcs: list[FakeRpc],
    fault: Callable[[list[FakeRpc]], None],
    repository: Repository,
    hello: str,
):
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("running")
    other = spec_bytes(repository, hello, env={"GREETING": "Other"})
    chain.jobs[JOB + 1] = ChainJob(spec_hash(other))

    fault(rpcs)
    placed.first = 0  # were it believed, the job would be stopped
    for _ in range(3):
        chain.number += 1
        await client.rounds()
    assert alive(workload["pid"])
    status, body = await client.dispatch(other, job_id=JOB + 1)
    assert status == 503
    assert "rpc" in body["error"]
    assert [one["state"] for one in await client.workloads()] == ["running"]
    status, body = await client.get("/readyz")
    assert (status, "rpc" in body["error"]) == (503, True)

    # What crashes meanwhile is not started again before the chain can be read.
    placed.first = 11
    before = chain.number
    os.kill(await service_pid(client), signal.SIGKILL)
    await client.reaches("pending")
    await client.rounds(3)
    assert [one["state"] for one in await client.workloads()] == ["pending"]

    for one in rpcs:
        one.down, one.chain = False, chain
    chain.age, chain.number = 0, before + 1
    await client.reaches("running")
    assert (await client.get("/readyz"))[0] == 200


async def service_pid(client: Client) -> int:
    """Return the process of the service itself, not of its supervisor."""
    owner = client.node.agent.identity.instance.hex()
    for pid in marked(owner):
        command = await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").read_bytes)
        if b"server.py" in command:
            return pid
    pytest.fail("the service does not run")


async def test_an_rpc_of_another_chain_does_not_count(
    launch: Launch, data: bytes, placed: ChainJob, rpcs: list[FakeRpc]
):
    rpcs[1].chain_id = 1
    client = await launch()
    status, body = await client.dispatch(data)
    assert status == 503
    assert "serves chain 1" in body["error"]


async def test_one_rpc_may_fail_where_enough_others_agree(
    launch: Launch, data: bytes, placed: ChainJob, rpcs: list[FakeRpc], chain: Chain
):
    third = FakeRpc(chain)
    await third.start()
    third.down = True
    client = await launch(rpc_urls=[one.url for one in (*rpcs, third)])
    assert (await client.dispatch(data))[0] == 202
    await client.reaches("running")
    await third.stop()


async def test_contracts_of_different_deployments_are_noticed(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain
):
    chain.committee = LICENSES
    client = await launch()
    status, body = await client.dispatch(data)
    assert status == 503
    assert "one deployment" in body["error"]


async def test_a_key_that_is_not_linked_makes_the_node_unready(launch: Launch, chain: Chain):
    chain.linked = PAYER_LIKE
    client = await launch()
    await client.rounds(1)
    status, body = await client.get("/readyz")
    assert status == 503
    assert "linked to" in body["error"]
    chain.linked = address_of(NODE_KEY)
    await client.rounds(1)
    assert (await client.get("/readyz"))[0] == 200
    assert (await client.get("/healthz"))[0] == 200


async def test_what_is_wrong_is_logged_when_it_begins_and_when_it_is_over(
    launch: Launch, rpcs: list[FakeRpc], said: list[str]
):
    client = await launch()
    agent = client.node.agent
    # A look that took long is over, and that has been told.
    await eventually(lambda: not (agent.problem or agent._told), "the first look")
    said.clear()
    rpcs[0].down = rpcs[1].down = True
    await eventually(lambda: "agent: not ready" in said, "the warning")
    await client.rounds(3)
    rpcs[0].down = rpcs[1].down = False
    await eventually(lambda: "agent: ready again" in said, "the end of it")
    assert said == ["agent: not ready", "agent: ready again"]


PAYER_LIKE = "0x" + "77" * 20


async def test_a_service_that_crashes_is_started_again(
    launch: Launch, data: bytes, placed: ChainJob
):
    client = await launch()
    await client.dispatch(data)
    first = await client.reaches("running")
    os.kill(await service_pid(client), signal.SIGKILL)

    async def restarted() -> bool:
        (one,) = await client.workloads()
        return one["state"] == "running" and one["pid"] != first["pid"]

    await eventually(restarted, "a restart")
    assert [one["port"] for one in await client.workloads()] == [first["port"]]


async def test_a_workload_tells_when_it_is_unwell_and_recovers(
    launch: Launch, repository: Repository, chain: Chain, tmp_path: Path
):
    sick = tmp_path / "sick"
    code = f"""
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists({str(sick)!r}) else 200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
    commit = repository.commit({"server.py": code})
    data = spec_bytes(repository, commit)
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    client = await launch()
    await client.dispatch(data)
    before = await client.reaches("running")
    sick.touch()
    workload = await client.reaches("unhealthy")
    assert workload["reason"] == "its health check answers 500"
    probe = Probe(nonce=bytes(32), window=1, block_hash=bytes(32))
    _, body = await client.post("/probe", probe.to_json())
    assert [one["healthy"] for one in body["workloads"]] == [False]
    sick.unlink()
    assert (await client.reaches("running"))["pid"] == before["pid"]


async def test_a_workload_that_hangs_is_started_again(
    launch: Launch, repository: Repository, chain: Chain, tmp_path: Path
):
    sick = tmp_path / "sick"
    code = (
        "import http.server, os, time\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        f"        while os.path.exists({str(sick)!r}): time.sleep(0.05)\n"
        "        self.send_response(200); self.end_headers()\n"
        'address = ("127.0.0.1", int(os.environ["PORT"]))\n'
        "http.server.HTTPServer(address, Handler).serve_forever()\n"
    )
    data = spec_bytes(repository, repository.commit({"server.py": code}))
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    restart = {"pause_seconds": 0.1, "max_pause_seconds": 1, "unhealthy_seconds": 0.5}
    client = await launch(restart=restart)
    await client.dispatch(data)
    before = await client.reaches("running")
    sick.touch()
    await eventually(lambda: not alive(before["pid"]), "end of the hanging process")
    sick.unlink()
    await client.reaches("running")


async def test_a_workload_that_never_gets_well_is_ended_with_a_reason(
    launch: Launch, repository: Repository, chain: Chain
):
    commit = repository.commit({"server.py": "import time; time.sleep(1000)"})
    health = {"kind": "http", "path": "/", "interval_ms": 100, "start_period_ms": 300}
    data = spec_bytes(repository, commit, health=health)
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    client = await launch()
    await client.dispatch(data)
    reasons: set[str] = set()

    async def told() -> bool:
        reasons.update(one["reason"] for one in await client.workloads())
        return any(one.startswith("not well within its start period") for one in reasons)

    await eventually(told, "the reason")


async def test_a_failing_build_is_told_and_tried_again(
    launch: Launch, repository: Repository, hello: str, chain: Chain, tmp_path: Path
):
    fixed = tmp_path / "fixed"
    build = [["sh", "-c", f"echo broken; test -e {fixed}"]]
    data = spec_bytes(repository, hello, build=build)
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    client = await launch()
    await client.dispatch(data)
    workload = await client.reaches("failed")
    expected = "build command 1 of 1 failed: it exited with code 1 (broken)"
    assert workload["reason"] == expected
    assert workload["pid"] is None
    fixed.touch()
    await client.reaches("running")


async def test_without_control_groups_memory_over_the_limit_of_all_processes_ends_the_workload(
    launch: Launch, repository: Repository, chain: Chain, tmp_path: Path
):
    code = f"""
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
if not os.path.exists({str(tmp_path / "once")!r}):
    open({str(tmp_path / "once")!r}, "w").close()
    for _ in range(4):
        if os.fork() == 0:
            x = bytearray(60_000_000); time.sleep(1000)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
    resources = {"cpu_milli": 1, "memory_mb": 100, "storage_mb": 64}
    data = spec_bytes(repository, repository.commit({"server.py": code}), resources=resources)
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    client = await launch(sandbox={"path": os.environ["PATH"], "cgroup": "off"})
    await client.dispatch(data)

    def told() -> bool:
        # It is there for a moment, which an answer over HTTP may miss.
        pods = client.node.agent.pods()
        return any("MB of memory and may use 100" in pod.reason for pod in pods)

    await eventually(told, "the reason")
    await client.reaches("running")


async def test_a_restarted_agent_finds_its_workload(launch: Launch, data: bytes, placed: ChainJob):
    first = await launch()
    await first.dispatch(data)
    before = await first.reaches("running")
    await first.node.close()
    assert alive(before["pid"])
    second = await launch()
    after = await second.reaches("running")
    assert (after["pid"], after["port"]) == (before["pid"], before["port"])


async def test_a_restarted_agent_watches_on_but_starts_nothing_without_the_chain(
    launch: Launch, data: bytes, placed: ChainJob, rpcs: list[FakeRpc], chain: Chain
):
    first = await launch()
    await first.dispatch(data)
    before = await first.reaches("running")
    await first.node.close()
    rpcs[0].down = True
    second = await launch()
    assert (await second.reaches("running"))["pid"] == before["pid"]
    os.kill(await service_pid(second), signal.SIGKILL)
    await second.reaches("pending")
    rpcs[0].down = False
    chain.go_on()
    await second.reaches("running")


async def test_what_ended_while_the_agent_was_away_is_not_started(
    launch: Launch, data: bytes, placed: ChainJob, chain: Chain
):
    first = await launch()
    await first.dispatch(data)
    before = await first.reaches("running")
    await first.node.close()
    os.kill(before["pid"], signal.SIGKILL)
    placed.until = 10
    second = await launch()
    await second.rounds(3)
    assert [one["state"] for one in await second.workloads()] in (["pending"], [])
    chain.go_on()
    await second.gone()
    assert marked(second.node.agent.identity.instance.hex()) == []


async def test_workloads_end_with_the_agent_where_it_is_told_so(
    launch: Launch, data: bytes, placed: ChainJob
):
    client = await launch(stop_workloads_on_exit=True)
    await client.dispatch(data)
    workload = await client.reaches("running")
    await client.node.close()
    assert not alive(workload["pid"])


async def test_a_new_revision_replaces_the_old_once_it_is_built(
    launch: Launch, data: bytes, placed: ChainJob, repository: Repository, hello: str, chain: Chain
):
    client = await launch()
    await client.dispatch(data)
    old = await client.reaches("running")
    later = spec_bytes(repository, hello, env={"GREETING": "Good evening"})
    revise(placed, later)
    chain.go_on()
    await client.rounds()
    assert alive(old["pid"])
    status, body = await client.dispatch(data)
    assert (status, body["state"]) == (202, "running")  # still what it runs
    status, body = await client.dispatch(later, revision=1)
    assert status == 202
    new = await client.reaches("running", revision=1)
    assert not alive(old["pid"])
    await client.settled()
    _, page = await client.get("/", new["port"])
    assert page["greeting"] == "Good evening"
    status, body = await client.dispatch(data)
    assert (status, body["field"]) == (409, "revision")


async def test_a_revision_that_cannot_be_built_leaves_the_old_one_running(
    launch: Launch, data: bytes, placed: ChainJob, repository: Repository, hello: str
):
    client = await launch()
    await client.dispatch(data)
    old = await client.reaches("running")
    broken = spec_bytes(repository, hello, build=[["sh", "-c", "echo broken; exit 1"]])
    revise(placed, broken)
    assert (await client.dispatch(broken, revision=1))[0] == 202
    failed = await client.reaches("failed", revision=1)
    assert "(broken)" in failed["reason"]
    serving = [one["state"] for one in await client.workloads() if one["revision"] == 0]
    assert serving == ["running"]
    assert alive(old["pid"])
    probe = Probe(nonce=bytes(32), window=1, block_hash=bytes(32))
    _, body = await client.post("/probe", probe.to_json())
    states = [(one["revision"], one["healthy"]) for one in body["workloads"]]
    assert states == [(0, True), (1, False)]

    # The next revision takes the place of the broken one.
    fixed = spec_bytes(repository, hello, env={"GREETING": "Fixed"})
    revise(placed, fixed)
    assert (await client.dispatch(fixed, revision=2))[0] == 202
    await client.reaches("running", revision=2)
    await client.settled()
    assert not alive(old["pid"])


async def test_what_serves_starts_again_while_a_revision_is_due_that_the_node_refuses(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    repository: Repository,
    hello: str,
    chain: Chain,
):
    chain.paid = (100, 256, 64)
    client = await launch(stop_workloads_on_exit=True)
    await client.dispatch(data)
    old = await client.reaches("running")
    size = {"cpu_milli": 101, "memory_mb": 256, "storage_mb": 64}
    more = spec_bytes(repository, hello, resources=size)
    revise(placed, more)
    assert (await client.dispatch(more, revision=1))[0] == 409
    chain.go_on()
    await client.rounds()
    os.kill(old["pid"], signal.SIGKILL)

    async def runs_again() -> bool:
        (one,) = await client.workloads()
        return one["state"] == "running" and one["pid"] != old["pid"]

    await eventually(runs_again, "the restart")
    await client.node.close()
    second = await launch()
    again = await second.reaches("running")
    assert again["revision"] == 0


async def test_an_agent_restarted_in_a_rollout_finishes_it(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    repository: Repository,
    hello: str,
    tmp_path: Path,
):
    client = await launch()
    await client.dispatch(data)
    old = await client.reaches("running")
    gate = tmp_path / "gate"
    slow = spec_bytes(
        repository, hello, build=[["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done"]]
    )
    revise(placed, slow)
    await client.dispatch(slow, revision=1)
    await client.reaches("pending", revision=1)
    await client.node.close()
    second = await launch()
    assert (await second.reaches("running"))["pid"] == old["pid"]
    gate.touch()
    await second.reaches("running", revision=1)
    assert not alive(old["pid"])
    await second.settled()


async def test_without_the_chain_a_new_revision_does_not_take_over(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    repository: Repository,
    hello: str,
    rpcs: list[FakeRpc],
    chain: Chain,
    tmp_path: Path,
):
    client = await launch()
    await client.dispatch(data)
    old = await client.reaches("running")
    gate = tmp_path / "gate"
    build = [["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done"]]
    slow = spec_bytes(repository, hello, build=build)
    revise(placed, slow)
    await client.dispatch(slow, revision=1)
    await client.reaches("pending", revision=1)
    rpcs[0].down = True
    await client.rounds()
    gate.touch()
    await client.node.agent.pods()[1].wait_ready()
    await client.rounds(5)
    assert alive(old["pid"])
    assert [one["state"] for one in await client.workloads()] == ["running", "pending"]
    rpcs[0].down = False
    chain.go_on()
    await client.reaches("running", revision=1)
    assert not alive(old["pid"])


async def test_what_no_record_names_is_ended_at_the_start(
    launch: Launch, data: bytes, placed: ChainJob, tmp_path: Path
):
    first = await launch()
    await first.dispatch(data)
    workload = await first.reaches("running")
    await first.node.close()
    for record in (tmp_path / "state" / "jobs").iterdir():
        record.unlink()
    second = await launch()
    assert not alive(workload["pid"])
    assert await second.workloads() == []


async def test_sigterm_ends_the_agent_and_leaves_its_workloads(
    data: bytes, placed: ChainJob, tmp_path: Path, rpcs: list[FakeRpc], launch: Launch
):
    async with agent_process(settings(tmp_path, rpcs)) as agent:
        assert (await agent.client.dispatch(data))[0] == 202
        before = await agent.client.reaches("running")
        assert await agent.terminate() == 0
    assert alive(before["pid"])
    await launch()  # its lock is free again
