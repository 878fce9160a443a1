"""The plot's axes and labels."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from scripts._bench.plot import Axis, Line, Panel, draw, label


class TestAxis:
    def test_it_spans_whole_decades(self) -> None:
        axis = Axis.over([3.0, 450.0], 0.0, 300.0)
        assert list(axis.decades()) == [1.0, 10.0, 100.0, 1_000.0]
        assert [axis.place(value) for value in axis.decades()] == [0.0, 100.0, 200.0, 300.0]

    def test_it_runs_backwards_where_pixels_do(self) -> None:
        axis = Axis.over([1.0, 100.0], 300.0, 100.0)
        assert axis.place(10.0) == 200.0

    def test_one_power_of_ten_still_has_a_decade(self) -> None:
        assert list(Axis.over([10.0], 0.0, 1.0).decades()) == [10.0, 100.0]

    @pytest.mark.parametrize("values", [[], [1.0, 0.0], [-1.0]])
    def test_what_has_no_logarithm_is_refused(self, values: list[float]) -> None:
        with pytest.raises(ValueError, match="above 0"):
            Axis.over(values, 0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01, "0.01"), (1.0, "1"), (100.0, "100"), (1e3, "1k"), (1e5, "100k"), (1e7, "10M")],
)
def test_labels(value: float, text: str) -> None:
    assert label(value) == text


def test_the_drawing_is_well_formed_and_escapes_names() -> None:
    panel = Panel("a < b", "ms", (Line("x & y", ((1.0, 2.0), (10.0, 20.0))),))
    root = ElementTree.fromstring(draw((panel, panel), "size"))  # noqa: S314 - our own
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("x & y") == 2
    assert texts.count("a < b") == 2
    assert texts.count("size") == 2
