"""A timelock governs: what the command line proposes, executes and cancels on a real deployment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner
from eth_account import Account

from tests.integration.deploy.conftest import ROOT, Chain, _chains, _deploy
from workdeed.chain.bindings.codec import Call
from workdeed.chain.bindings.registry import SUSPENDED
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.bindings.timelock import UNSET, TimelockCall, batch_id, operation_id
from workdeed.chain.deployment import load_deployment
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.cli.root import root
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of, to_checksum
from workdeed.sdk import Client
from workdeed.sdk.errors import SdkError

T = TypeVar("T")

pytestmark = pytest.mark.anvil

MNEMONIC = "test test test test test test test test test test test junk"
ABI = json.loads((ROOT / "src/workdeed/chain/abi/Timelock.json").read_text())
DELAY = 24
GOVERNED = f'preset = "local"\n[timing]\ntimelock_delay = {DELAY}\n'
GOVERNOR, GUARDIAN, ISSUER, OPERATOR, SUCCESSOR, TREASURY = 1, 2, 3, 4, 8, 9
ANYONE = 0
MEMBER_KEY = keccak(b"member key")
NO_SALT = bytes(32)


def key_of(index: int) -> bytes:
    """Return the private key of a test account of the chain."""
    Account.enable_unaudited_hdwallet_features()
    return bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key)


def account(index: int) -> str:
    """Return the address of a test account of the chain."""
    return address_of(key_of(index))


@dataclass
class Governed:
    """A deployment that a timelock governs, and whoever types commands for it."""

    chain: Chain
    record: Path
    folder: Path

    @property
    def suite(self) -> Suite:
        """Its contracts."""
        return Suite.of(load_deployment(self.record))

    def type(self, *words: str, by: int | None = None, code: int = 0, **env: str) -> str:
        """Run a command as a role holder; return what it prints, notes included."""
        if by is not None:
            env |= {"WORKDEED_PRIVATE_KEY": key_of(by).hex()}
        shared = ["--network", str(self.record), "--rpc", self.chain.url]
        result = CliRunner().invoke(root, [*words, *shared], env=env)
        assert result.exit_code == code, result.output
        return result.output.strip()

    def json(self, *words: str) -> Any:
        """Run a command that prints JSON."""
        return json.loads(self.type(*words, "--json"))

    def propose(self, *words: str, by: int = GOVERNOR) -> str:
        """Run a command that is announced; return the operation's id."""
        (line,) = [one for one in self.type(*words, by=by).splitlines() if " ready at " in one]
        return line.split()[1]

    def execute(self, operation: str, by: int = ANYONE) -> str:
        """Execute an operation once its delay is over."""
        self.travel(DELAY)
        return self.type("governance", "execute", operation, by=by)

    def travel(self, seconds: int) -> None:
        """Let time pass."""
        self.ask("evm_increaseTime", seconds)
        self.ask("evm_mine")

    def ask(self, method: str, *parameters: object) -> Any:
        """Ask the chain's node."""
        return self.chain.web3.manager.request_blocking(method, list(parameters))

    def read(self, call: Call[T]) -> T:
        """Return the result of a view."""
        answer = self.ask("eth_call", {"to": call.to, "data": f"0x{call.data.hex()}"}, "latest")
        return call.decode(bytes.fromhex(answer.removeprefix("0x")))

    def send(self, call: Call[Any], by: int) -> None:
        """Send a transaction of a role holder, whose key the node has."""
        self.send_raw({"to": call.to, "data": f"0x{call.data.hex()}"}, by)

    def send_raw(self, transaction: dict[str, str], by: int) -> str | None:
        """Send a transaction and wait until it is mined, which is soon, but not at once.

        Returns the contract that it created, if it did.
        """
        sent = self.ask("eth_sendTransaction", {**transaction, "from": account(by)})
        receipt = self.chain.web3.eth.wait_for_transaction_receipt(sent)
        assert receipt["status"] == 1
        return receipt["contractAddress"]

    def issue(self, kind: str) -> str:
        """Let the issuer make a license of the operator; return its id."""
        issued = self.type("license", "issue", account(OPERATOR), "--kind", kind, by=ISSUER)
        return issued.split()[-1]

    def state(self, operation: str) -> str:
        """Return the state of an operation as it is listed."""
        listed = self.json("governance", "list", "--all")
        (found,) = [one["state"] for one in listed if one["operation_id"] == operation]
        return str(found)


