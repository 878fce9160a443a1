"""What the rules of the machine share: the system, its model, attempts that are counted, time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from tests.contracts import evm
from tests.contracts.stateful.model import JobModel, LedgerModel, PolicyModel
from tests.contracts.system import (
    CLASSES,
    FOREVER,
    GOOD,
    JOB_LEAF,
    BondTerms,
    System,
    account,
    deploy_system,
    private_key,
)
from workdeed.protocol.merkle import MerkleTree, leaf_hash
from workdeed.protocol.quorum import quorum
from workdeed.protocol.signing import address_of

TRIED: Counter[str] = Counter()
"""How often each call was made, right or wrong."""

EFFECTIVE: Counter[str] = Counter()
"""How often each call took effect."""

REFUSED: Counter[str] = Counter()
"""How often what must never work was tried."""

CHECKED: Counter[str] = Counter()
"""How often each invariant was compared with the chain, by its id in docs/invariants.md."""

SHARES = st.tuples(*[st.integers(0, 3_000)] * 3)
PARTS = st.tuples(*[st.integers(0, 5_000)] * 2)
MIN_BOND = 1_000
"""What a node license must be bonded to, in base units."""

RARELY = 8
"""One draw in so many goes wrong on purpose."""


def subsets(items: list[int], least: int, most: int) -> st.SearchStrategy[list[int]]:
    """Draw distinct items, at least and at most so many if there are."""
    if not items or most <= 0:
        return st.just([])
    return st.lists(
        st.sampled_from(items),
        unique=True,
        min_size=min(least, len(items), most),
        max_size=min(most, len(items)),
    )


@dataclass
class Accepted:
    """A report that the committee accepted."""

    window: int
    units: dict[tuple[int, int], int]
    tree: MerkleTree
    accepted_at: int
    vetoed: bool = False


def depth() -> settings:
    """Return how deep a machine goes: under `quick` deep enough for every rule to take effect."""
    chosen = settings()
    return settings(
        chosen,
        max_examples=max(100, chosen.max_examples),
        stateful_step_count=max(40, chosen.stateful_step_count),
    )


class Base(RuleBasedStateMachine):
    """The system beside its model; the rules are in the classes that build on it."""

    system: System

    def __init__(self) -> None:
        super().__init__()
        self.anchor = evm.env.anchor()
        self.anchor.__enter__()
        self.jobs: dict[int, JobModel] = {}
        self.accepted: list[Accepted] = []
        self.ledgers: dict[int, LedgerModel] = {}
        self.pots = [0, 0, 0]
        self.pulled = [0, 0, 0]
        self.grants: dict[tuple[str, str], tuple[int, int, int]] = {}
        self.donated = 0
        self.paid = 0
        self.forfeited = 0
        self.paused_until = 0
        self.pause_again_at = 0
        self.nodes: dict[int, bytes] = {}
        self.linked: dict[int, str] = {}
        self.owners: dict[int, str] = {}
        self.payouts: dict[int, str] = {}
        self.bonded: set[int] = set()
        self.standings: dict[int | str, tuple[int, int]] = {}
        self.cooldowns: dict[int | str, int] = {}
        self.keys = 0
        self.slashes = 0
        self.steps = 0

    def teardown(self) -> None:
        """Forget the example's chain."""
        self.anchor.__exit__(None, None, None)

    def attempt(self, name: str, reason: str | None, call: Callable[[], Any]) -> Any:
        """Make a call that must succeed, or fail for `reason`; count it."""
        TRIED[name] += 1
        if reason is None:
            result = call()
            EFFECTIVE[name] += 1
            return result
        note(f"{name} must fail: {reason}")
        with evm.reverts(reason):
            call()
        return None

    def refuse(self, name: str, reason: str | None, call: Callable[[], Any]) -> None:
        """Make a call that must always fail, for `reason` where there is one."""
        REFUSED[name] += 1
        with evm.reverts(reason) if reason else evm.reverts():
            call()

    # Time.

    def now(self) -> int:
        """Return the current window."""
        return (evm.env.timestamp - self.genesis) // self.system.window + 1

    def wait_windows(self, windows: int) -> None:
        """Let whole windows pass."""
        self.system.wait(windows * self.system.window)

    # Reports.

    def final(self) -> Accepted | None:
        """Return the report that money may rest on."""
        standing = [
            report
            for report in self.accepted
            if not report.vetoed and report.accepted_at + self.system.challenge <= evm.env.timestamp
        ]
        return standing[-1] if standing else None

    def reported(self) -> int:
        """Return the window of the final report, 0 before the first."""
        report = self.final()
        return report.window if report else 0

    def latest_window(self) -> int:
        """Return the window of the latest report, pending or final, that was not vetoed."""
        return max((one.window for one in self.accepted if not one.vetoed), default=0)

    def pending(self) -> Accepted | None:
        """Return the report that can be vetoed."""
        if not self.accepted or self.accepted[-1].vetoed:
            return None
        last = self.accepted[-1]
        over = last.accepted_at + self.system.challenge <= evm.env.timestamp
        return None if over else last

    def quorum_keys(self) -> list[bytes]:
        """Return the keys of as many members as a quorum needs."""
        return list(self.seats.values())[: quorum(len(self.seats))]

    def leaf(self, job_id: int, license_id: int, units: int) -> bytes:
        """Return the leaf of cumulative units."""
        return leaf_hash(self.system.escrow.address, job_id, license_id, units)

    # Standing.

    def standing_of(self, target: int | str) -> int:
        """Return the standing of a license id or an account."""
        standing, until = self.standings.get(target, (GOOD, FOREVER))
        return standing if until > evm.env.timestamp else GOOD

    def targets(self, license_id: int) -> list[int | str]:
        """Return a license, its owner and its node."""
        targets: list[int | str] = [license_id, self.owners[license_id]]
        return [*targets, self.linked[license_id]] if license_id in self.linked else targets

    def standing(self, license_id: int) -> int:
        """Return the worst standing of a license, its owner and its node."""
        return max(map(self.standing_of, self.targets(license_id)))

    def eligible(self, license_id: int) -> bool:
        """Say whether a license can be placed."""
        return (
            license_id in self.linked
            and license_id in self.bonded
            and self.owners[license_id] in self.verified
            and self.standing(license_id) == GOOD
        )

    def payout(self, license_id: int) -> str:
        """Return who is paid for a license."""
        return self.payouts.get(license_id, self.owners[license_id])

    def is_paused(self) -> bool:
        """Say whether opening and placing are stopped."""
        return evm.env.timestamp < self.paused_until

    # Draws.

    def job(self, data: st.DataObject, fit: Callable[[JobModel], bool] = lambda _: True) -> int:
        """Draw a job, mostly one that a call fits."""
        jobs = sorted(self.jobs)
        fitting = [one for one in jobs if fit(self.jobs[one])]
        weighted = fitting * (1 + 3 * len(jobs) // max(1, len(fitting))) + jobs
        return int(data.draw(st.sampled_from(weighted), label="job"))

    def license(self, data: st.DataObject) -> int:
        """Draw a license."""
        return data.draw(st.sampled_from(sorted(self.owners)), label="license")

    def rarely(self, data: st.DataObject, label: str) -> bool:
        """Say whether to go wrong on purpose."""
        return data.draw(st.integers(1, RARELY), label=label) == RARELY

    # The start.

    @initialize(
        decimals=st.integers(2, 18),
        price=st.integers(1, 10**24),
        window=st.integers(60, 86_400),
        oracles=st.sampled_from([1, 3, 4, 7]),
        shares=SHARES,
        parts=PARTS,
        grace=st.integers(1, 4),
        data=st.data(),
    )
    def deploy(
        self,
        decimals: int,
        price: int,
        window: int,
        oracles: int,
        shares: tuple[int, int, int],
        parts: tuple[int, int],
        grace: int,
        data: st.DataObject,
    ) -> None:
        """Deploy with fuzzed parameters, bring the first nodes and start the first jobs."""
        policy = PolicyModel(
            *shares, forfeit_payer_bps=parts[0], forfeit_burn_bps=parts[1], payer_standing=True
        )
        self.ledgers = {1: LedgerModel(policy)}
        self.prices = {1: price, 2: CLASSES[1][0]}
        self.retired: set[int] = set()
        self.system = deploy_system(
            decimals=decimals,
            oracles=oracles,
            window=window,
            challenge=data.draw(st.integers(0, window - 1), label="challenge"),
            close_grace=grace,
            classes=((price, 1, 1, 1), CLASSES[1]),
            policy=policy_tuple(policy),
            bond_terms=BondTerms(min_node_bond=MIN_BOND),
        )
        self.genesis = int(self.system.committee.GENESIS())
        self.payers = [self.system.payer, account("second payer")]
        self.system.attest(self.payers[1])
        self.system.fund(self.payers[1], 10**40)
        self.delegate = account("delegate")
        self.verified = {*self.payers, *self.system.operators}
        self.floor = 0
        self.vetoes = 0
        self.seats = dict(enumerate(self.system.oracle_keys))
        for operator in self.system.operators[:3]:
            self.bring_node(operator)
        self.begin(data)

    def begin(self, data: st.DataObject) -> None:
        """Start the first jobs; the rules that can are in other classes."""

    def bring_node(self, owner: str) -> int:
        """Issue a license, link a node and post its bond."""
        license_id = self.system.issue(owner)
        self.owners[license_id] = owner
        self.link(license_id)
        self.top_up(license_id)
        return license_id

    def top_up(self, license_id: int) -> None:
        """Bond a license up to the minimum; a stranger pays."""
        system, stranger = self.system, self.system.stranger
        bond, _, _ = system.licenses.bond_of(license_id)
        missing = MIN_BOND - bond
        system.token.mint(stranger, missing)
        system.token.approve(system.licenses.address, missing, sender=stranger)
        self.attempt(
            "post_bond",
            None,
            lambda: system.licenses.post_bond(license_id, missing, sender=stranger),
        )
        self.bonded.add(license_id)

    def link(self, license_id: int) -> None:
        """Link a new node key to a license."""
        self.keys += 1
        key = private_key(f"machine node {self.keys}")
        self.system.link(license_id, key)
        self.nodes[license_id] = key
        self.linked[license_id] = address_of(key)


def policy_tuple(policy: PolicyModel) -> tuple[int, int, int, int, int, bool, bool, int, int]:
    """Return a policy as the tariff takes it."""
    return (
        policy.oracle_bps,
        policy.burn_bps,
        policy.treasury_bps,
        policy.sla_floor_bps,
        policy.payer_level,
        policy.payer_standing,
        policy.payer_oracle,
        policy.forfeit_payer_bps,
        policy.forfeit_burn_bps,
    )


__all__ = [
    "CHECKED",
    "EFFECTIVE",
    "JOB_LEAF",
    "PARTS",
    "REFUSED",
    "SHARES",
    "TRIED",
    "Accepted",
    "Base",
    "policy_tuple",
    "subsets",
]
