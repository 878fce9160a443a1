"""Bindings: each fits its ABI, and decodes whatever a contract can write."""

import dataclasses
import inspect
import re
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from chain_support import SUITE, FakeChain, FakeRpc, address, encode_event
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings import (
    auction,
    codec,
    committee,
    desk,
    escrow,
    lens,
    licenses,
    registry,
    sale,
    tariff,
    timelock,
    vault,
)
from workdeed.chain.bindings.codec import (
    Call,
    CodecError,
    Contract,
    Event,
    event_codecs,
    load_abi,
    read,
)
from workdeed.chain.bindings.suite import UnknownEventError
from workdeed.protocol import limits
from workdeed.protocol.hashing import keccak

SOURCES = Path(__file__).resolve().parents[3] / "contracts"
CONTRACTS = SUITE.contracts
EVENTS = [(item, event) for item in CONTRACTS for event in type(item).EVENTS]

# Functions that nothing here calls: ERC plumbing, and what has a name of its own elsewhere.
UNBOUND = {
    "TrustRegistry": set(),
    "FeeVault": {"TRUST", "TOKEN", "book"},
    "NodeLicense": {
        *("supportsInterface", "approve", "getApproved", "setApprovalForAll"),
        *("isApprovedForAll", "name", "symbol", "tokenURI", "tokenByIndex", "permit", "nonces"),
        *("DOMAIN_SEPARATOR", "eip712Domain", "TRUST", "TOKEN", "safeTransferFrom"),
    },
    "OracleCommittee": {"eip712Domain", "TRUST", "TOKEN", "UNBOND_DELAY", "end_seat_of"},
    "Tariff": {"TRUST"},
    "JobDesk": {"eip712Domain", "GENESIS", "WINDOW", "COMMITTEE", "TOKEN", "current_window"},
    "JobEscrow": {
        *("eip712Domain", "TRUST", "GENESIS", "WINDOW", "COMMITTEE", "LICENSES", "TARIFF"),
        *("DESK", "VAULT", "PAUSE_PERIOD", "PAUSE_COOLDOWN"),
        # What the desk and the tariff alone may call, and what the desk reads by.
        *("amend", "revise", "open_job_for", "set_class", "add_policy", "words_of"),
        *("revision_of", "spec_hash_of"),
    },
    "LicenseSale": {"TRUST", "TOKEN", "LICENSES"},
    "TestUSD": {"name", "eip712Domain"},
    "ProtocolToken": {"name", "eip712Domain", "burn_from", "is_minter", "TRUST"},
    "Timelock": {
        *("DEFAULT_ADMIN_ROLE", "PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE"),
        *("getRoleAdmin", "supportsInterface", "schedule_batch"),
        # What the time that an operation is ready at, and its own hash, say as well.
        *("get_operation_state", "is_operation", "is_operation_pending", "is_operation_ready"),
        *("is_operation_done", "hash_operation", "hash_operation_batch"),
    },
    "BurnAuction": {"TRUST", "TOKEN"},
    "JobLens": {"ESCROW", "DESK", "COMMITTEE", "LICENSES"},
}

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "uint256": st.integers(0, 2**256 - 1),
    "address": st.integers(0, 2**160 - 1).map(address),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes": st.binary(max_size=80),
    "bool": st.booleans(),
    "string": st.text(max_size=40),
    "uint256[]": st.lists(st.integers(0, 2**256 - 1), max_size=5).map(tuple),
}

ARGUMENTS: dict[Any, Any] = {
    str: address(7),
    int: 5,
    bytes: b"\x01" * 32,
    bool: True,
    tariff.ClassTerms: tariff.ClassTerms(1, 2, 3, 4),
    tariff.PolicyTerms: tariff.PolicyTerms(1, 2, 3, 4, 5, True, False, 6, 7),
    committee.SignedRoot: committee.SignedRoot(b"\x01" * 32, b"\x02" * 32, b"\x03" * 65),
    desk.Opening: desk.Opening(b"\x01" * 32, 1, 0, 2, 1, 5, 100),
    auction.AuctionTerms: auction.AuctionTerms(4, 3, 2, 1),
    timelock.TimelockCall: timelock.TimelockCall(address(7), 0, b"call"),
    desk.Permit: desk.Permit(1, 2, 27, b"\x01" * 32, b"\x02" * 32),
}