@pytest.fixture(scope="module")
def standing_governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """One deployment for all tests, each of which is undone."""
    folder = tmp_path_factory.mktemp("governed")
    parameters, record = folder / "parameters.toml", folder / "deployment.json"
    parameters.write_text(GOVERNED)
    with _chains() as start:
        chain = start()
        result = _deploy(record, chain.url, "--parameters", str(parameters))
        assert result.exit_code == 0, result.output
        yield Governed(chain, record, folder)


@pytest.fixture
def governed(standing_governed: Governed) -> Iterator[Governed]:
    kept = standing_governed.ask("evm_snapshot")
    yield standing_governed
    standing_governed.ask("evm_revert", kept)


def test_a_suspension_is_announced_waits_and_is_executed_by_anyone(governed: Governed) -> None:
    node = governed.issue("node")
    operation = governed.propose("trust", "suspend", node, "--days", "2", "--reason", "7")
    assert governed.json("trust", "show", node)["standing"] == "good"
    (listed,) = governed.json("governance", "list")
    assert (listed["operation_id"], listed["state"]) == (operation, "waiting")
    words = listed["calls"][0]["words"]
    assert words.startswith(f"TrustRegistry.suspend(subject license {node}, until 20")
    assert "reason 7, evidence_hash none" in words
    assert f"{operation}\twaiting until 20" in governed.type("governance", "list")

    early = governed.type("governance", "execute", operation, by=ANYONE, code=1)
    assert f"Error: operation {operation}: its delay is not over; execute it from 20" in early
    assert "suspend" in governed.execute(operation)
    shown = governed.json("trust", "show", node)
    assert (shown["standing"], shown["reason"]) == ("suspended", 7)
    # The days count from when it can be executed, not from when it was announced.
    assert shown["until"] == listed["ready_at"] + 2 * 86_400

    assert governed.json("governance", "list") == []
    assert governed.state(operation) == "done"
    again = governed.type("governance", "execute", operation, by=ANYONE, code=1)
    assert f"operation {operation}: it is done already" in again


def test_others_are_told_who_may(governed: Governed) -> None:
    suspend = ("trust", "suspend", account(OPERATOR), "--days", "1", "--reason", "1")
    refused = governed.type(*suspend, by=OPERATOR, code=1)
    assert (
        f"Error: timelock: only its proposers may do this ({account(GOVERNOR)}), not "
        f"{account(OPERATOR)}; send with the key of one" in refused
    )
    operation = governed.propose(*suspend)
    refused = governed.type("governance", "cancel", operation, by=GUARDIAN, code=1)
    assert f"only its cancellers may do this ({account(GOVERNOR)})" in refused
    assert governed.state(operation) == "waiting"
    refused = governed.type("governance", "accept", by=OPERATOR, code=1)
    assert "governor: the role is offered to nobody" in refused
    governed.type("trust", "attest", account(OPERATOR), by=ISSUER)
    refused = governed.type("trust", "revoke", account(OPERATOR), by=GUARDIAN, code=1)
    assert f"or with that of its issuer {account(ISSUER)}" in refused
    assert "is not attested" in governed.type("trust", "revoke", account(OPERATOR), by=ISSUER)


def test_a_cancelled_operation_never_happens_and_may_be_proposed_anew(governed: Governed) -> None:
    change = ("governance", "propose", "guardian", account(SUCCESSOR))
    operation = governed.propose(*change)
    twice = governed.type(*change, by=GOVERNOR, code=1)
    assert f"operation {operation}: this very call is announced already" in twice
    cancelled = governed.type("governance", "cancel", operation, by=GOVERNOR)
    assert cancelled.endswith(f"TrustRegistry.set_guardian(guardian {account(SUCCESSOR)})")
    governed.travel(DELAY)
    refused = governed.type("governance", "execute", operation, by=ANYONE, code=1)
    assert "it is cancelled already" in refused
    assert "it is cancelled already" in governed.type(
        "governance", "cancel", operation, by=GOVERNOR, code=1
    )
    assert governed.json("governance", "show")["guardian"] == account(GUARDIAN)

    assert governed.propose(*change) == operation
    governed.execute(operation)
    assert governed.json("governance", "show")["guardian"] == account(SUCCESSOR)
    # What was executed may be announced once more, as another operation.
    back = ("governance", "propose", "guardian", account(GUARDIAN))
    governed.execute(governed.propose(*back))
    again = governed.propose(*change)
    assert again != operation
    governed.execute(again)
    assert governed.json("governance", "show")["guardian"] == account(SUCCESSOR)


