"""What every test shares: Hypothesis profiles, and what a skip means in CI."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW_DRAWS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
"""A step of the chain machines deploys and signs: slow by nature, not by a fault of the draws."""

settings.register_profile(
    "quick",
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=SLOW_DRAWS,
)
settings.register_profile(
    "ci",
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=SLOW_DRAWS,
)
settings.register_profile("nightly", settings.get_profile("ci"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