def functions(contract: Contract) -> list[tuple[str, Any]]:
    """Return the public methods of a binding."""
    found = inspect.getmembers(type(contract), inspect.isfunction)
    return [(name, method) for name, method in found if not name.startswith("_")]


def argument(method: str, name: str, hint: Any) -> Any:
    """Return some argument of the type that a method asks for."""
    if name == "endpoint":
        return "https://node.example:8443"
    if name == "claims":
        return [escrow.ClaimEntry(1, 2, 3, (b"\x02" * 32,))]
    if name == "calls":
        return [ARGUMENTS[timelock.TimelockCall]] * 2
    if name == "openings":
        return [ARGUMENTS[desk.Opening]]
    if hint in ARGUMENTS:
        return ARGUMENTS[hint]
    return [b"\x03" * 32] if "bytes" in str(hint) else [1, 2]


def call_of(contract: Contract, name: str, method: Any) -> Call[Any]:
    hints = get_type_hints(method)
    values = {key: argument(name, key, hint) for key, hint in hints.items() if key != "return"}
    made: Call[Any] = method(contract, **values)
    return made


ALL_CALLS = [
    pytest.param(contract, name, method, id=f"{contract.NAME}.{name}")
    for contract in CONTRACTS
    for name, method in functions(contract)
]


@pytest.mark.parametrize(("contract", "name", "method"), ALL_CALLS)
def test_every_method_encodes_by_its_abi(contract: Contract, name: str, method: Any) -> None:
    call = call_of(contract, name, method)
    function = call.name.partition(".")[2]
    entries = [item for item in load_abi(contract.NAME) if item.get("name") == function]
    signatures = [codec._type({"type": "tuple", "components": e["inputs"]}) for e in entries]
    selectors = {keccak(f"{function}{signature}".encode())[:4] for signature in signatures}
    assert call.to == contract.address
    assert call.data[:4] in selectors
    assert call == call_of(contract, name, method)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda item: item.NAME)
def test_every_function_of_the_abi_is_bound_or_left_out_on_purpose(contract: Contract) -> None:
    bound = {
        call_of(contract, name, method).name.partition(".")[2]
        for name, method in functions(contract)
    }
    entries = {item["name"] for item in load_abi(contract.NAME) if item["type"] == "function"}
    assert entries - bound == UNBOUND[contract.NAME]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda item: item.NAME)
def test_every_event_of_the_abi_has_a_class_with_its_fields(contract: Contract) -> None:
    entries = {item["name"]: item for item in load_abi(contract.NAME) if item["type"] == "event"}
    classes = {event.__name__: event for event in type(contract).EVENTS}
    assert entries.keys() == classes.keys()
    for name, entry in entries.items():
        fields = [item.name for item in dataclasses.fields(classes[name])]
        assert fields == [item["name"] for item in entry["inputs"]]


@pytest.mark.parametrize(
    ("contract", "event"),
    [pytest.param(c, e, id=f"{c.NAME}.{e.__name__}") for c, e in EVENTS],
)
@given(data=st.data())
def test_every_event_survives_the_round_trip(
    contract: Contract, event: type[Event], data: st.DataObject
) -> None:
    found = next(item for item in event_codecs(type(contract)).values() if item.event is event)
    drawn = event(**{name: data.draw(VALUES[k]) for name, k in found.indexed + found.plain})
    topics, plain = encode_event(contract, drawn)
    assert SUITE.decode(contract.address, topics, plain) == drawn


