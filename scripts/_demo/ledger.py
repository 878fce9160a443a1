"""The books of the demo, from the chain's logs alone.

Nothing here comes from the keepers or from their reducer: logs are decoded by web3 and added up by
the rules of `docs/contracts`, so that a mistake of the keepers shows as a difference.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from eth_abi.codec import ABICodec
from eth_utils.abi import event_abi_to_log_topic
from hexbytes import HexBytes
from web3._utils.abi import build_strict_registry
from web3._utils.events import get_event_data
from web3.types import LogReceipt

from workdeed.chain.rpc import RpcClient
from workdeed.protocol.hashing import keccak

UNIT = 10_000
FULL_BPS = 10_000
POTS = ("oracles", "burn", "treasury")


_Pair = tuple[str, int, str, int]
"""A name and a figure, and another name with the figure that must be equal."""


@dataclass(frozen=True)
class Entry:
    """A decoded event: the contract's name, its own name, its fields, and where it stands."""

    contract: str
    name: str
    fields: Mapping[str, Any]
    block: int


@dataclass(frozen=True)
class Shares:
    """The fee shares of a policy version, in basis points."""

    oracles: int
    burn: int
    treasury: int

    @property
    def fees(self) -> int:
        """What is kept of a claim's gross."""
        return self.oracles + self.burn + self.treasury

    def split(self, total: int) -> dict[str, int]:
        """Return what each pot gets of all fees so far: the treasury's is cut off first."""
        first = self.oracles + self.burn
        both = total * first // self.fees if self.fees else 0
        oracles = both * self.oracles // first if first else 0
        return dict(zip(POTS, (oracles, both - oracles, total - both), strict=True))


