"""A process that submits one effect and kills itself when it has passed a stage; see the tests."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from contract_support import PAYER

from workdeed.chain.bindings.codec import Call, nothing
from workdeed.chain.effects import Effect
from workdeed.chain.outbox import Outbox
from workdeed.chain.rpc import RpcClient
from workdeed.chain.store import Store


async def main(order: dict[str, Any]) -> None:
    def observe(stage: str, _: str) -> None:
        if stage == order["stage"]:
            os.kill(os.getpid(), signal.SIGKILL)

    call = Call(order["to"], bytes.fromhex(order["data"]), "Counter.act", nothing)
    store = Store.open(order["database"])
    async with RpcClient(order["url"], timeout=30) as rpc:
        outbox = Outbox(rpc, store, PAYER, chain_id=await rpc.chain_id(), observer=observe)
        async with outbox:
            await outbox.submit(Effect("act:7", call))
            for _ in range(5):
                await outbox.step()


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
