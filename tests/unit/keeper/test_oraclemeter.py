"""What an oracle does, as metrics."""

from __future__ import annotations

import errno

import pytest

from workdeed.keeper.metrics import Metrics
from workdeed.keeper.oraclemeter import OracleMeter
from workdeed.oracle.tallies import WindowTally


@pytest.fixture
def meter(metrics: Metrics) -> OracleMeter:
    return OracleMeter(metrics)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_silent_nodes_are_those_without_an_answer_to_the_last_probe(
    meter: OracleMeter, metrics: Metrics
) -> None:
    meter.watching([1, 2, 3])
    meter.probed(1, 0.02, answered=True)
    meter.probed(2, 5.0, answered=False)
    meter.probed(3, 5.0, answered=False)
    assert value(metrics, "workdeed_probed_nodes") == 3
    assert value(metrics, "workdeed_silent_nodes") == 2
    meter.probed(2, 0.3, answered=True)
    assert value(metrics, "workdeed_silent_nodes") == 1
    meter.watching([1, 2])
    assert value(metrics, "workdeed_probed_nodes") == 2
    assert value(metrics, "workdeed_silent_nodes") == 0
    meter.probed(3, 5.0, answered=False)  # it was under way
    assert value(metrics, "workdeed_silent_nodes") == 0


def test_only_answers_are_timed(meter: OracleMeter, metrics: Metrics) -> None:
    meter.probed(1, 0.02, answered=True)
    meter.probed(1, 5.0, answered=False)
    assert value(metrics, "workdeed_probes_total", answer="valid") == 1
    assert value(metrics, "workdeed_probes_total", answer="none") == 1
    assert value(metrics, "workdeed_probe_seconds_count") == 1
    assert value(metrics, "workdeed_probe_seconds_sum") == 0.02
    assert value(metrics, "workdeed_probe_seconds_bucket", le="0.025") == 1
    assert value(metrics, "workdeed_probe_seconds_bucket", le="0.01") == 0


def test_verdicts_and_evidence(meter: OracleMeter, metrics: Metrics) -> None:
    meter.judged(["ok", "bad", "ok"])
    meter.judged(["unknown"])
    meter.kept()
    found = [
        value(metrics, "workdeed_probe_verdicts_total", verdict=one)
        for one in ("ok", "bad", "unknown")
    ]
    assert found == [2, 1, 1]
    assert value(metrics, "workdeed_evidence_total") == 1


def test_windows_are_measured_or_unknown(meter: OracleMeter, metrics: Metrics) -> None:
    meter.closed(6, WindowTally((10_000,)))
    meter.closed(7, WindowTally((65_535,), reason="the chain could not be read"))
    assert value(metrics, "workdeed_observations_total", outcome="measured") == 1
    assert value(metrics, "workdeed_observations_total", outcome="unknown") == 1
    assert value(metrics, "workdeed_observed_window") == 7


def test_turns_signatures_and_refusals(meter: OracleMeter, metrics: Metrics) -> None:
    meter.led("report")
    meter.led("failed")
    meter.led("report")
    meter.signed()
    meter.refused("leaves")
    assert value(metrics, "workdeed_turns_total", outcome="report") == 2
    assert value(metrics, "workdeed_turns_total", outcome="failed") == 1
    assert value(metrics, "workdeed_reports_signed_total") == 1
    assert value(metrics, "workdeed_proposals_refused_total", field="leaves") == 1


def test_faults_count_if_they_are_of_the_disk_or_the_database(
    meter: OracleMeter, metrics: Metrics
) -> None:
    assert value(metrics, "workdeed_storage_errors_total", kind="disk") == 0
    meter.fault(OSError(errno.ENOSPC, "no space left on device"))
    meter.fault(ValueError("broken"))
    assert value(metrics, "workdeed_storage_errors_total", kind="disk") == 1
    assert value(metrics, "workdeed_storage_errors_total", kind="database") == 0