@dataclass
class Account:
    """One job, in base units of the token; units by license.

    Attributes:
        policy: the policy version that it was opened under.
        funded_units: by the rules of money; `wrong` tells where an event says otherwise.

    """

    job_id: int
    price: int
    policy: int
    fee_bps: int
    slots: int
    windows: int
    deposited: int
    funded_units: int
    refunded: int = 0
    paid: int = 0
    state: str = "open"
    units: dict[int, int] = field(default_factory=dict)
    earned: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    payees: dict[int, str] = field(default_factory=dict)
    placed: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    end: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def fees(self) -> int:
        """What was kept of the claims: rounded down on each license's cumulative gross."""
        return sum(self._gross(units) * self.fee_bps // FULL_BPS for units in self.units.values())

    @property
    def unclaimed(self) -> int:
        """What is still locked."""
        return self.deposited - self.refunded - self.paid - self.fees

    @property
    def reallocations(self) -> int:
        """Placements that replaced a license."""
        return sum(1 for _, release, assign in self.placed if release and assign)

    def expected_operators_share(self) -> int:
        """Return what the rules of money give the operators for the units that were credited."""
        gross = sum(self._gross(units) for units in self.units.values())
        return gross - self.fees

    def expected_refund(self) -> int:
        """Return what the rules of money give back, from the units that were bought and kept."""
        return self.deposited - self._gross(self.funded_units)

    def fund(self, units: int, event: Mapping[str, Any]) -> None:
        """Set the funded units, which an event must say as well."""
        self.funded_units = units
        told = event["funded_units"]
        if told != units:
            self.wrong.append(f"job {self.job_id}: funded units {told} are not the rules' {units}")

    def windows_left(self, window: int) -> int:
        """Return how many windows begin after this one."""
        return self.end - window - 1 if self.end else self.windows

    def _gross(self, units: int) -> int:
        return self.price * units // UNIT


class Ledger:
    """Follows the logs of a deployment from its first block."""

    def __init__(self, rpc: RpcClient, contracts: Mapping[str, str], start_block: int) -> None:
        self._rpc = rpc
        self._names = {address.lower(): name for name, address in contracts.items()}
        self._events = _event_table(contracts)
        self._codec = _codec()
        self._next = start_block
        self.contracts = contracts
        self.jobs: dict[int, Account] = {}
        self.reports: list[int] = []
        self.roots: dict[int, bytes] = {}
        self.vetoed: list[int] = []
        self.shares: dict[int, Shares] = {}
        self.flushed: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(POTS, 0))
        self.booked = dict.fromkeys(POTS, 0)
        self.pulled = dict.fromkeys(POTS, 0)
        self.token_in = 0
        self.token_out = 0
        self.vault_in = 0
        self.vault_out = 0

    async def advance(self) -> list[Entry]:
        """Read what is new and book it; return it."""
        head = int(await self._rpc.call("eth_blockNumber", []), 16)
        if head < self._next:
            return []
        query = {
            "fromBlock": hex(self._next),
            "toBlock": hex(head),
            "address": list(self.contracts.values()),
        }
        logs = await self._rpc.call("eth_getLogs", [query])
        self._next = head + 1
        entries = [entry for log in logs if (entry := self._decode(log))]
        for entry in entries:
            self._book(entry)
        return entries

    def _decode(self, log: dict[str, Any]) -> Entry | None:
        name = self._names[log["address"].lower()]
        abi = self._events.get((name, log["topics"][0]))
        if abi is None:
            return None
        data = get_event_data(self._codec, abi, _receipt(log))
        return Entry(name, data["event"], dict(data["args"]), int(log["blockNumber"], 16))

    def _book(self, entry: Entry) -> None:
        handler = getattr(self, f"_on_{entry.contract}_{entry.name}", None)
        if handler is not None:
            handler(entry.fields)

    def _on_Tariff_PolicyAdded(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        shares = Shares(event["oracle_bps"], event["burn_bps"], event["treasury_bps"])
        self.shares[event["policy_version"]] = shares

    def _on_JobEscrow_JobOpened(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        self.jobs[event["job_id"]] = Account(
            job_id=event["job_id"],
            price=event["price"],
            policy=event["policy_version"],
            fee_bps=self.shares[event["policy_version"]].fees,
            slots=event["slots"],
            windows=event["windows"],
            deposited=event["deposit"],
            funded_units=event["slots"] * event["windows"] * UNIT,
        )

    def _on_JobEscrow_Placed(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        job = self.jobs[event["job_id"]]
        job.placed.append((event["window"], tuple(event["release"]), tuple(event["assign"])))
        job.end = event["end"]
        if job.state == "open":
            job.state = "running"

    def _on_JobEscrow_Claimed(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        job = self.jobs[event["job_id"]]
        license_id = event["license_id"]
        job.units[license_id] = event["units"]
        job.earned[license_id] += event["amount"]
        job.payees[license_id] = event["payee"]
        job.paid += event["amount"]

    def _on_JobDesk_JobExtended(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        job = self.jobs[event["job_id"]]
        job.deposited += event["deposit"]
        job.windows += event["windows"]
        job.fund(job.funded_units + job.slots * event["windows"] * UNIT, event)
        job.end = event["end"]

    def _on_JobDesk_JobScaled(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        job = self.jobs[event["job_id"]]
        more = (event["slots"] - job.slots) * job.windows_left(event["window"])
        job.fund(job.funded_units + more * UNIT, event)
        job.slots = event["slots"]
        job.deposited += event["deposit"]
        job.refunded += event["refund"]
        if event["release"]:
            job.placed.append((event["window"], tuple(event["release"]), ()))

    def _on_JobDesk_JobCancelled(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        job = self.jobs[event["job_id"]]
        job.refunded += event["refund"]
        job.fund(job.funded_units - job.slots * (job.end - event["end"]) * UNIT, event)
        job.end = event["end"]
        job.state = "cancelled"

    def _on_JobEscrow_FeesFlushed(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        flushed = self.flushed[event["policy_version"]]
        parts = (event["oracles"], event["burned"], event["treasury"])
        for name, amount in zip(POTS, parts, strict=True):
            flushed[name] += amount

    def _on_FeeVault_Booked(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        for name in POTS:
            self.booked[name] += event[name]

    def _on_FeeVault_Pulled(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        self.pulled[POTS[event["pot"]]] += event["amount"]

    def _on_JobEscrow_JobClosed(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        job = self.jobs[event["job_id"]]
        job.refunded += event["refund"]
        job.funded_units = event["funded_units"]
        job.state = "closed"

    def _on_OracleCommittee_ReportSubmitted(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        self.reports.append(event["window"])
        self.roots[event["window"]] = bytes(event["root"])

    def _on_TestUSD_Transfer(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        sender, receiver, amount = event.values()
        escrow, vault = self.contracts["JobEscrow"], self.contracts["FeeVault"]
        self.token_in += amount * (receiver == escrow)
        self.token_out += amount * (sender == escrow)
        self.vault_in += amount * (receiver == vault)
        self.vault_out += amount * (sender == vault)

    def total(self, name: str) -> int:
        """Return the sum of a column over all jobs, in base units of the token."""
        return sum(getattr(job, name) for job in self.jobs.values())

    @property
    def handed_on(self) -> int:
        """The fees that the escrow handed to the vault."""
        return sum(sum(parts.values()) for parts in self.flushed.values())

    async def differences(self) -> list[str]:
        """Compare the books with themselves and the contracts; return what differs."""
        pairs = [*await self._escrow_pairs(), *await self._vault_pairs()]
        for job in self.jobs.values():
            shares = job.expected_operators_share()
            pairs.append((f"job {job.job_id}: paid", job.paid, "the rules' share", shares))
            refund = job.expected_refund()
            pairs.append((f"job {job.job_id}: refunded", job.refunded, "the rules' refund", refund))
        wrong = [text for job in self.jobs.values() for text in job.wrong]
        return wrong + [f"{a} {x} is not {b} {y}" for a, x, b, y in pairs if x != y]

    async def _escrow_pairs(self) -> list[_Pair]:
        """Return what must be equal of the escrow's money."""
        escrow, token = self.contracts["JobEscrow"], self.contracts["TestUSD"]
        balance = await self._view(token, "balanceOf(address)", int(escrow, 16))
        liabilities = await self._view(escrow, "liabilities()")
        held = self.total("fees") + self.total("unclaimed") - self.handed_on
        gone = self.total("paid") + self.total("refunded") + self.handed_on
        return [
            ("deposits", self.total("deposited"), "token that came in", self.token_in),
            ("payments, refunds and fees", gone, "token that went out", self.token_out),
            ("fees and unclaimed", held, "the escrow's balance", balance),
            ("fees and unclaimed", held, "the escrow's liabilities", liabilities),
        ]

    async def _vault_pairs(self) -> list[_Pair]:
        """Return what must be equal of the fees: taken, handed on, booked, pulled."""
        vault, token = self.contracts["FeeVault"], self.contracts["TestUSD"]
        balance = await self._view(token, "balanceOf(address)", int(vault, 16))
        owed = await self._view(vault, "owed()")
        booked, pulled = sum(self.booked.values()), sum(self.pulled.values())
        pairs: list[_Pair] = [
            ("flushed", self.handed_on, "booked in the vault", booked),
            ("token that came to the vault", self.vault_in, "booked", booked),
            ("token that left the vault", self.vault_out, "pulled", pulled),
            ("booked and not pulled", booked - pulled, "the vault's balance", balance),
            ("booked and not pulled", booked - pulled, "what the vault owes", owed),
        ]
        for version, parts in self.flushed.items():
            due = self.shares[version].split(sum(parts.values()))
            pairs += [
                (f"policy {version}: {name}", parts[name], "the rules' share", due[name])
                for name in POTS
            ]
        return pairs

    async def _view(self, contract: str, signature: str, *words: int) -> int:
        data = keccak(signature.encode())[:4] + b"".join(word.to_bytes(32) for word in words)
        return int.from_bytes(await self._rpc.eth_call(contract, data))


def _event_table(contracts: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    table = {}
    for name in contracts:
        text = resources.files("workdeed.chain").joinpath("abi", f"{name}.json").read_text()
        for item in json.loads(text):
            if item["type"] == "event":
                table[name, "0x" + event_abi_to_log_topic(item).hex()] = item
    return table


def _codec() -> Any:
    return ABICodec(build_strict_registry())


def _receipt(log: dict[str, Any]) -> LogReceipt:
    raw: Any = {
        **log,
        "topics": [HexBytes(topic) for topic in log["topics"]],
        "data": HexBytes(log["data"]),
        "blockNumber": int(log["blockNumber"], 16),
        "logIndex": int(log["logIndex"], 16),
        "transactionIndex": int(log["transactionIndex"], 16),
        "blockHash": HexBytes(log["blockHash"]),
        "transactionHash": HexBytes(log["transactionHash"]),
    }
    return raw  # type: ignore[no-any-return] # a TypedDict cannot be built from a merged dict
