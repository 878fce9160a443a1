"""The base class that authors of plugins derive from."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from workdeed.node.native import Context, Pipeline, Refusal


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Context("main", tmp_path, logging.getLogger("test")))


def test_a_plugin_and_its_host_import_nothing_but_the_standard_library():
    script = (
        "import sys; before = set(sys.modules)\n"
        "import workdeed.node.native.host, workdeed.node.native.instance\n"
        "import workdeed.node.native.check\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert printed.strip() == "['workdeed']"


async def test_what_is_not_overridden_is_sensible(pipeline: Pipeline):
    await pipeline.start({})
    assert await pipeline.health() == ""
    with pytest.raises(Refusal, match="no greet"):
        await pipeline.command("greet", {})
    with pytest.raises(Refusal, match="revise the job"):
        await pipeline.configure({"rate": 1})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pipeline.run(), 0.05)
    await pipeline.stop()
