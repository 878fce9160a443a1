"""What a node takes: no more than is paid, and no more than it has."""

from pathlib import Path

import pytest

from workdeed.intent import Spec, load_spec
from workdeed.node import capacity
from workdeed.node.admission import check_class, check_room
from workdeed.node.capacity import Machine, check_offer
from workdeed.node.errors import DispatchRefusedError, SettingsError
from workdeed.node.files import tree_bytes
from workdeed.protocol.messages import Resources

SIZES = ("cpu_milli", "memory_mb", "storage_mb")
PAID = Resources(cpu_milli=500, memory_mb=256, storage_mb=128)
MACHINE = Machine(cpu_milli=2_000, memory_mb=4_000, free_mb=9_000, held_mb=2_000)


def spec(**changes: int) -> Spec:
    """Return a spec that asks for just what is paid, but for `changes`."""
    return load_spec(
        {
            "schema": "workdeed/spec@1",
            "name": "one",
            # What a payer writes here binds nobody.
            "class_id": 99,
            "runner": "war",
            "source": {"git": {"url": "https://example.org/x", "commit": "a" * 40}},
            "run": ["true"],
            "resources": PAID.model_dump() | changes,
        }
    )


def test_what_is_paid_is_taken():
    check_class(spec(), 1, PAID)


@pytest.mark.parametrize("name", SIZES)
def test_more_than_is_paid_is_refused(name: str):
    more = getattr(PAID, name) + 1
    with pytest.raises(
        DispatchRefusedError, match=f"resources.{name}: the spec asks for {more}"
    ) as e:
        check_class(spec(**{name: more}), 1, PAID)
    assert e.value.field == f"spec.resources.{name}"
    assert "class 1" in str(e.value)


@pytest.mark.parametrize("name", SIZES)
def test_jobs_together_get_no_more_than_is_offered(name: str):
    offered = Resources(**{one: 2 * getattr(PAID, one) for one in SIZES})
    held = {1: spec(), 2: spec()}
    check_room(2, spec(), held, offered)  # in place of what job 2 has now
    with pytest.raises(DispatchRefusedError, match="place the job elsewhere"):
        check_room(3, spec(), held, offered)
    with pytest.raises(DispatchRefusedError) as error:
        check_room(2, spec(**{name: getattr(PAID, name) + 1}), held, offered)
    assert error.value.field == f"spec.resources.{name}"


def test_all_that_the_machine_has_may_be_offered():
    check_offer(Resources(cpu_milli=2_000, memory_mb=4_000, storage_mb=10_000), MACHINE, 1_000)


@pytest.mark.parametrize(
    ("name", "most"), [("cpu_milli", 2_000), ("memory_mb", 4_000), ("storage_mb", 10_000)]
)
def test_more_than_the_machine_has_is_not_offered(name: str, most: int):
    offer = Resources(**{"cpu_milli": 1, "memory_mb": 1, "storage_mb": 1} | {name: most + 1})
    with pytest.raises(SettingsError, match=f"resources.{name}: {most + 1} is offered") as error:
        check_offer(offer, MACHINE, 1_000)
    assert f"come to {most};" in str(error.value)
    assert "overcommit" in str(error.value)


def test_a_reserve_above_the_free_space_leaves_nothing_to_offer():
    with pytest.raises(SettingsError, match="come to 0;"):
        check_offer(Resources(cpu_milli=1, memory_mb=1, storage_mb=1), MACHINE, 20_000)


def test_the_machine_is_seen_as_it_is(tmp_path: Path):
    (tmp_path / "workload").write_bytes(bytes(3_000_000))
    found = Machine.of(tmp_path)
    assert found.held_mb == 3
    assert found.cpu_milli >= 1_000
    assert found.cpu_milli % 1_000 == 0
    assert found.memory_mb > 100
    assert found.free_mb > 0


@pytest.mark.parametrize("error", [OSError("File name too long"), RecursionError("too deep")])
def test_a_tree_that_cannot_be_counted_counts_as_nothing_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    trees = tmp_path / "runners" / "war" / "trees"
    for name in ("good", "bad"):
        (trees / name).mkdir(parents=True)
        (trees / name / "file").write_bytes(bytes(2_000_000))
    (tmp_path / "file").write_bytes(bytes(1_000_000))

    def count(folder: Path) -> int:
        if folder.name == "bad" or any(one.name == "bad" for one in folder.rglob("*")):
            raise error
        return tree_bytes(folder)

    monkeypatch.setattr(capacity, "tree_bytes", count)
    assert Machine.of(tmp_path).held_mb == 3
