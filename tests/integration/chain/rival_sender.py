"""A process that shares a sender with others and is killed or paused at a stage; see the tests."""

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
from sqlalchemy import update
from sqlalchemy.orm import Session

from workdeed.chain.bindings.codec import Call, nothing
from workdeed.chain.effects import Effect
from workdeed.chain.errors import ChainError
from workdeed.chain.leases import Lease, new_holder, sender_lease
from workdeed.chain.outbox import Outbox
from workdeed.chain.rpc import RpcClient
from workdeed.chain.store import Store
from workdeed.chain.tables import EffectRow


def end_or_pause(order: dict[str, Any]) -> None:
    """Do to this process what the test wants done, once."""
    order["stage"] = None
    if order["end"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print("paused", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)


async def main(order: dict[str, Any]) -> None:
    def observe(stage: str, _: str) -> None:
        if stage == order["stage"]:
            end_or_pause(order)

    call = Call(order["to"], bytes.fromhex(order["data"]), "Counter.act", nothing)
    store = Store.open(order["database"])
    async with RpcClient(order["url"], timeout=30) as rpc:
        chain_id = await rpc.chain_id()
        name = sender_lease(chain_id, PAYER.address)
        lease = Lease(store, name, holder=new_holder(), ttl=order["ttl"])
        outbox = Outbox(rpc, store, PAYER, chain_id=chain_id, observer=observe, lease=lease)
        async with outbox:
            await outbox.submit(Effect("act:7", call))
            if order["stage"] == "inside":
                await write_late(order, store, lease)
            for _ in range(5):
                await outbox.step()


async def write_late(order: dict[str, Any], store: Store, lease: Lease) -> None:
    """Pause in the middle of a write that the lease allowed."""
    fence = lease.fence()

    def work(session: Session) -> None:
        fence(session)
        if order["stage"] == "inside":
            end_or_pause(order)
        session.execute(update(EffectRow).values(reason="written late"))

    await store.transaction(work)


if __name__ == "__main__":
    try:
        asyncio.run(main(json.load(sys.stdin)))
    except ChainError as error:
        print(type(error).__name__, flush=True)
    else:
        print("done", flush=True)
