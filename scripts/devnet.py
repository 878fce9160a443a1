"""`make devnet`: a network to try the commands on, until Ctrl-C.

A local chain with the contracts and four oracles, each a process. Nodes, jobs and gateways are the
reader's to bring: what that takes is written to `build/devnet` (an environment with test keys, the
settings of two nodes, a repository and two specs), and README.md has the commands.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from rich.markup import escape

from scripts._demo.ports import free_port, free_ports
from scripts._demo.processes import Crew
from scripts._demo.screen import Screen
from scripts._demo.specs import EVENING, MORNING, ROLLING, git_spec
from scripts._demo.stage import (
    ISSUER,
    OPERATORS,
    ORACLE_OWNERS,
    PAYER,
    ROOT,
    DemoError,
    Stage,
    account_key,
    announce_oracle,
    announce_oracles,
    deploy,
    make_repository,
    start_chain,
    start_oracles,
    wait_until_ready,
    write_node_config,
)
from workdeed.chain.errors import ChainError
from workdeed.intent import encode_spec
from workdeed.protocol.signing import address_of
from workdeed.sdk.errors import SdkError

FOLDER = ROOT / "build" / "devnet"
NODES = (5, 6)
"""The licenses that are issued next: the oracles have those before."""
SPECS = ("hello.json", "hello-2.json")
MARK = ".devnet"
"""Says that a folder is a network's, which may be emptied."""
LOOK_SECONDS = 1.0


async def set_up(crew: Crew, screen: Screen, connections: AsyncExitStack) -> None:
    """Start the network and write what its users need.

    Raises:
        DemoError: if a part does not come up; the text names its log.

    """
    folder, port = crew.folder, free_port()
    rpc_url = f"http://127.0.0.1:{port}"
    start_chain(crew, port)
    crew.warm_up()
    deployment = await deploy(folder, rpc_url)
    screen.say(f"a local chain runs at {rpc_url}, a block each second; contracts deployed")
    url, commit = await asyncio.to_thread(make_repository, folder / "hello.git")
    specs = [git_spec(url, commit, greeting, ROLLING) for greeting in (MORNING, EVENING)]
    stage = Stage(folder, crew, rpc_url, deployment, specs[0], None, "", connections)
    announce_oracles(stage)
    start_oracles(stage)
    owners = enumerate(ORACLE_OWNERS, start=1)
    await asyncio.gather(*(announce_oracle(stage, owner, number) for number, owner in owners))
    await wait_until_ready(stage)
    screen.say(f"{len(stage.keepers)} oracles are ready and see each other")
    write_nodes(stage)
    for name, spec in zip(SPECS, specs, strict=True):
        document = json.loads(encode_spec(spec))
        (folder / name).write_text(json.dumps(document, indent=2) + "\n")
    write_environment(stage)


def write_nodes(stage: Stage) -> None:
    """Write the settings and the key of each node that the reader may run."""
    for license_id, port in zip(NODES, free_ports(len(NODES)), strict=True):
        folder = stage.folder / f"node-{license_id}"
        write_node_config(stage, folder, license_id, port, "enabled = true")
        stage.nodes[license_id] = f"http://127.0.0.1:{port}"


def write_environment(stage: Stage) -> None:
    """Write what a shell sources: where the network is, and the well-known keys of its roles."""
    roles = {"ISSUER": ISSUER, "PAYER": PAYER, "OWNER": OPERATORS[0]}
    values = {
        "WORKDEED_NETWORK": str(stage.folder / "deployment.json"),
        "WORKDEED_RPC": stage.rpc_url,
        "WORKDEED_KEEPERS": " ".join(stage.keepers.values()),
    }
    for role, account in roles.items():
        key = account_key(account)
        values |= {role: address_of(key), f"{role}_KEY": "0x" + key.hex()}
    for license_id, url in stage.nodes.items():
        key_file = stage.folder / f"node-{license_id}" / "node.key"
        values |= {f"NODE_{license_id}": url, f"NODE_{license_id}_KEY_FILE": str(key_file)}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]
    (stage.folder / "env").write_text(
        "# The chain's well-known test keys: never use them elsewhere.\n" + "".join(lines)
    )


async def stay(crew: Crew) -> NoReturn:
    """Wait until a process ends that should not; raises `DemoError` then."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if lost := crew.lost():
            raise DemoError(f"{lost[0]} ended; see {crew.logs(lost[0])}")


async def run(crew: Crew, screen: Screen) -> None:
    """Run the network until Ctrl-C or SIGTERM cancels it."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel if task else lambda: None)
    async with AsyncExitStack() as connections:
        await set_up(crew, screen, connections)
        place = escape(_relative(crew.folder / "env"))
        screen.say(f"ready; in another terminal: source .venv/bin/activate; source {place}")
        screen.say("README.md goes on from there; Ctrl-C ends the network")
        await stay(crew)


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other networks out of `folder`; raises `DemoError` if one runs there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            place = _relative(folder)
            raise DemoError(f"{place}: a network runs there already; end it with Ctrl-C") from error
        yield


def clear(folder: Path) -> None:
    """Empty what an earlier network left; raises `DemoError` where something else lies."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise DemoError(f"{_relative(folder)}: other files lie there; name an empty folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def play(crew: Crew, screen: Screen) -> int:
    """Run a network in the folder of `crew`; return the exit code, 130 after Ctrl-C."""
    try:
        if swept := crew.sweep():
            screen.say(f"ended {swept} processes of an earlier network")
        clear(crew.folder)
        asyncio.run(run(crew, screen))
    except asyncio.CancelledError:
        screen.say("interrupted; ending every process")
        return 130
    except (DemoError, SdkError, ChainError) as error:
        screen.say(f"[red]{escape(str(error))}[/]")
    finally:
        crew.end()
        screen.say("every process has ended")
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="devnet", description="Run a local network.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="its files; it is emptied")
    folder = parser.parse_args(arguments).folder.resolve()
    screen = Screen()
    try:
        with alone(folder):
            return play(Crew(folder), screen)
    except DemoError as error:
        screen.say(f"[red]{escape(str(error))}[/]")
        return 1


if __name__ == "__main__":
    sys.exit(main())
