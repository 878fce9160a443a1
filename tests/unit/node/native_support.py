"""Packages with native plugins, as pip would have installed them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

PIPELINE = "from workdeed.node.native import Pipeline\n\nclass Greeter(Pipeline):\n    pass\n"


def install(
    site: Path,
    files: Mapping[str, str] | None = None,
    *,
    name: str = "greeter",
    version: str = "1.0",
    target: str = "greeter:Greeter",
    editable: Path | None = None,
) -> Path:
    """Put a package with a plugin of the same `name` into the folder `site`; return its metadata.

    With `editable` its files lie in that folder, which must be on the import path.
    """
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[workdeed.plugins]\n{name} = {target}\n")
    record = [f"{info.name}/METADATA,,", f"{info.name}/RECORD,,", "../../../bin/greet,,"]
    if editable is not None:
        url = {"url": editable.as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(url))
    for place, content in (files or {"greeter.py": PIPELINE}).items():
        path = (editable or site) / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        digest = hashlib.sha256(content.encode()).hexdigest()
        record += [f"{place},sha256={digest},{len(content)}"] if editable is None else []
    (info / "RECORD").write_text("\n".join(record) + "\n")
    return info
