"""The peer's bot: writes down when its handler saw each event.

Runs in the virtual environment of Silverback, which has none of this project's packages.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from ape import Contract
from silverback import SilverbackBot, StateSnapshot

_SETUP = json.loads(Path(os.environ["WORKDEED_BENCH_SETUP"]).read_text())
_SEEN = Path(_SETUP["seen"]).open("a", buffering=1)  # noqa: SIM115 - open as long as the bot runs

bot = SilverbackBot()
escrow = Contract(_SETUP["escrow"], abi=_SETUP["abi"])


def ready(_: StateSnapshot) -> None:
    """Say that the bot is up; subscriptions follow at once."""
    _SEEN.write("ready\n")


def saw(log: Any) -> None:
    """Note an event and the time at which it got here."""
    _SEEN.write(f"{log.job_id} {time.time()}\n")


bot.on_startup()(ready)
bot.on_(escrow.JobOpened)(saw)
