"""What is proven: each fact with its bounds, and a fault that the same proof must notice.

A fact asks z3 for values that break it. `unsat` is a proof for all values within the bounds; `sat`
is a counterexample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import z3

from tests.symbolic.vyper_z3 import CONTRACTS, Integers, Module, Words

UNIT, FULL = 10_000, 10_000
PRICE, UNITS = 2**96, 2**56

Load = Callable[..., Module]
"""Returns a module by name, in the theory of the fact; with its fault, if the fact is tested."""

Claim = tuple[Any, Any]
"""What is assumed, and what must follow."""


@dataclass(frozen=True)
class Fact:
    """One statement.

    Attributes:
        id: for reports.
        statement: in plain words.
        bounds: under which it is proven.
        source: the module that it is about.
        theory: words or integers.
        claims: what must hold, from the modules.
        fault: text of the source and what it is replaced by, which breaks the fact.

    """

    id: str
    statement: str
    bounds: str
    source: str
    theory: type[Words]
    claims: Callable[[Load], Iterator[Claim]]
    fault: tuple[str, str]


EFFORT = 250_000_000
"""z3's units of work for one claim, ten times what the hardest takes. Not seconds: a loaded machine
must not change what is proven."""


def follows(assumed: Any, conclusion: Any) -> str:
    """Return "proven", "refuted" or "timeout", the last after `EFFORT`."""
    solver = z3.Solver()
    solver.set("rlimit", EFFORT)
    solver.add(assumed, z3.Not(conclusion))
    return {"unsat": "proven", "sat": "refuted"}.get(str(solver.check()), "timeout")


def decide(fact: Fact, *, faulty: bool = False) -> str:
    """Prove every claim of a fact; the first that fails decides."""
    theory = fact.theory()
    text = (CONTRACTS / f"{fact.source}.vy").read_text()
    if faulty:
        before, after = fact.fault
        if before not in text:
            raise ValueError(f"{fact.id}: its fault is not in {fact.source}")
        text = text.replace(before, after)
    loaded: dict[str, Module] = {}

    def load(name: str) -> Module:
        if name not in loaded:
            source = text if name == fact.source else None
            loaded[name] = Module(name, theory, source)
        return loaded[name]

    for assumed, conclusion in fact.claims(load):
        obligations = z3.And(*theory.obligations)
        verdict = follows(assumed, z3.And(conclusion, obligations))
        if verdict != "proven":
            return verdict
        theory.obligations.clear()
    return "proven"


# Packed words: what goes in comes out, and nothing that does not fit goes in.

Fields = dict[str, int]
"""Fields of a word by name: their bits; 0 for a flag."""

WORDS: dict[str, tuple[Fields, Callable[[dict[str, Any]], Any]]] = {
    "attestation_word": ({"issuer": 160, "level": 8, "expires_at": 64}, lambda _: True),
    "bond_word": (
        {"bond": 96, "unbonding": 96, "requested_at": 40},
        lambda f: z3.And(z3.ULT(f["bond"], 2**96), z3.ULT(f["bond"] + f["unbonding"], 2**96)),
    ),
    "class_word": (
        {
            "price": 96,
            "cpu_milli": 32,
            "memory_mb": 32,
            "storage_mb": 32,
            "exists": 0,
            "retired": 0,
        },
        lambda f: f["price"] != 0,
    ),
    "grant_word": ({"budget": 160, "expires_at": 40, "scopes": 8}, lambda _: True),
    "ledger_word": (
        {
            "oracle_bps": 14,
            "burn_bps": 14,
            "treasury_bps": 14,
            "payer_level": 6,
            "payer_standing": 0,
            "payer_oracle": 0,
            "fees": 102,
            "liabilities": 103,
        },
        lambda f: z3.ULE(f["oracle_bps"] + f["burn_bps"] + f["treasury_bps"], FULL),
    ),
    "lifecycle_word": ({"revised_in": 32, "close_requested": 32, "covered": 0}, lambda _: True),
    "link_word": (
        {"node": 160, "kind": 8, "has_payout": 0, "bonded": 0, "relink_at": 40},
        lambda _: True,
    ),
    "member_word": (
        {"license_id": 64, "first_epoch": 32, "last_epoch": 32, "ended_at": 40},
        lambda _: True,
    ),
    "money_word": (
        {
            "price": 96,
            "funded": 56,
            "claimed": 56,
            "end": 32,
            "policy": 8,
            "kind": 2,
            "cancelled": 0,
            "closed": 0,
            "completed": 0,
        },
        lambda f: z3.And(z3.ULE(f["claimed"], f["funded"]), f["end"] != 2**32 - 1),
    ),
    "policy_word": (
        {"forfeit_payer_bps": 14, "forfeit_burn_bps": 14, "flushed": 102},
        lambda f: z3.ULE(f["forfeit_payer_bps"] + f["forfeit_burn_bps"], FULL),
    ),
    "report_word": (
        {
            "window": 32,
            "previous": 32,
            "floor": 32,
            "accepted_at": 40,
            "slot": 1,
            "vetoes": 8,
            "seats": 8,
            "epoch": 32,
            "signers": 32,
        },
        lambda _: True,
    ),
    "service_word": ({"first": 32, "until": 32, "earlier": 32, "claimed": 56}, lambda _: True),
    "standing_word": ({"standing": 8, "until": 64, "cooldown": 64, "reason": 32}, lambda _: True),
    "terms_word": (
        {"payer": 160, "slots": 18, "seated": 18, "start": 32, "round": 20, "class_id": 8},
        lambda _: True,
    ),
}

UNCHECKED = {"issuer", "node", "payer"}
"""Addresses: their type keeps them below 2**160."""


def symbols(name: str) -> dict[str, Any]:
    """Return a z3 value for each field of a word."""
    fields, _ = WORDS[name]
    return {
        field: z3.BitVec(field, 256) if bits else z3.Bool(field) for field, bits in fields.items()
    }


def fits(name: str, values: dict[str, Any]) -> Any:
    """Say that every field of a word fits."""
    fields, more = WORDS[name]
    bounds = [z3.ULT(values[one], 2**bits) for one, bits in fields.items() if bits]
    return z3.And(*bounds, more(values))


def typed(name: str, values: dict[str, Any]) -> Any:
    """Say what the types of a word's fields say."""
    return z3.And(
        True, *(z3.ULT(values[one], 2**160) for one in WORDS[name][0] if one in UNCHECKED)
    )


