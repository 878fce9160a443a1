"""Wakes a keeper at each block, for those who run Silverback already.

The keeper decides and acts by itself; this only saves it the wait for its next poll. Run it on the
keeper's machine, in an environment with silverback, with `KEEPER_URL` if the port is another:

    silverback run ops/silverback/bot:bot --network ethereum:sepolia
"""

import os
import urllib.request
from typing import Any

from ape import chain
from silverback import SilverbackBot

KEEPER_URL = os.environ.get("KEEPER_URL", "http://127.0.0.1:8600")

bot = SilverbackBot()


def wake(_: Any) -> None:
    """Ask the keeper to look at the chain now."""
    request = urllib.request.Request(f"{KEEPER_URL}/wake", method="POST")  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=2):  # noqa: S310
        pass


bot.on_(chain.blocks)(wake)
