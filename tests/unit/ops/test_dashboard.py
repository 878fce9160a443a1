"""The dashboard asks for what a keeper shows, and its panels fit the grid."""

from __future__ import annotations

import json
import re
from typing import Any

from .ops_support import (
    OPS,
    labels_of,
    matched_labels,
    named_series,
    ranged_series,
    read_yaml,
    shown_series,
)

OURS = {"job", "instance"}
"""Labels that Prometheus adds to each series."""
WIDTH = 24

BOARD: dict[str, Any] = json.loads((OPS / "grafana" / "keeper.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in GRAPHS for target in panel["targets"]]


def test_it_has_a_row_for_each_part_of_a_keeper() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == ["Chain", "Rounds", "Duties", "Effects and gas", "Oracle", "Nodes"]


def test_it_names_only_series_that_a_keeper_shows() -> None:
    shown = shown_series()
    for expression in EXPRESSIONS:
        assert named_series(expression), expression
        assert named_series(expression) <= shown.keys(), expression
        for function, series in ranged_series(expression):
            assert function in ("rate", "increase")
            assert shown[series].type in ("counter", "histogram"), expression


def test_it_selects_by_labels_that_there_are() -> None:
    for expression in EXPRESSIONS:
        chosen = [label for _, label in matched_labels(expression)]
        assert set(chosen) >= OURS, expression
        for series, label in matched_labels(expression):
            assert label in OURS | labels_of(series), expression


def test_legends_name_labels_that_are_left() -> None:
    """After a sum, a label that it does not keep would show as nothing."""
    for panel in GRAPHS:
        for target in panel["targets"]:
            (series,) = named_series(target["expr"])
            legend = {part.partition("}}")[0] for part in target["legendFormat"].split("{{")[1:]}
            kept = target["expr"].partition("sum by (")[2].partition(")")[0]
            left = set(kept.split(", ")) if kept else OURS | labels_of(series)
            assert legend <= left, target["expr"]


def test_what_an_alert_speaks_of_can_be_looked_at() -> None:
    drawn = {name for expression in EXPRESSIONS for name in named_series(expression)}
    groups = read_yaml(OPS / "prometheus" / "alerts.yml")["groups"]
    alerted = {
        name for group in groups for rule in group["rules"] for name in named_series(rule["expr"])
    }
    # The count of a histogram is part of the panel that draws its buckets.
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in drawn}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in alerted} <= bases


def test_panels_lie_side_by_side_in_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_its_data_source_is_the_viewer_s_choice() -> None:
    variables = {one["name"]: one for one in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert variables.keys() == {"datasource", "job", "instance"}
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in GRAPHS:
        assert panel["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in panel["targets"])
    assert BOARD["schemaVersion"] >= 36
    assert "id" not in BOARD  # the server gives it