def test_a_seat_is_added_and_removed(governed: Governed) -> None:
    license_id = governed.issue("oracle")
    propose = ("governance", "propose", "seat", license_id)
    unlinked = governed.type(*propose, by=GOVERNOR, code=1)
    assert f"license {license_id}: no member key is linked to it" in unlinked
    key = {"MEMBER_KEY": MEMBER_KEY.hex()}
    link = ("license", "link", license_id, "--node-key-env", "MEMBER_KEY")
    governed.type(*link, by=OPERATOR, **key)
    governed.execute(governed.propose(*propose))
    assert governed.json("license", "show", license_id)["seated"] is True
    taken = governed.type(*propose, by=GOVERNOR, code=1)
    assert "it would be refused today, this member key holds a seat already" in taken
    unchecked = governed.propose(*propose, "--unchecked")
    governed.travel(DELAY)
    refused = governed.type("governance", "execute", unchecked, by=ANYONE, code=1)
    assert "execute: this member key holds a seat already" in refused
    assert governed.state(unchecked) == "ready"
    # The preset seats four.
    governed.execute(governed.propose("governance", "propose", "unseat", "4"))
    assert governed.json("license", "show", license_id)["seated"] is False


def test_the_role_is_handed_over(governed: Governed) -> None:
    offer = governed.propose("governance", "propose", "governor", account(SUCCESSOR))
    governed.execute(offer)
    wrong = governed.type("governance", "accept", by=GOVERNOR, code=1)
    assert f"accept_ownership: only {account(SUCCESSOR)} may do this" in wrong
    governed.type("governance", "accept", by=SUCCESSOR)
    shown = governed.json("governance", "show")
    assert (shown["governor"], shown["delay"]) == (account(SUCCESSOR), 0)

    # The successor is no timelock: it acts at once, and nobody else does.
    suspend = ("trust", "suspend", account(OPERATOR), "--days", "1", "--reason", "1")
    refused = governed.type(*suspend, by=GOVERNOR, code=1)
    assert f"suspend: only {account(SUCCESSOR)} may do this, not {account(GOVERNOR)}" in refused
    done = governed.type(*suspend, by=SUCCESSOR)
    assert done.endswith(f"{account(OPERATOR)} suspended")
    assert governed.json("trust", "show", account(OPERATOR))["standing"] == "suspended"


def test_the_role_comes_back_to_the_timelock(governed: Governed) -> None:
    timelock = governed.suite.timelock
    assert timelock is not None
    governed.execute(governed.propose("governance", "propose", "governor", account(SUCCESSOR)))
    governed.type("governance", "accept", by=SUCCESSOR)
    done = governed.type("governance", "propose", "governor", timelock.address, by=SUCCESSOR)
    assert done.endswith("done")
    governed.execute(governed.propose("governance", "accept"))
    assert governed.json("governance", "show")["governor"] == timelock.address


def test_another_timelock_takes_the_role_over(governed: Governed, tmp_path: Path) -> None:
    content = json.loads(governed.record.read_text())
    first = content["contracts"]["Timelock"]
    # What created the timelock creates another one like it.
    created = governed.ask("eth_getTransactionByHash", first["tx"])["input"]
    second = governed.send_raw({"data": created}, ANYONE)
    assert second is not None
    governed.execute(governed.propose("governance", "propose", "governor", second))
    content["contracts"]["Timelock"] = first | {"address": to_checksum(second)}
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(content))

    successor = Governed(governed.chain, copy, tmp_path)
    successor.execute(successor.propose("governance", "accept"))
    shown = successor.json("governance", "show")
    assert shown["governor"] == shown["timelock"] == to_checksum(second)
    assert shown["delay"] == DELAY
    old = governed.type("governance", "propose", "guardian", account(ANYONE), by=GOVERNOR, code=1)
    assert f"set_guardian: only {to_checksum(second)} may do this" in old


