"""Which images are the runners', and who needs them."""

from pathlib import Path

import pytest

from workdeed.node.drivers.container_images import Image
from workdeed.node.drivers.image_records import ImageRecords
from workdeed.node.errors import StateError

ONE = Image("sha256:1", ("r/a@sha256:1",), ("r/a:v1",), 10)


@pytest.fixture
def records(tmp_path: Path) -> ImageRecords:
    return ImageRecords(tmp_path / "images.json")


def test_records_survive(records: ImageRecords, tmp_path: Path):
    records.add("r/a@sha256:1", ONE, "r/a:v1", "job", 5.0)
    records.use("workload", "r/a@sha256:1", 6.0)
    records.begin("r/b:v1", None)
    again = ImageRecords(tmp_path / "images.json")
    found = again.get("r/a@sha256:1")
    assert found is not None
    assert (found.tags, found.used, found.jobs) == ({"r/a:v1"}, 6.0, {"job"})
    assert again.pending == {"r/b:v1": ""}
    assert again.needed_ids() == {"sha256:1"}
    again.end("r/b:v1")
    assert ImageRecords(tmp_path / "images.json").pending == {}


def test_an_image_is_idle_once_nobody_needs_it(records: ImageRecords):
    for number in range(3):
        image = Image(f"sha256:{number}", (), (), 1)
        records.add(f"r/a@sha256:{number}", image, "", None, float(number))
    records.use("one", "r/a@sha256:0", 9.0)
    assert [pinned[-1] for pinned, _ in records.idle()] == ["2", "1"]
    records.keep(["one"])
    records.release("one")
    assert [pinned[-1] for pinned, _ in records.idle()] == ["0", "2", "1"]
    records.use("two", "r/a@sha256:1", 10.0)
    records.keep([])
    assert [pinned[-1] for pinned, _ in records.idle()] == ["1", "0", "2"]
    records.forget("r/a@sha256:1")
    assert records.get("r/a@sha256:1") is None


def test_once_an_image_needed_no_login_it_is_everybodys(records: ImageRecords):
    def jobs() -> set[str] | None:
        found = records.get("p")
        assert found is not None
        return found.jobs

    records.add("p", ONE, "", "first", 0)
    records.add("p", ONE, "r/a:v2", "second", 0)
    assert jobs() == {"first", "second"}
    records.add("p", ONE, "r/a:v1", None, 0)
    assert jobs() is None
    records.add("p", ONE, "", "third", 0)
    assert jobs() is None
    assert records.tags_of(ONE.id) == {"r/a:v1", "r/a:v2"}


def test_a_login_opens_an_image_by_whatever_name(records: ImageRecords):
    assert records.may_use("second", "r/a@sha256:1", ONE.id)
    records.add("r/a@sha256:1", ONE, "", "first", 0)
    for pinned, image in (("r/a@sha256:1", "other"), ("r/b@sha256:2", ONE.id)):
        assert records.may_use("first", pinned, image)
        assert not records.may_use("second", pinned, image)
    assert records.may_use("second", "r/b@sha256:2", "other")
    records.add("public/a@sha256:1", ONE, "", None, 0)
    assert records.may_use("second", "r/a@sha256:1", ONE.id)


def test_what_comes_during_a_pull_is_nobodys_before_it_is_recorded(records: ImageRecords):
    records.begin("r/a:v1", None, {"sha256:0"})
    records.begin("r/b:v1", None, {"sha256:0", ONE.id})
    assert records.may_use("anybody", "r/a@sha256:0", "sha256:0")
    assert not records.may_use("anybody", "r/a@sha256:1", ONE.id)
    records.add("r/a@sha256:1", ONE, "r/a:v1", "first", 0)
    assert records.may_use("first", "r/a@sha256:1", ONE.id)
    records.end("r/b:v1")
    assert not records.may_use("anybody", "r/a@sha256:2", "sha256:2")
    records.end("r/a:v1")
    assert records.may_use("anybody", "r/a@sha256:2", "sha256:2")


def test_a_pull_that_failed_is_pending_until_what_it_brought_is_recorded(records: ImageRecords):
    records.begin("r/a:v1", None, {"sha256:0"})
    assert records.pending == {}
    records.fail("r/a:v1")
    assert records.pending == {"r/a:v1": ""}
    assert records.others("r/a:v1") == {"sha256:0"}
    assert not records.may_use("anybody", "r/a@sha256:1", ONE.id)
    records.end("r/a:v1")
    assert records.pending == {}
    assert records.others("r/a:v1") == ()
    assert records.may_use("anybody", "r/a@sha256:1", ONE.id)


def test_a_pull_that_could_not_be_noted_keeps_nothing_from_anybody(
    records: ImageRecords, tmp_path: Path
):
    tmp_path.joinpath(".images.json.partial").mkdir()
    with pytest.raises(IsADirectoryError):
        records.begin("r/a:v1", None, {"sha256:0"})
    assert records.may_use("anybody", "r/a@sha256:1", ONE.id)


def test_records_of_a_runner_of_its_own_are_taken_over_once(records: ImageRecords, tmp_path: Path):
    old = tmp_path / "car" / "images.json"
    old.parent.mkdir()
    before = ImageRecords(old)
    before.add("r/a@sha256:1", ONE, "r/a:v1", "first", 5.0)
    before.add("r/b@sha256:2", Image("sha256:2", (), (), 1), "", "first", 1.0)
    before.add("r/c@sha256:3", Image("sha256:3", (), (), 1), "", "first", 1.0)
    before.use("workload", "r/b@sha256:2", 6.0)
    before.begin("r/d:v1", None)
    records.add("r/a@sha256:1", ONE, "r/a:v2", "second", 4.0)
    records.add("r/c@sha256:3", Image("sha256:3", (), (), 1), "", None, 1.0)
    records.take_over(old)
    records.take_over(old)
    assert not old.exists()
    for known in (records, ImageRecords(tmp_path / "images.json")):
        found = known.get("r/a@sha256:1")
        assert found is not None
        assert (found.tags, found.used) == ({"r/a:v1", "r/a:v2"}, 5.0)
        assert found.jobs == {"first", "second"}
        assert known.needed_ids() == {"sha256:2"}
        assert known.pending == {"r/d:v1": ""}
        assert not known.may_use("second", "r/b@sha256:2", "sha256:2")
        assert known.may_use("anybody", "r/c@sha256:3", "sha256:3")


def test_a_damaged_record_to_be_taken_over_says_so(records: ImageRecords, tmp_path: Path):
    old = tmp_path / "old.json"
    old.write_text("{")
    with pytest.raises(StateError, match=r"old\.json is damaged"):
        records.take_over(old)
    assert old.exists()


def test_a_damaged_file_says_so(tmp_path: Path):
    for text in ("{", '{"images": 3}', '{"unknown": {}}'):
        (tmp_path / "images.json").write_text(text)
        with pytest.raises(StateError, match=r"images\.json is damaged"):
            ImageRecords(tmp_path / "images.json")