def equal(one: dict[str, Any], other: dict[str, Any]) -> Any:
    """Say that two structs are equal."""
    return z3.And(*(one[field] == other[field] for field in one))


def round_trip(name: str) -> Callable[[Load], Iterator[Claim]]:
    """Claim that a word gives back what it was packed from, and takes exactly what fits."""

    def claims(load: Load) -> Iterator[Claim]:
        module, values = load(f"modules/{name}"), symbols(name)
        packed = module.call("_pack", values)
        back = module.get("_unpack", packed.value)
        yield z3.And(typed(name, values), z3.Not(packed.reverts)), equal(back, values)
        yield typed(name, values), packed.reverts == z3.Not(fits(name, values))

    return claims


def changed(name: str, load: Load, **changes: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Return a packed word, its bounds, and what says that another word differs in this alone."""
    module, values = load(f"modules/{name}"), symbols(name)
    packed = module.call("_pack", values)
    expected = values | changes

    def differs_in_this(word: Any) -> Any:
        return equal(module.get("_unpack", word), expected)

    return packed.value, z3.And(typed(name, values), z3.Not(packed.reverts)), differs_in_this


def bits(name: str) -> Any:
    """Return a 256-bit symbol."""
    return z3.BitVec(name, 256)


def _claim_in_place(load: Load) -> Iterator[Claim]:
    added, claimed = bits("added"), bits("claimed")
    packed, valid, only = changed("money_word", load, claimed=claimed + added)
    within = z3.And(z3.ULE(added, bits("funded") - claimed), z3.ULE(claimed, bits("funded")), valid)
    yield within, only(packed + added * 2**152)
    packed, valid, only = changed("service_word", load, claimed=claimed + added)
    small = z3.And(z3.ULT(added, UNITS), z3.ULT(claimed + added, UNITS), valid)
    yield small, only(packed + added * 2**96)


def _ledger_in_place(load: Load) -> Iterator[Claim]:
    module = load("modules/ledger_word")
    amount, fee, fees, owed = bits("amount"), bits("fee"), bits("fees"), bits("liabilities")
    room = 2**102 - 1 - fees
    packed, valid, only = changed(
        "ledger_word",
        load,
        fees=fees + z3.If(z3.ULT(fee, room), fee, room),
        liabilities=owed - amount,
    )
    claim = module.call("_with_claim", packed, amount, fee)
    yield valid, claim.reverts == z3.ULT(owed, amount)
    yield z3.And(valid, z3.ULE(amount, owed)), only(claim.value)
    added, removed = bits("added"), bits("removed")
    packed, valid, only = changed("ledger_word", load, liabilities=owed + added - removed)
    moved = module.call("_with_liabilities", packed, added, removed)
    yield z3.And(valid, z3.Not(moved.reverts)), only(moved.value)


def _readers(load: Load) -> Iterator[Claim]:
    word = bits("word")
    for name, readers in READERS.items():
        module = load(f"modules/{name}")
        whole = module.call("_unpack", word)
        for function, field in readers.items():
            yield z3.Not(whole.reverts), module.get(function, word) == whole.value[field]


READERS = {
    "money_word": {
        "_end": "end",
        "_price": "price",
        "_funded": "funded",
        "_claimed": "claimed",
        "_policy": "policy",
    },
    "terms_word": {"_payer": "payer"},
    "report_word": {"_seats": "seats", "_epoch": "epoch", "_window": "window"},
    "ledger_word": {"_fees": "fees", "_liabilities": "liabilities"},
}


def _placement_in_place(load: Load) -> Iterator[Claim]:
    module, seated, start = load("modules/terms_word"), bits("now seated"), bits("now start")
    packed, valid, only = changed(
        "terms_word", load, seated=seated, start=start, round=bits("round") + 1
    )
    placed = module.call("_with_placement", packed, seated, start)
    small = z3.And(valid, z3.ULT(seated, 2**18), z3.ULT(start, 2**32))
    yield small, placed.reverts == (bits("round") == 2**20 - 1)
    yield z3.And(small, z3.Not(placed.reverts)), only(placed.value)


def _close_in_place(load: Load) -> Iterator[Claim]:
    module, kept = load("modules/money_word"), bits("kept")
    packed, valid, only = changed("money_word", load, funded=kept, closed=z3.BoolVal(True))
    small = z3.And(valid, z3.ULT(kept, UNITS), z3.ULE(bits("claimed"), kept))
    yield small, only(module.get("_with_close", packed, kept))


def _windows(load: Load) -> Iterator[Claim]:
    module, values = load("modules/service_word"), symbols("service_word")
    packed = module.call("_pack", values)
    valid = z3.And(z3.Not(packed.reverts), z3.ULE(values["earlier"], 2**31))
    end, reported, later = bits("end"), bits("reported"), bits("later")
    calendar = z3.And(valid, z3.ULT(end, 2**32), z3.ULT(reported, 2**32), z3.ULT(later, 2**32))
    first, until = values["first"], values["until"]

    def counted(at: Any) -> Any:
        return module.get("_windows", packed.value, end, at)

    # By cases: a window counts if it is in the term, in the job and reported.
    stop = z3.If(z3.ULT(until, end), until, end)
    stop = z3.If(z3.ULT(reported + 1, stop), reported + 1, stop)
    term = z3.If(z3.ULT(first, stop), stop - first, z3.BitVecVal(0, 256))
    yield calendar, counted(reported) == values["earlier"] + term
    yield z3.And(calendar, z3.ULE(reported, later)), z3.ULE(counted(reported), counted(later))
    yield calendar, z3.ULT(counted(reported) * UNIT, 2**56)


def _final(load: Load) -> Iterator[Claim]:
    module, word, challenge = load("modules/report_word"), bits("word"), bits("challenge")
    whole = module.get("_unpack", word)
    window, slot = module.get("_final", word, challenge)
    pending = z3.ULT(bits("block.timestamp"), whole["accepted_at"] + challenge)
    yield z3.ULT(challenge, 2**40), window == z3.If(pending, whole["previous"], whole["window"])
    yield z3.ULT(challenge, 2**40), slot == z3.If(pending, 1 - whole["slot"], whole["slot"])


def _lanes(load: Load) -> Iterator[Claim]:
    counts, bitmap = bits("counts"), bits("bitmap")
    after = load("modules/lanes").get("_add", counts, bitmap)
    for lane in range(32):
        old, new = (
            z3.Extract(8 * lane + 7, 8 * lane, counts),
            z3.Extract(8 * lane + 7, 8 * lane, after),
        )
        bit = z3.ZeroExt(7, z3.Extract(lane, lane, bitmap))
        yield z3.ULT(bitmap, 2**32), new == z3.If(old == 255, old, old + bit)


def _standing(load: Load) -> Iterator[Claim]:
    module, word = load("modules/standing_word"), bits("word")
    whole = module.get("_unpack", word)
    holds = z3.ULT(bits("block.timestamp"), whole["until"])
    yield True, module.get("_current", word) == z3.If(holds, whole["standing"], 0)


# Arithmetic of money, on integers.


def _gross(load: Load) -> Iterator[Claim]:
    module = load("modules/shares")
    price, fewer, more = z3.Ints("price fewer more")
    small = z3.And(price >= 0, price < PRICE, fewer >= 0, fewer <= more, more < UNITS)
    low, high = module.get("_gross", price, fewer), module.get("_gross", price, more)
    yield small, z3.And(low <= high, low * UNIT <= price * fewer, price * fewer < (low + 1) * UNIT)


def _claim_split(load: Load) -> Iterator[Claim]:
    """A fee grows by no more than what it is taken of."""
    module = load("modules/shares")
    before, grown, bps = z3.Ints("before grown bps")
    small = z3.And(before >= 0, grown >= 0, before + grown < 2**139, bps >= 0, bps <= FULL)
    low, high = module.get("_part", before, bps), module.get("_part", before + grown, bps)
    # What the division gives, and how the product grows: the solver finds the rest by itself.
    growth = z3.And(grown * bps >= 0, grown * bps <= grown * FULL)
    yield z3.And(small, growth), z3.And(high - low >= 0, high - low <= grown)
    yield small, z3.And(low >= 0, low * FULL <= before * bps)


def _three_parts(load: Load) -> Iterator[Claim]:
    """One base unit more in all is one more in exactly one of three parts."""
    module = load("modules/shares")
    total, first, second, rest = z3.Ints("total first second rest")
    small = z3.And(
        total >= 0, total < 2**139, first >= 0, second >= 0, rest >= 0, first + second + rest > 0
    )
    bounded = z3.And(small, first <= FULL, second <= FULL, rest <= FULL)
    old = module.call("_split", total, first, second, first + second + rest)
    new = module.call("_split", total + 1, first, second, first + second + rest)
    (one, two), (one_more, two_more) = old.value, new.value
    grows = z3.And(one_more >= one, two_more >= two)
    yield bounded, z3.And(one >= 0, two >= 0, one + two <= total)
    yield bounded, z3.And(grows, one_more + two_more - one - two <= 1)


def _quorum(load: Load) -> Iterator[Claim]:
    module = load("OracleCommittee")
    n, f = z3.Ints("n f")
    quorum = module.call("_quorum", n).value
    members = z3.And(n >= 1, n <= 32)
    yield members, z3.And(3 * quorum > 2 * n, quorum <= n)
    # Two quorums share 2q - n members or more: at least one that is honest.
    yield z3.And(members, f >= 0, n >= 3 * f + 1), 2 * quorum - n >= f + 1


def _credit(load: Load) -> Iterator[Claim]:
    """The escrow's minimum of leaf, cap and what is left, on the readers of the packed word."""
    module = load("modules/money_word")
    word, units, cap, mine = bits("word"), bits("units"), bits("cap"), bits("mine")
    whole, left = module.get("_unpack", word), module.get("_left", word)
    valid = z3.And(z3.ULE(mine, whole["claimed"]), z3.ULE(whole["claimed"], whole["funded"]))

    def least(a: Any, b: Any) -> Any:
        return z3.If(z3.ULT(a, b), a, b)

    credited = least(least(units, cap), mine + left)
    moves = z3.And(valid, z3.UGT(credited, mine))
    yield moves, z3.And(z3.ULE(credited, cap), z3.ULE(credited, units))
    yield moves, z3.ULE(whole["claimed"] + (credited - mine), whole["funded"])
    yield moves, z3.ULT(credited, UNITS)


_PACK_FAULTS = {
    "attestation_word": ("<< 168", "<< 167"),
    "bond_word": ("<< 192", "<< 191"),
    "class_word": ("<< 193", "<< 192"),
    "grant_word": ("2**40, ", "2**41, "),
    "ledger_word": (">> 15) & (2**14 - 1)", ">> 15) & (2**13 - 1)"),
    "lifecycle_word": ("<< 64", "<< 63"),
    "link_word": ("<< 160", "<< 159"),
    "member_word": ("<< 128", "<< 127"),
    "money_word": ("word.end < 2**32 - 1", "word.end < 2**32"),
    "policy_word": ("<= 10_000", "<= 10_001"),
    "report_word": ("word.slot < 2", "word.slot < 4"),
    "service_word": ("word.claimed < 2**56", "word.claimed < 2**57"),
    "standing_word": ("<< 136", "<< 135"),
    "terms_word": ("word.slots < 2**18", "word.slots <= 2**18"),
}


def _word_facts() -> Iterator[Fact]:
    for name in WORDS:
        yield Fact(
            f"W-{name.removesuffix('_word')}",
            f"{name}: unpacking gives back what was packed; packing reverts exactly where a field"
            " does not fit",
            "all values of 256-bit fields",
            f"modules/{name}",
            Words,
            round_trip(name),
            _PACK_FAULTS[name],
        )


FACTS: tuple[Fact, ...] = (
    *_word_facts(),
    Fact(
        "A-readers",
        "readers of single fields agree with unpacking the whole word",
        "all words",
        "modules/money_word",
        Words,
        _readers,
        ("return (packed >> 208) & (2**32 - 1)", "return (packed >> 208) & (2**31 - 1)"),
    ),
    Fact(
        "A-claim",
        "adding claimed units in place touches no other field of a job or a license",
        "added units at most what the job has left; below 2**56 for a license",
        "modules/service_word",
        Words,
        _claim_in_place,
        ("claimed=(packed >> 96) & (2**56 - 1)", "claimed=(packed >> 97) & (2**56 - 1)"),
    ),
    Fact(
        "A-ledger",
        "booking a claim, a deposit or a refund in place touches fees and liabilities alone; fees"
        " stop at their bound; more than is owed reverts",
        "all ledgers, all 256-bit amounts",
        "modules/ledger_word",
        Words,
        _ledger_in_place,
        ("min(fee, room) << 51", "fee << 51"),
    ),
    Fact(
        "A-placement",
        "a placement in place sets seated and start, counts one round, and touches nothing else",
        "seated below 2**18, start below 2**32",
        "modules/terms_word",
        Words,
        _placement_in_place,
        ("packed & ~SEATED_AND_START", "packed"),
    ),
    Fact(
        "A-close",
        "an attested close in place sets funded units and the flag, and touches nothing else",
        "kept units below 2**56, at least the claimed",
        "modules/money_word",
        Words,
        _close_in_place,
        ("packed & ~FUNDED_MASK", "packed"),
    ),
    Fact(
        "C-windows",
        "the windows of a license are those of its term that are in the job and reported; they"
        " never fall as reports go on, and their units fit 56 bits",
        "windows of 32 bits, earlier ones at most 2**31",
        "modules/service_word",
        Words,
        _windows,
        ("unsafe_add(reported, 1)", "unsafe_add(reported, 2)"),
    ),
    Fact(
        "C-credit",
        "what is credited is at most the leaf and the cap, and a job never pays more than funded",
        "a license's units are part of the job's claimed ones; the minimum is JobEscrow._credit's",
        "modules/money_word",
        Words,
        _credit,
        (
            "unsafe_sub((packed >> 96) & (2**56 - 1), (packed >> 152) & (2**56 - 1))",
            "(packed >> 96) & (2**56 - 1)",
        ),
    ),
    Fact(
        "C-final",
        "the final report is the latest one once its challenge is over, else the one before",
        "challenge below 2**40 seconds",
        "modules/report_word",
        Words,
        _final,
        ("return (packed >> 32) & (2**32 - 1), 1 - slot", "return (packed >> 32) & 1, 1 - slot"),
    ),
    Fact(
        "C-lanes",
        "counting signers adds one to exactly the lanes whose bit is set, and stops at 255",
        "32 lanes, bitmaps below 2**32",
        "modules/lanes",
        Words,
        _lanes,
        ("full &= full >> 2", "full &= full >> 3"),
    ),
    Fact(
        "C-standing",
        "a standing is in force until its end and reads as good from then on",
        "all words",
        "modules/standing_word",
        Words,
        _standing,
        ("<= block.timestamp", "< block.timestamp"),
    ),
    Fact(
        "S-gross",
        "gross is price * units // 10,000, rounded down, never falls with units, and its products"
        " stay in 256 bits",
        "price below 2**96, units below 2**56",
        "modules/shares",
        Integers,
        _gross,
        ("unsafe_mul(price, units), UNIT)", "unsafe_mul(price, units), 9_999)"),
    ),
    Fact(
        "S-fee",
        "a cumulative fee grows by at least 0 and at most what its base grows by: an operator's"
        " amount is never negative, and amount and fee are the gross",
        "gross below 2**139, fees at most 10,000 bps",
        "modules/shares",
        Integers,
        _claim_split,
        ("unsafe_mul(amount, bps), FULL_BPS)", "unsafe_mul(amount, bps), 9_000)"),
    ),
    Fact(
        "S-split",
        "of a base unit more in all, exactly one of three parts gets it and none loses any: parts"
        " never fall, and come out the same however a total is reached",
        "total below 2**139, weights at most 10,000",
        "modules/shares",
        Integers,
        _three_parts,
        ("return one, both - one", "return one, total * second // whole"),
    ),
    Fact(
        "Q-quorum",
        "a quorum is more than two thirds of the seats and never more than all; with n >= 3f + 1"
        " two quorums share an honest member",
        "1 to 32 seats",
        "OracleCommittee",
        Integers,
        _quorum,
        ("2 * seats // 3 + 1", "2 * seats // 3"),
    ),
)