def test_members_of_the_timelock_come_and_go(governed: Governed) -> None:
    shown = governed.json("governance", "show")
    anyone = "0x" + "00" * 20
    assert (shown["proposers"], shown["executors"]) == ([account(GOVERNOR)], [anyone])
    grant, revoke = ("governance", "propose", "grant"), ("governance", "propose", "revoke")
    last = governed.type(*revoke, "executor", anyone, by=GOVERNOR, code=1)
    assert "the last member of a role stays" in last
    governed.execute(governed.propose(*grant, "executor", account(SUCCESSOR)))
    governed.execute(governed.propose(*revoke, "executor", anyone))
    operation = governed.propose(*grant, "canceller", account(GUARDIAN))
    governed.travel(DELAY)
    refused = governed.type("governance", "execute", operation, by=ANYONE, code=1)
    assert f"only its executors may do this ({account(SUCCESSOR)})" in refused
    done = governed.type("governance", "execute", operation, by=SUCCESSOR)
    assert f"Timelock.grantRole(role canceller, account {account(GUARDIAN)})" in done
    operation = governed.propose(*grant, "proposer", account(ANYONE))
    governed.type("governance", "cancel", operation, by=GUARDIAN)
    assert governed.state(operation) == "cancelled"


def test_everything_that_the_governor_sets_is_set(governed: Governed) -> None:
    sale = governed.suite.sale
    assert sale is not None
    propose = ("governance", "propose")
    operations = [
        governed.propose(*propose, *words)
        for words in (
            ("treasury", account(SUCCESSOR)),
            ("issuer", "--sale"),
            ("slash", "1", "1", "--evidence", "0x" + "11" * 32),
            ("slash-split", "--burn-bps", "1000"),
            ("class", "1", "--price", "0.25"),
            ("retire-class", "2"),
            ("policy", "--burn-bps", "900", "--no-payer-standing"),
            ("auction-terms", "--floor-millis", "50"),
            ("mint", account(OPERATOR), "1.5"),
        )
    ]
    new = (*propose, "class", "9", "--price", "1")
    missing = governed.type(*new, by=GOVERNOR, code=1)
    assert "class 9: it is new; give its cpu_milli, memory_mb, storage_mb as well" in missing
    governed.travel(DELAY)
    for operation in operations:
        governed.type("governance", "execute", operation, by=ANYONE)

    suite, read = governed.suite, governed.read
    assert read(suite.registry.treasury()) == account(SUCCESSOR)
    assert read(suite.registry.is_issuer(sale.address))
    assert read(suite.licenses.is_slashed(b"\x11" * 32))
    assert read(suite.licenses.slash_payer_bps()) == 4_000
    assert read(suite.licenses.slash_burn_bps()) == 1_000
    offer = read(suite.tariff.class_of(1))
    assert (offer.price, offer.cpu_milli, offer.retired) == (250_000, 500, False)
    assert read(suite.tariff.class_of(2)).retired
    policy = read(suite.tariff.policy_of(2))
    assert (policy.burn_bps, policy.oracle_bps, policy.payer_standing) == (900, 500, False)
    assert suite.auction is not None
    terms = read(suite.auction.terms())
    assert (terms.floor_rate, terms.start_rate) == (50 * 10**27, 100_000 * 10**27)
    assert suite.protocol_token is not None
    assert read(suite.protocol_token.balance_of(account(OPERATOR))) == 15 * 10**17


def test_a_batch_that_somebody_else_announced_is_executed(governed: Governed) -> None:
    timelock, registry = governed.suite.timelock, governed.suite.registry
    assert timelock is not None
    web3 = governed.chain.web3
    contract = web3.eth.contract(web3.to_checksum_address(timelock.address), abi=ABI)
    wanted = [registry.set_guardian(account(SUCCESSOR)), registry.set_issuer(account(ANYONE), True)]
    for size in (1, 2):
        calls = [TimelockCall(call.to, 0, call.data) for call in wanted[:size]]
        columns = [[call[column] for call in calls] for column in range(3)]
        salt = size.to_bytes(32, "big")
        batch = [*columns, NO_SALT, salt, DELAY]
        announce = contract.encode_abi("schedule_batch", args=batch)
        governed.send_raw({"to": timelock.address, "data": announce}, GOVERNOR)
        operation = "0x" + batch_id(calls, NO_SALT, salt).hex()
        assert governed.state(operation) == "waiting"
        done = governed.execute(operation)
        assert done.count("TrustRegistry.set_") == size
        assert governed.state(operation) == "done"
    assert governed.json("governance", "show")["guardian"] == account(SUCCESSOR)


def test_a_multisig_sends_what_is_printed(governed: Governed) -> None:
    suspend = ("trust", "suspend", account(OPERATOR), "--days", "1", "--reason", "1")
    printed = json.loads(governed.type(*suspend, "--unsigned"))
    operation = printed.pop("operation_id")
    governed.send_raw(printed, GOVERNOR)
    assert governed.state(operation) == "waiting"
    governed.execute(operation)
    assert governed.json("trust", "show", account(OPERATOR))["standing"] == "suspended"