def test_an_endpoint_of_any_bytes_is_decoded() -> None:
    """An owner may store what is no UTF-8; that must not stop every reader of the log."""
    topics, _ = encode_event(SUITE.licenses, licenses.ProfileSet(3, bytes(32), ""))
    data = encode(["bytes32", "bytes"], [bytes(32), b"http://\xff\xfe"])
    event = SUITE.decode(SUITE.licenses.address, topics, data)
    assert isinstance(event, licenses.ProfileSet)
    assert event.endpoint == "http://\ufffd\ufffd"


@pytest.mark.parametrize(
    ("where", "topics"),
    [
        (SUITE.escrow.address, [keccak(b"Surprise(uint256)")]),
        (SUITE.escrow.address, []),
        (address(0xFFFF), [keccak(b"JobOpened")]),
        # An event of another contract of ours is as unknown as any.
        (SUITE.escrow.address, [next(iter(event_codecs(type(SUITE.licenses))))]),
    ],
)
def test_an_unknown_event_is_an_error(where: str, topics: list[bytes]) -> None:
    with pytest.raises(UnknownEventError):
        SUITE.decode(where, topics, b"")


def test_a_log_that_does_not_fit_its_event_is_an_error() -> None:
    event = desk.JobRevised(job_id=1, revision=2, window=3, spec_hash=bytes(32))
    topics, data = encode_event(SUITE.desk, event)
    with pytest.raises(CodecError, match="JobRevised"):
        SUITE.decode(SUITE.desk.address, topics, data[:-1])
    with pytest.raises(CodecError, match="topics"):
        SUITE.decode(SUITE.desk.address, [*topics, bytes(32)], data)


@pytest.mark.parametrize(
    ("event", "index"),
    [
        (licenses.NodeLinked(1, address(2), address(3)), 2),  # an address among the topics
        (registry.IssuerSet(address(2), True), None),  # a truth value in the data
    ],
)
def test_a_word_that_is_no_value_of_its_type_is_an_error(event: Event, index: int | None) -> None:
    contract = next(item for item in SUITE.followed if type(event) in type(item).EVENTS)
    topics, data = encode_event(contract, event)
    if index is None:
        data = b"\x02".rjust(32, b"\0")
    else:
        topics[index] = b"\x01" + topics[index][1:]
    with pytest.raises(CodecError, match="do not fit"):
        SUITE.decode(contract.address, topics, data)


@pytest.mark.parametrize("units", [-1, 2**256, "7"])
def test_an_argument_that_does_not_fit_is_an_error(units: Any) -> None:
    with pytest.raises(CodecError, match=r"JobEscrow\.claim"):
        SUITE.escrow.claim(1, 2, units, [])


def test_a_contract_without_abi_says_what_to_do() -> None:
    with pytest.raises(CodecError, match="export_abi"):
        load_abi("NoSuchContract")


def test_results_are_typed() -> None:
    payer, spec = address(9), b"\x05" * 32
    words = [payer, spec, 1, 0, 1, 1, 100, 3, 2, 0, 0, 0, 0, 3, 90_000, 0, False, False, True, 0]
    kinds = "(address,bytes32,uint256" + ",uint256" * 13 + ",bool,bool,bool,uint256)"
    job = SUITE.desk.job(1).decode(encode([kinds], [tuple(words)]))
    assert (job.payer, job.spec_hash, job.price, job.windows) == (payer, spec, 100, 3)
    assert (job.completed, job.closed) == (False, True)
    openings = SUITE.desk.open_jobs(payer, [ARGUMENTS[desk.Opening]])
    assert openings.decode(encode(["uint256[]"], [[4, 5]])) == (4, 5)
    ledger = SUITE.escrow.ledger_of(1).decode(encode(["uint256"] * 3, [9, 4, 100]))
    assert (ledger.fees, ledger.flushed, ledger.liabilities) == (9, 4, 100)
    answer = encode(["address", "uint256"], [payer, registry.FROZEN])
    assert SUITE.licenses.payee_of(1).decode(answer) == (payer, registry.FROZEN)
    assert SUITE.licenses.endpoint_of(1).decode(encode(["bytes"], [b"\xff"])) == "\ufffd"
    assert SUITE.desk.revise_job(1, spec).decode(b"") is None


