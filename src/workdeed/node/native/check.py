"""A health check as a command: ends with code 0 if all instances of the service are well."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from workdeed.node.native.order import CHANNEL, SOCKET
from workdeed.node.native.wire import WireError, frame, read_frame


async def check(tree: Path) -> str:
    """Return why the service in `tree` is not well, "" if it is.

    It runs in the tree: a longer path than a socket may have is not expected here.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(tree / CHANNEL / SOCKET))
        writer.write(frame({"do": "health"}))
        reply = await read_frame(reader)
        writer.close()
    except (OSError, WireError) as error:
        return f"the host can't be asked ({error})"
    found: dict[str, Any] = (reply or {}).get("value") or {}
    ill = [f"{name}: {one['problem']}" for name, one in found.items() if not one["well"]]
    return "; ".join(ill) if found else "the host does not answer"


if __name__ == "__main__":
    sys.exit(asyncio.run(check(Path())) or 0)
