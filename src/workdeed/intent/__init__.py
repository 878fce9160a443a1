"""Deployment intent: its model, validation, canonical bytes and hash."""

from workdeed.intent.codec import encode_spec, load_spec, parse_spec, spec_hash
from workdeed.intent.environment import EnvValue, FromNode, FromSecret, FromService, PerNode
from workdeed.intent.errors import SpecError
from workdeed.intent.health import CommandCheck, DelayCheck, HealthCheck, HttpCheck, TcpCheck
from workdeed.intent.rollout import Canary, Recreate, Rolling, Rollout
from workdeed.intent.secrets import SealedBox, Secrets
from workdeed.intent.service import (
    MAIN,
    ExtraPort,
    FileVolume,
    FixedVolume,
    NamedVolume,
    Port,
    Resources,
    Restart,
    Service,
    Sibling,
    Volume,
)
from workdeed.intent.sources import Credentials, GitSource, ImageSource, PluginSource, Source
from workdeed.intent.spec import PlacementRules, Spec

__all__ = [
    "MAIN",
    "Canary",
    "CommandCheck",
    "Credentials",
    "DelayCheck",
    "EnvValue",
    "ExtraPort",
    "FileVolume",
    "FixedVolume",
    "FromNode",
    "FromSecret",
    "FromService",
    "GitSource",
    "HealthCheck",
    "HttpCheck",
    "ImageSource",
    "NamedVolume",
    "PerNode",
    "PlacementRules",
    "PluginSource",
    "Port",
    "Recreate",
    "Resources",
    "Restart",
    "Rolling",
    "Rollout",
    "SealedBox",
    "Secrets",
    "Service",
    "Sibling",
    "Source",
    "Spec",
    "SpecError",
    "TcpCheck",
    "Volume",
    "encode_spec",
    "load_spec",
    "parse_spec",
    "spec_hash",
]
