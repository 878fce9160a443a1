"""All together: a job with secrets runs where they open, and a stop is paid for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from keeper_support import PAYER, signer_of
from test_whole_job import World, eventually, spec, world

from workdeed.intent import Spec, load_spec
from workdeed.sdk.errors import EndpointError, SdkError
from workdeed.sdk.noderequests import NodeRequests, Replica
from workdeed.sdk.secrets import Sealed

__all__ = ["spec", "world"]  # fixtures

pytestmark = pytest.mark.anvil

VALUE = "s3cret-greeting"
OK, BAD = ("workdeed_probe_verdicts_total " + one for one in ("ok", "bad"))


@pytest.fixture
def secret_spec(spec: Spec) -> Spec:
    document = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    document["env"]["GREETING"] = {"secret": "greeting"}
    return load_spec(document)


async def sealed(world: World, spec: Spec) -> Sealed:
    """Seal once the keeper knows the node."""
    payer = await world.client(PAYER)

    async def found() -> Sealed | None:
        try:
            return await payer.seal_new(spec, {"greeting": VALUE}, slots=1, spares=0)
        except SdkError:
            return None

    return await eventually(found)


def files_that_show(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if VALUE.encode() in path.read_bytes()]


async def greeting(requests: NodeRequests, replica: Replica) -> str | None:
    """Return what the workload greets with, None while it is not up."""
    await asyncio.sleep(0.2)
    try:
        (port,) = [one.port for one in (await requests.inspect(replica)).ports]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/") as answer,
        ):
            return str((await answer.json())["greeting"])
    except (EndpointError, aiohttp.ClientError, ValueError):
        return None


async def test_secrets_reach_the_workload_and_a_stop_by_the_payer_is_served(
    world: World, secret_spec: Spec, tmp_path: Path
) -> None:
    await world.start_node()
    async with world.keeper():
        payer = await world.client(PAYER)
        await payer.faucet(10**9)
        ready = await sealed(world, secret_spec)
        assert ready.licenses == (world.license_id,)
        job_id = await payer.open_job(ready.spec, slots=1, windows=20)
        placed = await world.job(job_id, lambda view: view.job.active == 1)
        requests = NodeRequests(payer.session, signer_of(PAYER))
        (replica,) = await requests.replicas(placed)
        assert await eventually(lambda: greeting(requests, replica)) == VALUE
        assert b"GET / HTTP" in (await requests.logs(replica)).data
        await requests.stop(replica)
        await eventually(lambda: state_is(requests, replica, "stopped"))

        async def probed(more: int) -> dict[str, float]:
            begin = (await world.metrics())[OK]

            async def enough() -> dict[str, float] | None:
                found = await world.metrics()
                return found if found[OK] >= begin + more else None

            return await eventually(enough)

        before = await probed(2)  # what was under way while it ended is counted by now
        after = await probed(8)
        assert after[BAD] == before[BAD]

        await requests.resume(replica)
        await eventually(lambda: state_is(requests, replica, "running"))
        assert await eventually(lambda: greeting(requests, replica)) == VALUE
    assert files_that_show(tmp_path) == []


async def state_is(requests: NodeRequests, replica: Replica, state: str) -> bool | None:
    await asyncio.sleep(0.2)
    try:
        return (await requests.inspect(replica)).state == state or None
    except EndpointError:
        return None
