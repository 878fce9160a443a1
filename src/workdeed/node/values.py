"""Turns what a spec says of variables into the texts that a service is started with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from workdeed.intent import EnvValue, FromNode, FromSecret, FromService, PerNode, Service
from workdeed.node.errors import RunnerError, SecretsError


class ValueMissingError(RunnerError):
    """Another service has not handed on a value yet; it is waited for."""


class Neighbours(Protocol):
    """What a service may read of the other services of its job."""

    async def value_of(self, service: str, value: str) -> str | None:
        """Return what `service` hands on under the name `value`, None while it does not."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a service may be told about its node: license, key's address, where it listens."""

    license: str
    address: str
    host: str


def build_env(service: Service, facts: NodeFacts) -> dict[str, str]:
    """Return the variables for builds: texts and facts, but neither secrets nor others' values.

    A build is kept for later, and must not hold what it was not meant to.
    """
    return {
        name: text
        for name, value in service.env.items()
        if (text := _plain(value, facts)) is not None
    }


async def run_env(
    service: Service, facts: NodeFacts, secrets: Mapping[str, str], neighbours: Neighbours
) -> dict[str, str]:
    """Return the variables that the service itself is started with.

    Raises:
        ValueMissingError: while another service has not handed on what this one reads.
        SecretsError: if a secret is not there.

    """
    env = {}
    for name, value in service.env.items():
        if isinstance(value, FromService):
            text = await neighbours.value_of(value.service, value.value)
            if text is None:
                raise ValueMissingError(f"{value.service} has not handed on {value.value} yet")
            env[name] = text
        elif isinstance(value, FromSecret):
            if value.secret not in secrets:
                raise SecretsError(f"secrets: {value.secret} is not sealed for this license")
            env[name] = secrets[value.secret]
        else:
            env[name] = _plain(value, facts) or ""
    return env


def _plain(value: EnvValue, facts: NodeFacts) -> str | None:
    """Return the text of a value that needs neither secrets nor other services, else None."""
    match value:
        case str():
            return value
        case FromNode():
            return {"license": facts.license, "address": facts.address, "host": facts.host}[
                value.node
            ]
        case PerNode():
            return value.per_node.get(facts.license, value.default)
        case _:
            return None
