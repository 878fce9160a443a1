"""Deployment intent: its model, validation, canonical bytes and hash."""

from workdeed.intent.codec import encode_spec, load_spec, parse_spec, spec_hash
from workdeed.intent.errors import SpecError
from workdeed.intent.spec import (
    GitSource,
    HealthCheck,
    PlacementRules,
    Port,
    Resources,
    Rollout,
    Source,
    Spec,
)

__all__ = [
    "GitSource",
    "HealthCheck",
    "PlacementRules",
    "Port",
    "Resources",
    "Rollout",
    "Source",
    "Spec",
    "SpecError",
    "encode_spec",
    "load_spec",
    "parse_spec",
    "spec_hash",
]
