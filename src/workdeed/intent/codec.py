"""From what a person wrote to the canonical bytes that all processes hash, and back.

A document may leave out what has a default; the canonical bytes never do, so that one intent has
one hash and no later default can change what an old hash means.
"""

import json
from typing import Any

from pydantic import ValidationError

from workdeed.intent.errors import SpecError
from workdeed.intent.fields import TAG_MARK
from workdeed.intent.spec import Spec
from workdeed.protocol.canonical import canonical_bytes, parse_canonical
from workdeed.protocol.errors import CanonicalError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_SPEC_BYTES


def load_spec(document: object) -> Spec:
    """Return the intent in a parsed JSON or TOML document; defaults are filled in.

    Raises:
        SpecError: naming the first field at fault.

    """
    try:
        return Spec.model_validate_json(json.dumps(document), strict=True)
    except (TypeError, ValueError) as error:
        raise _spec_error(error) from error


def encode_spec(spec: Spec) -> bytes:
    """Return the canonical bytes of `spec`, at most `MAX_SPEC_BYTES`; absent parts are left out.

    Raises:
        SpecError: if they are longer, hold text that no canonical JSON can, or use a secret that is
            not sealed.

    """
    if spec.sealing_problem:
        raise SpecError(spec.sealing_problem, "secrets")
    content: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    try:
        data = canonical_bytes(content)
    except CanonicalError as error:
        raise SpecError(str(error)) from error
    return _bounded(data)


def parse_spec(data: bytes) -> Spec:
    """Return the intent whose canonical bytes are exactly `data`.

    Raises:
        SpecError: if they are too long, not canonical, not valid, or leave out a default.

    """
    try:
        spec = load_spec(parse_canonical(_bounded(data)))
    except CanonicalError as error:
        raise SpecError(str(error)) from error
    if encode_spec(spec) != data:
        raise SpecError("it leaves out fields that have a default; write them as encode_spec does")
    return spec


def spec_hash(data: bytes) -> bytes:
    """Return the 32-byte hash of canonical spec bytes, as the escrow holds it."""
    return keccak(data)


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_SPEC_BYTES:
        raise SpecError(f"it has {len(data)} bytes; at most {MAX_SPEC_BYTES} are taken")
    return data


def _spec_error(error: Exception) -> SpecError:
    if not isinstance(error, ValidationError):
        return SpecError(f"it is no JSON document ({error})")
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    parts = [str(part) for part in first["loc"]]
    field = ".".join(part for part in parts if not part.startswith(TAG_MARK))
    return SpecError(first["msg"].removeprefix("Value error, "), field)
