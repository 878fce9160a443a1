"""What the agent hands to the host of a plugin."""

from pathlib import Path
from typing import Any

import pytest

from workdeed.node.native.order import MAX_INSTANCES, Order, OrderError, instances_of, packages_of


def test_a_configuration_without_instances_is_that_of_main():
    assert instances_of({}) == {"main": {}}
    assert instances_of({"rate": 3}) == {"main": {"rate": 3}}


def test_instances_have_their_own():
    named = {"instances": {"a": {"rate": 1}, "b-2": {}}}
    assert instances_of(named) == {"a": {"rate": 1}, "b-2": {}}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"instances": {}}, "1 to 32"),
        ({"instances": []}, "1 to 32"),
        ({"instances": {str(n): {} for n in range(MAX_INSTANCES + 1)}}, "1 to 32"),
        ({"instances": {"a": {}}, "rate": 1}, "stands alone"),
        ({"instances": {"a": 1}}, r"instances\.a: it is no object"),
        ({"instances": {"../a": {}}}, "lower-case"),
        ({"instances": {"-a": {}}}, "lower-case"),
        ({"instances": {"": {}}}, "lower-case"),
        ({"instances": {"a" * 33: {}}}, "lower-case"),
    ],
)
def test_a_wrong_one_is_refused_with_the_field(config: dict[str, Any], sentence: str):
    with pytest.raises(OrderError, match=sentence):
        instances_of(config)


def test_it_is_read_as_it_was_written(tmp_path: Path):
    order = Order("module:Class", packages_of(tmp_path), {"main": {"rate": 1}})
    order.write(tmp_path)
    assert Order.read(tmp_path) == order


@pytest.mark.parametrize("content", [None, b"{", b"{}"])
def test_one_that_can_not_be_read_says_so(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / "order.json").write_bytes(content)
    with pytest.raises(OrderError, match="order: it can't be read"):
        Order.read(tmp_path)
