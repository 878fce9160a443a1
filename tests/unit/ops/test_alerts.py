"""Alerts name what a keeper shows, each has a runbook and fires when it should."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest

from .ops_support import (
    OPERATIONS,
    OPS,
    ROOT,
    anchors_of,
    labels_of,
    matched_labels,
    named_series,
    ranged_series,
    read_yaml,
    shown_series,
)

FOLDER = OPS / "prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in read_yaml(FOLDER / "alerts.yml")["groups"] for rule in group["rules"]
]
KEEPER_PAGE = (ROOT / "docs" / "keeper.md").read_text(encoding="utf-8")
by_name = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


@by_name
def test_each_names_only_series_that_a_keeper_shows(rule: dict[str, Any]) -> None:
    named = named_series(rule["expr"])
    assert named or "up{" in rule["expr"]
    assert named <= shown_series().keys()


@by_name
def test_rates_are_of_what_only_grows(rule: dict[str, Any]) -> None:
    for function, series in ranged_series(rule["expr"]):
        grows = shown_series()[series].type in ("counter", "histogram")
        assert grows == (function != "delta"), f"{function} of {series}"


@by_name
def test_each_selects_by_labels_that_there_are(rule: dict[str, Any]) -> None:
    for series, label in matched_labels(rule["expr"]):
        assert label in labels_of(series)


@by_name
def test_each_says_how_urgent_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / page == OPERATIONS
    assert anchor == rule["alert"].lower()
    assert anchor in anchors_of(OPERATIONS)


def test_no_name_comes_twice_and_no_runbook_is_left_over() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    described = re.findall(r"(?m)^### (Workdeed\w+)$", OPERATIONS.read_text(encoding="utf-8"))
    assert described == names


def test_every_metric_that_the_page_finds_worth_an_alert_has_one() -> None:
    rows = re.findall(r"(?m)^\| (`workdeed_.+?) \| (.+?) \| (.*?) ?\|$", KEEPER_PAGE)
    assert len(rows) > 20
    alerted = {name for rule in RULES for name in named_series(rule["expr"])}
    bases = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in alerted}
    for metrics, _, condition in rows:
        named = {re.sub(r"_total$", "", one) for one in re.findall(r"workdeed_[a-z_]+", metrics)}
        assert bool(named & bases) == bool(condition), metrics


def test_every_metric_of_a_keeper_is_on_the_page() -> None:
    listed = set(re.findall(r"`(workdeed_[a-z_]+)", KEEPER_PAGE))
    for name, metric in shown_series().items():
        assert metric.name in listed or name in listed, name


def test_every_alert_is_seen_to_fire_and_to_keep_quiet() -> None:
    asked = [
        (one["alertname"], bool(one["exp_alerts"]))
        for test in read_yaml(FOLDER / "alerts.test.yml")["tests"]
        for one in test["alert_rule_test"]
    ]
    assert set(asked) == {(rule["alert"], fires) for rule in RULES for fires in (True, False)}


@pytest.mark.promtool
def test_promtool_takes_the_rules_and_their_tests() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: apt install prometheus")
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(
            [promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