def test_waiting_ends_with_the_operation_executed(governed: Governed) -> None:
    suite = governed.suite
    assert suite.timelock is not None
    call = suite.registry.set_guardian(account(SUCCESSOR))
    operation = operation_id(TimelockCall(call.to, 0, call.data), NO_SALT, NO_SALT)
    change = ("governance", "propose", "guardian", account(SUCCESSOR), "--wait")
    with ThreadPoolExecutor(1) as pool:
        typed = pool.submit(governed.type, *change, by=GOVERNOR)
        while governed.read(suite.timelock.ready_at(operation)) == UNSET and not typed.done():
            time.sleep(0.1)
        governed.travel(DELAY)
        assert typed.result().endswith("done")
    assert governed.read(suite.registry.guardian()) == account(SUCCESSOR)


def test_a_lot_is_put_up_and_bought(governed: Governed) -> None:
    auction, token = governed.suite.auction, governed.suite.token
    assert auction is not None
    nothing = governed.type("auction", "kick", by=ANYONE, code=1)
    assert "auction: it holds 0 base units, a lot takes 1000" in nothing
    none = governed.type("auction", "buy", by=TREASURY, code=1)
    assert "lot: it is not for sale, none is; kick one first" in none
    governed.type("faucet", "3", by=ANYONE)
    governed.send(token.transfer(auction.address, 2_000_000), ANYONE)
    kicked = governed.type("auction", "kick", by=ANYONE)
    assert kicked.endswith("lot 1 amount 2")
    assert "lot 1 is for sale" in governed.type("auction", "kick", by=ANYONE, code=1)
    governed.travel(60)
    shown = int(governed.json("auction", "show")["price"])
    told = governed.type("auction", "buy", "--dry-run").partition("price: ")[2].split()[0]
    # Half of the fall from 100 to 0.1 protocol tokens for each of the two dollars is over, and what
    # the commands take: the chain's time is that of the machine.
    assert 80 < float(told) <= shown / 10**18 <= 100.1
    dear = governed.type("auction", "buy", "--max-price", "10", by=TREASURY, code=1)
    assert "max_price: lot 1 costs" in dear
    assert "balance: " in governed.type("auction", "buy", by=OPERATOR, code=1)
    wrong = governed.type("auction", "buy", "2", by=TREASURY, code=1)
    assert "lot: 2 is not for sale, lot 1 is" in wrong
    sold = governed.type("auction", "buy", "--max-price", "150", by=TREASURY)
    assert sold.splitlines()[-1].startswith("lot 1 amount 2 price ")
    assert "price" not in governed.type("auction", "show")


def test_a_lot_that_started_over_is_not_bought_at_its_start(governed: Governed) -> None:
    """A purchase bounded by the price of a late second is refused once the price jumps back."""
    auction, token = governed.suite.auction, governed.suite.token
    assert auction is not None
    governed.type("faucet", "1", by=ANYONE)
    governed.send(token.transfer(auction.address, 1_000_000), ANYONE)
    governed.type("auction", "kick", by=ANYONE)
    shown = governed.json("auction", "show")
    governed.ask("evm_setNextBlockTimestamp", shown["restarts_at"])
    governed.ask("evm_mine")
    dear = governed.type("auction", "buy", "--max-price", "0.2", by=TREASURY, code=1)
    assert "costs 100000000000000000000 base units now" in dear
    # Nobody wanted it for a whole fall: it may be put up anew.
    assert governed.type("auction", "kick", by=ANYONE).endswith("lot 2 amount 1")


async def test_a_suspension_that_would_be_over_is_refused(governed: Governed) -> None:
    """Its end must lie behind the delay; the contract would say so only when it is executed."""
    deployment, rpc = load_deployment(governed.record), RpcClient(governed.chain.url)
    async with await Client.connect(rpc, deployment, LocalSigner(key_of(GOVERNOR))) as client:
        begin = await client.governance.takes_effect_at()
        with pytest.raises(SdkError, match="when the suspension can begin"):
            await client.suspend(1, begin, 1)
        decision = await client.suspend(1, begin + 60, 1)
        assert decision.operation_id is not None
        governed.travel(DELAY)
        await client.governance.execute(decision.operation_id)
        assert (await client.standing(1)).standing.standing == SUSPENDED
