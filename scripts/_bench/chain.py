"""A local chain with all contracts and as many of their logs as a benchmark wants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from web3 import HTTPProvider
from web3.types import RPCEndpoint

from scripts import gas
from scripts._bench.process import BenchError
from scripts._deployment.artifacts import load_artifacts
from workdeed.chain.deployment import DeployedContract, Deployment, save_deployment
from workdeed.chain.rpc import RpcClient
from workdeed.protocol.hashing import keccak

MEMBERS = 4
OPENINGS = 16
"""Jobs that one transaction opens; each logs one event."""
LOGS_A_BLOCK = OPENINGS + 2 + 1
"""Of a block of `fill`: the openings, an issue with its transfer, and an attestation."""
GAS = 8_000_000
WINDOWS = 50


@dataclass
class Chain:
    """A chain under way.

    Attributes:
        bench: contracts and accounts.
        url: where it answers.
        deployment: the contracts, as a keeper knows them.
        path: the deployment's file.

    """

    bench: gas.Bench
    url: str
    deployment: Deployment
    path: Path

    @contextmanager
    def mining_by_hand(self) -> Iterator[None]:
        """Let blocks come from `mine` alone, instead of one with each transaction."""
        self.request("evm_setAutomine", [False])
        try:
            yield
        finally:
            self.request("evm_setAutomine", [True])

    def mine(self) -> None:
        """Make a block."""
        self.request("evm_mine", [])

    def request(self, method: str, parameters: list[Any]) -> Any:
        """Call a method of the node; raises `BenchError` if it refuses."""
        answer = self.bench.web3.provider.make_request(RPCEndpoint(method), parameters)
        if "error" in answer:
            raise BenchError(f"{method}: {answer['error']}")
        return answer["result"]

    def fill(self, logs: int) -> int:
        """Make blocks until the contracts logged so many events more; return how many it made."""
        blocks = -(-logs // LOGS_A_BLOCK)
        with self.mining_by_hand():
            asyncio.run(self._fill(blocks))
        return blocks

    async def _fill(self, blocks: int) -> None:
        async with RpcClient(self.url, timeout=60.0) as rpc:
            for number in range(blocks):
                for sender, contract, name, arguments in self._calls(number):
                    transaction = {
                        "from": sender,
                        "to": contract.address,
                        "gas": hex(GAS),
                        "data": contract.encode_abi(name, arguments),
                    }
                    await rpc.call("eth_sendTransaction", [transaction])
                await rpc.call("evm_mine")

    def _calls(self, number: int) -> list[tuple[str, Any, str, list[Any]]]:
        bench = self.bench
        opening = (gas.SPEC_HASH, 1, gas.SERVICE, 1, 1, WINDOWS, gas.PRICE)
        account = bench.owners[number % len(bench.owners)]
        attested = [account, gas.VERIFIED, 2**40, keccak(b"%d" % number)]
        return [
            (bench.payer, bench.desk, "open_jobs", [bench.payer, [opening] * OPENINGS]),
            (bench.admin, bench.licenses, "issue", [account, 1]),
            (bench.admin, bench.trust, "attest", attested),
        ]

    def open_jobs(self, spec_hash: bytes, slots: int, jobs: int) -> list[int]:
        """Open jobs of one spec, a full transaction at a time; return their ids."""
        bench = self.bench
        first = int(bench.escrow.functions.job_count().call()) + 1
        opening = (spec_hash, 1, gas.SERVICE, slots, slots, WINDOWS, gas.PRICE)
        for start in range(0, jobs, OPENINGS):
            openings = [opening] * min(OPENINGS, jobs - start)
            bench.send(bench.desk.functions.open_jobs(bench.payer, openings), bench.payer)
        return list(range(first, first + jobs))

    def place_later(self, job_id: int, licenses: list[int]) -> None:
        """Send a placement that is mined with the next block."""
        bench = self.bench
        bench.placement(job_id, licenses).transact({"from": bench.admin, "gas": GAS})

    def open_job_later(self) -> int:
        """Send a job that opens with the next block; return its id."""
        bench = self.bench
        call = bench.escrow.functions.open_job(
            gas.SPEC_HASH, 1, gas.SERVICE, 1, 1, WINDOWS, gas.PRICE
        )
        call.transact({"from": bench.payer, "gas": GAS})
        return int(bench.escrow.functions.job_count().call()) + 1


@contextmanager
def running(folder: Path, members: int = MEMBERS) -> Iterator[Chain]:
    """Start a chain and deploy everything; the deployment's file goes to `folder`.

    Args:
        folder: for the deployment's file.
        members: seats of the committee.

    """
    compiled = {
        name: {
            "abi": [entry.model_dump(mode="json") for entry in made.abi],
            "bytecode": made.get_deployment_bytecode(),
        }
        for name, made in load_artifacts().items()
    }
    with gas.anvil() as web3:
        bench = gas.Bench(web3, compiled, members)
        provider = web3.provider
        if not isinstance(provider, HTTPProvider):
            raise BenchError("anvil: it is not reached over HTTP")
        deployment = _deployment(bench)
        yield Chain(
            bench, str(provider.endpoint_uri), deployment, save_deployment(folder, deployment)
        )


def _deployment(bench: gas.Bench) -> Deployment:
    contracts = {
        "TrustRegistry": bench.trust,
        "FeeVault": bench.vault,
        "NodeLicense": bench.licenses,
        "OracleCommittee": bench.committee,
        "Tariff": bench.tariff,
        "JobDesk": bench.desk,
        "JobEscrow": bench.escrow,
        "TestUSD": bench.token,
    }
    return Deployment(
        chain_id=bench.web3.eth.chain_id,
        genesis=int(bench.committee.functions.GENESIS().call()),
        window=gas.WINDOW,
        challenge=gas.CHALLENGE,
        start_block=0,
        contracts={
            name: DeployedContract(address=contract.address, tx=bytes(32), block=0)
            for name, contract in contracts.items()
        },
    )