def test_a_missing_contract_is_told_from_an_answer() -> None:
    with pytest.raises(CodecError, match="nothing answers"):
        SUITE.escrow.job_count().decode(b"")
    with pytest.raises(CodecError, match="do not fit"):
        SUITE.escrow.job_count().decode(b"\x01")


def test_a_short_answer_is_refused_where_ape_is_loaded() -> None:
    """Ape replaces eth-abi's decoder of numbers, and took one byte for a job count."""
    import ape.utils.abi  # noqa: F401

    with pytest.raises(CodecError, match="do not fit"):
        SUITE.escrow.job_count().decode(b"\x01")


async def test_read_asks_at_a_block() -> None:
    class Node(FakeRpc):
        def _eth_call(self, _: object, call: dict[str, str], block: object) -> str:
            assert call["data"] == "0x" + SUITE.escrow.job_count().data.hex()
            assert block == "0x9"
            return "0x" + (41).to_bytes(32, "big").hex()

    assert await read(Node(FakeChain()), SUITE.escrow.job_count(), 9) == 41


@pytest.mark.parametrize(
    ("name", "file", "value"),
    [
        ("MAX_PLACEMENT", "JobEscrow", limits.MAX_PLACEMENT),
        ("MAX_CLAIMS", "JobEscrow", escrow.MAX_CLAIMS),
        ("SERVICE", "JobEscrow", escrow.SERVICE),
        ("BATCH", "JobEscrow", escrow.BATCH),
        ("MAX_COUNT", "LicenseSale", sale.MAX_COUNT),
        ("MAX_OPENINGS", "JobDesk", desk.MAX_OPENINGS),
        ("MAX_RELEASE", "JobDesk", desk.MAX_RELEASE),
        ("ABANDON_FACTOR", "JobDesk", desk.ABANDON_FACTOR),
        ("OPEN", "JobDesk", desk.OPEN),
        ("EXTEND", "JobDesk", desk.EXTEND),
        ("SCALE", "JobDesk", desk.SCALE),
        ("REVISE", "JobDesk", desk.REVISE),
        ("CANCEL", "JobDesk", desk.CANCEL),
        ("ALL_SCOPES", "JobDesk", sum(desk.SCOPES.values())),
        ("ORACLES", "FeeVault", vault.POTS.index("oracles")),
        ("BURN", "FeeVault", vault.POTS.index("burn")),
        ("TREASURY", "FeeVault", vault.POTS.index("treasury")),
        ("MAX_SEATS", "OracleCommittee", committee.MAX_SEATS),
        ("MIN_REPORTS", "OracleCommittee", committee.MIN_REPORTS),
        ("NODE", "NodeLicense", licenses.NODE),
        ("ORACLE", "NodeLicense", licenses.ORACLE),
        ("GOOD", "TrustRegistry", registry.GOOD),
        ("FROZEN", "TrustRegistry", registry.FROZEN),
        ("SUSPENDED", "TrustRegistry", registry.SUSPENDED),
        ("BLACKLISTED", "TrustRegistry", registry.BLACKLISTED),
        ("MAX_PAGE", "JobLens", lens.MAX_PAGE),
        ("WAITING", "JobLens", lens.WAITING),
        ("RUNNING", "JobLens", lens.RUNNING),
        ("ENDED", "JobLens", lens.ENDED),
        ("CLOSED", "JobLens", lens.CLOSED),
    ],
)
def test_constants_are_those_of_the_contracts(name: str, file: str, value: int) -> None:
    source = (SOURCES / f"{file}.vy").read_text(encoding="utf-8")
    assert re.search(rf"^{name}: constant\(uint256\) = {value}$", source, re.MULTILINE)


