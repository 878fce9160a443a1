"""What tests of `ops/` share: where things are, and which series a keeper shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.metrics_core import Metric

from workdeed.keeper.metrics import Metrics

ROOT = Path(__file__).parents[3]
OPS = ROOT / "ops"
OPERATIONS = ROOT / "docs" / "operations.md"

_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}
_NAME = re.compile(r"\bworkdeed_[a-z_]+")
_RANGE = re.compile(r"\b(rate|increase|resets|delta)\((workdeed_[a-z_]+)")


def shown_series() -> dict[str, Metric]:
    """Return the metrics of a keeper by the name of each series that Prometheus gets of them."""
    return {
        metric.name + suffix: metric
        for metric in Metrics().registry.collect()
        for suffix in _SUFFIXES[metric.type]
    }


def labels_of(series: str) -> set[str]:
    """Return the labels that a series has; `le` is a bucket's."""
    metrics = Metrics()
    name = re.sub(r"_(total|bucket|count|sum)$", "", series)
    (found,) = {
        collector
        for names, collector in (
            (names, collector) for collector, names in metrics.registry._collector_to_names.items()
        )
        if name in names
    }
    return {*found._labelnames, *({"le"} if series.endswith("_bucket") else ())}


def named_series(expression: str) -> set[str]:
    """Return the series of ours that a PromQL expression names."""
    return set(_NAME.findall(expression))


def ranged_series(expression: str) -> Iterator[tuple[str, str]]:
    """Yield (function, series) for each function over a range that an expression calls."""
    for found in _RANGE.finditer(expression):
        yield found[1], found[2]


def matched_labels(expression: str) -> Iterator[tuple[str, str]]:
    """Yield (series, label) for each label that an expression selects by."""
    for series, content in re.findall(r"(workdeed_[a-z_]+)\{([^}]*)\}", expression):
        for label in re.findall(r"([a-z_]+)\s*[=!]~?", content):
            yield series, label


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual readers make them."""
    titles = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
