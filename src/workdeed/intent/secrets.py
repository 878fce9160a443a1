"""Secrets in a spec: their names, and a sealed box of their values for each license."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from workdeed.intent.fields import Name, Part
from workdeed.protocol.fields import Address, Base64, Positive
from workdeed.protocol.sealing import MAX_BOX_BYTES, MAX_SECRETS

MAX_BOXES = 256


class SealedBox(Part):
    """What one license may open: values of all secrets, encrypted to its node's public key.

    The box also holds whose job it was sealed for, so that nobody else can put it into his spec.

    Attributes:
        node: the node key's address; it opens nothing once another node is linked to the license.

    """

    license_id: Positive
    node: Address
    box: Annotated[Base64, Field(min_length=1, max_length=MAX_BOX_BYTES)]


class Secrets(Part):
    """The names of a job's secrets, and a box for each license that may run it."""

    names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_SECRETS)]
    boxes: Annotated[tuple[SealedBox, ...], Field(min_length=1, max_length=MAX_BOXES)]

    @property
    def licenses(self) -> frozenset[int]:
        """The licenses that it is sealed for."""
        return frozenset(self.by_license)

    @cached_property
    def by_license(self) -> Mapping[int, SealedBox]:
        """The boxes, by license."""
        return {box.license_id: box for box in self.boxes}

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for field, values in (
            ("names", list(self.names)),
            ("boxes", [box.license_id for box in self.boxes]),
        ):
            if values != sorted(set(values)):  # type: ignore[type-var]
                raise ValueError(f"{field} must ascend strictly")
        return self
