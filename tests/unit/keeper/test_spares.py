"""Jobs whose secrets are sealed for too few licenses are told of."""

from __future__ import annotations

from typing import Any

import pytest
from books_support import Chain

from workdeed.chain.bindings import desk, licenses
from workdeed.chain.bindings.escrow import BATCH
from workdeed.intent import SealedBox, Secrets, Spec, load_spec
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.spares import PAUSE, SpareWatch
from workdeed.placement import Profiles
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import NodeProfile, Resources, sign
from workdeed.protocol.signing import address_of, public_key_of, to_checksum

DOMAIN = Domain(COMMITTEE_DOMAIN, 31_337, to_checksum(b"\xcc" * 20))


class Bench:
    """A job on licenses that secrets are sealed for, and the watch."""

    def __init__(self, chain: Chain, once: OnceLog, metrics: Metrics, least: int = 1) -> None:
        self.chain = chain
        self.metrics = metrics
        self.profiles = Profiles(DOMAIN)
        self.specs: dict[bytes, Spec] = {}
        self.now = 0.0
        self.watch = SpareWatch(
            self.profiles, self.specs.get, least, once, metrics, now=lambda: self.now
        )

    def node(self, license_id: int, **changes: Any) -> None:
        key = keccak(b"node %d" % license_id)
        offer = Resources(cpu_milli=2_000, memory_mb=4_096, storage_mb=8_192)
        content = {
            "chain_id": 31_337,
            "license_id": license_id,
            "node": address_of(key),
            "resources": offer,
            "tags": (),
            "runners": ("war",),
            "public_key": public_key_of(key),
        }
        profile = sign(NodeProfile(**(content | changes)), DOMAIN, key)
        self.profiles.add(profile)
        owner = to_checksum(license_id.to_bytes(20, "big"))
        self.chain.log(licenses.LicenseIssued(license_id, owner, licenses.NODE))
        self.chain.log(licenses.BondedSet(license_id, True))
        self.chain.log(licenses.NodeLinked(license_id, profile.node, owner))
        self.chain.log(licenses.ProfileSet(license_id, profile.profile_hash, "http://node"))

    def seal(self, *sealed_for: int, spec: bytes = b"spec") -> None:
        document = {
            "name": "hello",
            "class_id": 1,
            "runner": "war",
            "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
            "run": ["true"],
            "env": {"TOKEN": {"secret": "token"}},
            "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
        }
        boxes = tuple(
            SealedBox(license_id=one, node=address_of(keccak(b"node %d" % one)), box=b"box")
            for one in sealed_for
        )
        secrets = Secrets(names=("token",), boxes=boxes) if boxes else None
        found = load_spec(document).model_copy(update={"secrets": secrets})
        self.specs[keccak(spec)] = found

    async def short(self) -> int:
        self.now += PAUSE
        await self.watch.run(self.chain.view())
        return int(self.metrics.registry.get_sample_value("workdeed_jobs_short_of_spares") or 0)


@pytest.fixture
def bench(chain: Chain, once: OnceLog, metrics: Metrics) -> Bench:
    made = Bench(chain, once, metrics)
    for license_id in (1, 2, 3):
        made.node(license_id)
    made.seal(1, 2)
    chain.open_job(slots=1)
    chain.place(1, [1])
    return made


async def test_a_job_with_a_spare_is_fine(bench: Bench) -> None:
    assert await bench.short() == 0


async def test_a_job_without_one_is_told_of_until_it_is_sealed_anew(
    bench: Bench, log_lines: list[dict[str, Any]]
) -> None:
    bench.chain.freeze(2)
    assert await bench.short() == 1
    assert await bench.short() == 1
    (told,) = [line for line in log_lines if line["event"] == "trouble"]
    assert told["where"] == "spares of job 1"
    assert "sealed for 0 eligible licenses" in told["reason"]
    assert told["reason"].endswith("seals anew by `workdeed update` with --secret")
    bench.seal(1, 2, 3)
    assert await bench.short() == 0
    assert log_lines[-1]["event"] == "trouble_over"


async def test_a_license_that_must_take_a_free_slot_is_no_spare(bench: Bench) -> None:
    bench.chain.log(desk.JobScaled(1, bench.chain.window, 2, 200_000, 0, 0, ()))
    assert await bench.short() == 1


async def test_a_full_license_and_one_that_never_was_are_no_spares(bench: Bench) -> None:
    bench.seal(1, 99)
    assert await bench.short() == 1
    bench.node(4, resources=Resources(cpu_milli=499, memory_mb=4_096, storage_mb=8_192))
    bench.seal(1, 4)
    assert await bench.short() == 1


@pytest.mark.parametrize("how", ["no secrets", "no spec", "cancelled", "batch"])
async def test_jobs_that_need_none_are_left_out(bench: Bench, how: str) -> None:
    bench.chain.freeze(2)
    if how == "no secrets":
        bench.seal()
    elif how == "no spec":
        bench.specs.clear()
    elif how == "cancelled":
        bench.chain.log(desk.JobCancelled(1, 3, 0, 0))
    else:
        bench.chain.open_job(2, kind=BATCH, spec=b"batch")
        bench.seal(1, spec=b"batch")
        bench.chain.log(desk.JobCancelled(1, 3, 0, 0))
    assert await bench.short() == 0


async def test_it_looks_once_in_a_while(bench: Bench) -> None:
    assert await bench.short() == 0
    bench.chain.freeze(2)
    await bench.watch.run(bench.chain.view())
    assert bench.metrics.registry.get_sample_value("workdeed_jobs_short_of_spares") == 0
    assert await bench.short() == 1


async def test_how_many_are_asked_for_is_a_setting(
    chain: Chain, once: OnceLog, metrics: Metrics
) -> None:
    for least, short in ((0, 0), (1, 1)):
        bench = Bench(chain, once, metrics, least)
        if least == 0:
            bench.node(1)
            chain.open_job(slots=1)
            chain.place(1, [1])
        bench.seal(1)
        assert await bench.short() == short