def test_the_unit_of_rates_is_that_of_the_auction() -> None:
    source = (SOURCES / "BurnAuction.vy").read_text(encoding="utf-8")
    assert re.search(r"^WAD: constant\(uint256\) = 10\*\*18$", source, re.MULTILINE)
    assert auction.WAD == 10**18


def test_roles_and_marks_are_those_of_the_timelock() -> None:
    source = (files("snekmate") / "governance" / "timelock_controller.vy").read_text()
    for role in timelock.ROLES:
        name = f"{role.upper()}_ROLE"
        assert f'{name}: public(constant(bytes32)) = keccak256("{name}")' in source
        assert timelock.role_id(role) == keccak(name.encode())
    assert f"_DONE_TIMESTAMP: constant(uint256) = {timelock.DONE}\n" in source
    assert f"payload: Bytes[{timelock.MAX_PAYLOAD:_}]" in source


def test_a_call_is_read_back_by_its_names() -> None:
    terms = auction.AuctionTerms(4, 3, 2, 1)
    assert SUITE.auction is not None
    name, arguments = codec.decode_call("BurnAuction", SUITE.auction.set_terms(terms).data)
    assert (name, arguments) == ("set_terms", {"terms": terms._asdict()})
    call = SUITE.registry.set_issuer(address(7), True)
    assert codec.decode_call("TrustRegistry", call.data) == (
        "set_issuer",
        {"issuer": address(7), "active": True},
    )
    assert codec.decode_call("FeeVault", SUITE.vault.pull_burn().data) == ("pull_burn", {})


@pytest.mark.parametrize("data", [b"", b"\x01\x02\x03\x04", SUITE.vault.pull_burn().data[:3]])
def test_a_call_of_no_function_is_an_error(data: bytes) -> None:
    with pytest.raises(CodecError, match="it has no function 0x"):
        codec.decode_call("FeeVault", data)


def test_a_call_with_too_few_arguments_is_an_error() -> None:
    with pytest.raises(CodecError, match=r"TrustRegistry\.set_issuer"):
        codec.decode_call("TrustRegistry", SUITE.registry.set_issuer(address(7), True).data[:-1])


def test_structs_within_structs_and_lists_of_them_are_typed() -> None:
    assert SUITE.lens is not None
    job = (address(9), b"\x05" * 32, *range(1, 15), False, False, True, 0)
    kinds = "(address,bytes32,uint256" + ",uint256" * 13 + ",bool,bool,bool,uint256)"
    page = [[(1, lens.RUNNING, 50, job), (2, lens.CLOSED, 0, job)]]
    data = encode([f"(uint256,uint256,uint256,{kinds})[]"], page)
    listed = SUITE.lens.jobs(1, 2).decode(data)
    assert [(one.job_id, one.state, one.unclaimed) for one in listed] == [(1, 2, 50), (2, 4, 0)]
    assert listed[1].job == desk.Job(*job)
    assert listed[0].job.payer == address(9)
    served = encode(["(uint256,uint256,uint256,uint256)[]"], [[(1, 2, 3, 4)]])
    assert SUITE.lens.assignments(1, [2]).decode(served) == (escrow.Assignment(1, 2, 3, 4),)
    worth = encode(["(uint256,uint256,uint256,address)"], [(7, 8, 0, address(9))])
    assert SUITE.lens.claimable(1, 2, 7).decode(worth) == lens.ClaimWorth(7, 8, 0, address(9))


def test_subjects_of_licenses_and_accounts_differ() -> None:
    assert registry.account_subject(address(5)) == 5
    assert registry.license_subject(5) == 2**160 + 5
    assert registry.subject_of(5) == address(5)
    assert registry.subject_of(2**160 - 1) == address(2**160 - 1)
    assert registry.subject_of(2**160 + 5) == 5
