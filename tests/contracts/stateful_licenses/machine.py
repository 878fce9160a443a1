"""A machine over licenses, bonds, standings and the fee vault: every call, in any order.

Each rule draws mostly what a call takes, predicts the outcome or the reason of the refusal from
`model`, and the invariants compare chain and model after every step. Their ids are those of
`docs/invariants.md`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.contracts import evm
from tests.contracts.stateful_licenses.model import (
    BLACKLISTED,
    GOOD,
    NEVER,
    NODE,
    ORACLE,
    SUSPENDED,
    Books,
    Deed,
    Target,
    Terms,
)
from tests.contracts.system import (
    EVIDENCE,
    FOREVER,
    ZERO_ADDRESS,
    BondTerms,
    System,
    account,
    deploy_system,
    private_key,
    subject,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_of

TRIED: Counter[str] = Counter()
EFFECTIVE: Counter[str] = Counter()
REFUSED: Counter[str] = Counter()
CHECKED: Counter[str] = Counter()

MAX_LICENSES = 6
NODE_KEYS = [private_key(f"license machine node {index}") for index in range(4)]
KEY_OF = {address_of(key): key for key in [*NODE_KEYS, private_key("operator 0")]}
"""Node keys, fewer than licenses so that they meet; an operator may link its own wallet as well."""

OWNERS = [account(f"operator {index}") for index in range(3)]
ISSUERS = [account("issuer"), account("second issuer")]
AMOUNT = st.one_of(st.integers(1, 10), st.integers(1, 10**12))
CALLS = {
    "issue": 1,
    "link": 2,
    "unlink": 2,
    "transfer": 3,
    "announce": 1,
    "replay_link": 1,
    "post": 3,
    "request_unbond": 2,
    "cancel_unbond": 1,
    "withdraw_bond": 3,
    "flee": 4,
    "slash": 4,
    "set_slash_split": 1,
    "add_seat": 3,
    "remove_seat": 1,
    "pull": 2,
    "donate": 1,
    "freeze": 2,
    "suspend": 2,
    "blacklist": 1,
    "reinstate": 4,
    "attest": 2,
    "revoke": 1,
    "change_issuer": 2,
    "pass_time": 2,
}
"""Every call and how often it comes. An example shuffles them once and deals them in turn: a short
run that drew each by chance would miss some."""

PURSUIT = ["withdraw_bond", "slash", "transfer", "freeze", "suspend", "remove_seat"]


class LicenseMachine(RuleBasedStateMachine):
    """The contracts, their model, and every call that changes a license, a standing or a pot."""

    system: System

    def __init__(self) -> None:
        super().__init__()
        self.anchor = evm.env.anchor()
        self.anchor.__enter__()
        self.donated = self.donated_to_vault = 0
        self.focus = 0
        self.links: list[tuple[int, str, str, bytes]] = []

    def teardown(self) -> None:
        """Forget the example's chain."""
        self.anchor.__exit__(None, None, None)

    # Helpers.

    def attempt(self, name: str, reason: str | None, call: Callable[[], Any]) -> Any:
        """Make a call that must succeed, or fail for `reason`; count it."""
        TRIED[name] += 1
        if reason is None:
            result = call()
            EFFECTIVE[name] += 1
            return result
        note(f"{name} must fail: {reason}")
        REFUSED[reason] += 1
        with evm.reverts(reason):
            call()
        return None

    @property
    def now(self) -> int:
        """The time that the next call sees."""
        return int(evm.env.timestamp)

    def until(self, moment: int) -> None:
        """Travel to a moment, unless it is over."""
        if self.now < moment:
            self.system.wait(moment - self.now)

    def balance(self, who: str) -> int:
        """Return an account's tokens."""
        return int(self.system.token.balanceOf(who))

    def license(
        self, data: st.DataObject, fit: Callable[[int, Deed], bool] = lambda _, __: True
    ) -> int:
        """Draw a license, mostly one that a call fits; the one that `flee` is about, if any."""
        if self.focus:
            return self.focus
        every = sorted(self.books.deeds)
        fitting = [one for one in every if fit(one, self.books.deeds[one])]
        weighted = fitting * (1 + 3 * len(every) // max(1, len(fitting))) + every
        return int(data.draw(st.sampled_from(weighted), label="license"))

    # The start.

    @initialize(
        minimum=st.tuples(st.sampled_from([0, 1, 10**6]), st.sampled_from([0, 10**6])),
        unbond_delay=st.integers(1, 40_000),
        cap_bps=st.sampled_from([5_000, 3_333, 10_000, 10_000, 0]),
        split=st.sampled_from([(4_000, 3_000), (3_333, 3_333), (10_000, 0), (0, 0)]),
        relink_delay=st.sampled_from([0, 600]),
        owner_level=st.integers(0, 2),
        oracles=st.integers(1, 3),
        data=st.data(),
    )
    def deploy(
        self,
        minimum: tuple[int, int],
        unbond_delay: int,
        cap_bps: int,
        split: tuple[int, int],
        relink_delay: int,
        owner_level: int,
        oracles: int,
        data: st.DataObject,
    ) -> None:
        """Deploy with fuzzed terms; bring two nodes that ask for their bonds, and an oracle."""
        deck = [name for name, times in CALLS.items() for _ in range(times)]
        self.calls = cycle(data.draw(st.permutations(deck), label="calls"))
        self.system = deploy_system(
            oracles=oracles,
            relink_delay=relink_delay,
            owner_level=owner_level,
            bond_terms=BondTerms(*minimum, unbond_delay, cap_bps, *split),
        )
        self.books = Books(
            Terms(
                minimum={NODE: minimum[0], ORACLE: minimum[1]},
                unbond_delay=unbond_delay,
                slash_cap_bps=cap_bps,
                relink_delay=relink_delay,
                freeze_period=self.system.freeze_period,
                owner_level=owner_level,
            ),
            deeds={
                index + 1: Deed(ORACLE, owner)
                for index, owner in enumerate(self.system.oracle_owners)
            },
            attestations=dict.fromkeys(
                (self.system.payer, *self.system.operators), (ISSUERS[0], 1, FOREVER)
            ),
            issuers={ISSUERS[0]},
            seats={
                index: (index + 1, address_of(key))
                for index, key in enumerate(self.system.oracle_keys)
            },
            split=split,
        )
        for index in range(2):
            license_id = self._issue(OWNERS[index], NODE)
            self._link(license_id, address_of(NODE_KEYS[index]), OWNERS[index])
            self.post_bond(license_id, 10**6 + index, OWNERS[index])
            self.flee(data)
        oracle = self._issue(OWNERS[2], ORACLE)
        self._link(oracle, address_of(NODE_KEYS[2]), OWNERS[2])
        self.post_bond(oracle, 10**6, OWNERS[2])
        self.post_bond(1, 10**6, self.system.stranger)
        self.slash(data)

    # Licenses.

    def _issue(self, owner: str, kind: int) -> int:
        active = self.system.issuer in self.books.issuers
        reason = None if active else "roles: not an issuer"
        license_id = self.attempt("issue", reason, lambda: self.system.issue(owner, kind))
        if reason is None:
            assert license_id == len(self.books.deeds) + 1
            self.books.deeds[license_id] = Deed(kind, owner)
        return len(self.books.deeds)

    def issue(self, data: st.DataObject) -> None:
        """Bring another license."""
        if len(self.books.deeds) < MAX_LICENSES:
            kind = data.draw(st.sampled_from([NODE, NODE, ORACLE]), label="kind")
            self._issue(data.draw(st.sampled_from(OWNERS), label="owner"), kind)

    def link(self, data: st.DataObject) -> None:
        """L21: link a node key, mostly a free one to a license without a node."""
        license_id = self.license(data, lambda _, deed: not deed.node)
        deed = self.books.deeds[license_id]
        linked = {one.node for one in self.books.deeds.values()}
        free = [node for node in KEY_OF if node not in linked]
        node = data.draw(st.sampled_from([*free * 3, *KEY_OF]), label="node")
        sender = data.draw(st.sampled_from([deed.owner] * 7 + [OWNERS[0]]), label="sender")
        if data.draw(st.booleans(), label="wait for the relink delay"):
            self.until(deed.relink_at)
        self._link(license_id, node, sender)

    def _link(self, license_id: int, node: str, sender: str) -> None:
        nonce, licenses = self.books.nonces[node], self.system.licenses
        signature = self.system.link_signature(license_id, KEY_OF[node], owner=sender, nonce=nonce)
        reason = self.books.link_reason(license_id, sender, node, self.now)
        self.attempt(
            "link",
            reason,
            lambda: licenses.link_node(license_id, node, FOREVER, signature, sender=sender),
        )
        if reason is None:
            self.books.link(license_id, node)
            self.links.append((license_id, node, sender, signature))

    def replay_link(self, data: st.DataObject) -> None:
        """L21: no link signature works twice."""
        if not self.links:
            return
        license_id, node, sender, signature = data.draw(st.sampled_from(self.links), label="link")
        reason = self.books.early_link_reason(license_id, sender, node, self.now)
        reason = reason or "license: wrong node signature"
        licenses = self.system.licenses
        with evm.reverts(reason):
            licenses.link_node(license_id, node, FOREVER, signature, sender=sender)
        TRIED["replay_link"] += 1
        EFFECTIVE["replay_link"] += reason == "license: wrong node signature"

    def unlink(self, data: st.DataObject) -> None:
        """L21, L22: unlink a node, refused out of good standing."""
        license_id = self.license(data, lambda _, deed: deed.node != "")
        owner = self.books.deeds[license_id].owner
        reason = self.books.unlink_reason(license_id, self.now)
        self.attempt(
            "unlink", reason, lambda: self.system.licenses.unlink_node(license_id, sender=owner)
        )
        if reason is None:
            self.books.unlink(license_id, self.now)
            self.until(self.books.deeds[license_id].relink_at)
            self.replay_link(data)

    def transfer(self, data: st.DataObject) -> None:
        """L21, L22: a transfer clears all but the bond, ends a seat and cancels a request."""
        license_id = self.license(data, lambda _, deed: deed.unbonding > 0)
        receiver = data.draw(st.sampled_from(OWNERS), label="receiver")
        owner = self.books.deeds[license_id].owner
        reason = self.books.transfer_reason(license_id, receiver, self.now)
        requested = self.books.deeds[license_id].unbonding
        self.attempt(
            "transfer",
            reason,
            lambda: self.system.licenses.transferFrom(owner, receiver, license_id, sender=owner),
        )
        if reason is None:
            self.books.transfer(license_id, receiver, self.now)
            CHECKED["transfers that cancelled a request"] += requested > 0

    def announce(self, data: st.DataObject) -> None:
        """Set payout and profile."""
        license_id = self.license(data)
        payout = data.draw(st.sampled_from(["", account("payout 0"), account("payout 1")]))
        deed, licenses = self.books.deeds[license_id], self.system.licenses
        endpoint = f"http://{payout[-4:]}:1"
        licenses.set_profile(license_id, endpoint, bytes(32), sender=deed.owner)
        self.attempt(
            "announce",
            None,
            lambda: licenses.set_payout(license_id, payout or ZERO_ADDRESS, sender=deed.owner),
        )
        deed.payout, deed.endpoint = payout, endpoint

    # Bonds.

    def post_bond(self, license_id: int, amount: int, sender: str) -> None:
        """Post a bond: all of it arrives."""
        before = self.balance(self.system.licenses.address)
        self.attempt(
            "post_bond", None, lambda: self.system.post_bond(license_id, amount, sender=sender)
        )
        assert self.balance(self.system.licenses.address) - before == amount
        self.books.deeds[license_id].bond += amount

    def post(self, data: st.DataObject) -> None:
        """Somebody posts for a license, mostly one below its minimum, often just what it lacks."""
        sender = data.draw(st.sampled_from([*OWNERS, self.system.stranger]), label="sender")
        amount = data.draw(AMOUNT, label="amount")
        license_id = self.license(data, lambda one, _: not self.books.is_bonded(one))
        deed = self.books.deeds[license_id]
        lacking = self.books.terms.minimum[deed.kind] - deed.bond
        if lacking > 0 and data.draw(st.booleans(), label="up to the minimum"):
            amount = lacking
        self.post_bond(license_id, amount, sender)

    def request_unbond(self, data: st.DataObject) -> None:
        """Ask for a part of a bond, often all of it."""
        license_id = self.license(data, lambda _, deed: deed.bond > 0)
        deed = self.books.deeds[license_id]
        amount = data.draw(AMOUNT, label="amount")
        if deed.bond and data.draw(st.integers(0, 5), label="fitting") < 5:
            amount = data.draw(st.sampled_from([deed.bond, 1 + deed.bond // 2]), label="amount")
        self._request(license_id, amount)

    def _request(self, license_id: int, amount: int) -> None:
        """Ask for a part of a bond."""
        deed = self.books.deeds[license_id]
        reason = self.books.request_reason(license_id, amount)
        self.attempt(
            "request_unbond",
            reason,
            lambda: self.system.licenses.request_unbond(license_id, amount, sender=deed.owner),
        )
        if reason is None:
            self.books.request_unbond(license_id, amount, self.now)

    def cancel_unbond(self, data: st.DataObject) -> None:
        """Take a request back."""
        license_id = self.license(data, lambda _, deed: deed.held > 0)
        deed = self.books.deeds[license_id]
        if deed.bond and data.draw(st.integers(0, 5), label="request first") < 5:
            self._request(license_id, deed.bond)
        reason = None if deed.unbonding else "license: nothing requested"
        self.attempt(
            "cancel_unbond",
            reason,
            lambda: self.system.licenses.cancel_unbond(license_id, sender=deed.owner),
        )
        if reason is None:
            self.books.cancel_unbond(license_id)

    def withdraw_bond(self, data: st.DataObject) -> None:
        """L25: withdraw now, when it is due, or one second before."""
        early = data.draw(st.sampled_from([0, 0, 0, 1, None]), label="seconds early")
        license_id = self.license(
            data, lambda one, deed: deed.unbonding > 0 or self.books.is_seated(one)
        )
        deed = self.books.deeds[license_id]
        if deed.bond and self.books.is_seated(license_id):
            self._request(license_id, deed.bond)
        due_at = self.books.due_at(license_id)
        if early is not None and deed.unbonding and due_at != NEVER:
            self.until(due_at - early)
        reason = self.books.withdraw_reason(license_id, self.now)
        before = self.balance(deed.owner)
        amount = self.attempt(
            "withdraw_bond",
            reason,
            lambda: self.system.licenses.withdraw_bond(license_id, sender=deed.owner),
        )
        if reason is None:
            due = self.books.withdraw(license_id)
            assert amount == due == self.balance(deed.owner) - before

    def slash(self, data: st.DataObject) -> None:
        """L25: a slash is split exactly, at most the cap; one offence slashes once."""
        license_id = self.license(data, lambda _, deed: deed.held > 0)
        amount = data.draw(st.one_of(st.just(NEVER), AMOUNT), label="amount")
        by = data.draw(st.sampled_from(["governor"] * 3 + ["committee"] * 3 + ["guardian"]))
        again = bool(self.books.evidence) and data.draw(st.integers(0, 5), label="again") == 5
        evidence = keccak(bytes([len(self.books.evidence) + (not again)]))
        harmed = data.draw(st.booleans(), label="harmed payer")
        committee = by == "committee"
        sender = self.system.committee.address if committee else getattr(self.system, by)
        payer = self.system.payer if harmed else ZERO_ADDRESS
        reason = "license: not a slasher" if by == "guardian" else None
        if reason is None and evidence in self.books.evidence:
            reason = "license: evidence used"
        held, before = self.books.deeds[license_id].held, self.balance(self.system.payer)
        slashed = self.attempt(
            "slash",
            reason,
            lambda: self.system.licenses.slash(license_id, amount, evidence, payer, sender=sender),
        )
        if reason is None:
            parts = self.books.slash(license_id, amount, evidence, harmed)
            assert slashed == parts.total == held - self.books.deeds[license_id].held
            assert slashed <= held * self.books.terms.slash_cap_bps // 10_000
            assert self.balance(self.system.payer) - before == parts.to_payer
            CHECKED["L25"] += 1
            CHECKED["slashes that took something"] += slashed > 0
            CHECKED["slashes of a request"] += parts.unbonding > 0

    def set_slash_split(self, data: st.DataObject) -> None:
        """Change who gets what is slashed."""
        payer_bps = data.draw(st.integers(0, 10_001), label="payer's share")
        burn_bps = data.draw(st.integers(0, 10_001 - payer_bps), label="burned share")
        whole = payer_bps + burn_bps <= 10_000
        reason = None if whole else "license: slash split too high"
        self.attempt(
            "set_slash_split",
            reason,
            lambda: self.system.licenses.set_slash_split(
                payer_bps, burn_bps, sender=self.system.governor
            ),
        )
        if reason is None:
            self.books.split = (payer_bps, burn_bps)

    # Trust.

    def _target(self, data: st.DataObject, license_id: int) -> Target:
        targets = self.books.targets(license_id)
        return data.draw(st.sampled_from(targets), label="target")

    def freeze(self, data: st.DataObject) -> None:
        """L23: license, owner and node share one cooldown."""
        target = self._target(data, self.license(data))
        reason = self.books.freeze_reason(target, self.now)
        self.attempt("freeze", reason, lambda: self.system.freeze(target))
        if reason is not None:
            return
        self.books.freeze(target, self.now)
        if data.draw(st.booleans(), label="again when it ended"):
            self.until(self.now + self.books.terms.freeze_period)
            reason = self.books.freeze_reason(target, self.now)
            self.attempt("freeze", reason, lambda: self.system.freeze(target))

    def suspend(self, data: st.DataObject) -> None:
        """L22: suspend for a while."""
        seconds = data.draw(st.integers(1, 10_000), label="seconds")
        target = self._target(data, self.license(data))
        self.attempt("suspend", None, lambda: self.system.suspend(target, seconds))
        self.books.standings[target] = (SUSPENDED, self.now + seconds)

    def blacklist(self, data: st.DataObject) -> None:
        """L22: blacklist."""
        target = self._target(data, self.license(data))
        self.attempt("blacklist", None, lambda: self.system.blacklist(target))
        self.books.standings[target] = (BLACKLISTED, NEVER)

    def reinstate(self, data: st.DataObject) -> None:
        """Bring back everyone of a license, mostly one that is held."""
        license_id = self.license(data, lambda one, _: self.books.standing(one, self.now) != GOOD)
        for target in self.books.targets(license_id):
            if self.books.standing_of(target, self.now) != GOOD:
                self.attempt("reinstate", None, lambda who=target: self.system.reinstate(who))
                self.books.standings[target] = (GOOD, NEVER)

    def attest(self, data: st.DataObject) -> None:
        """L24: an issuer attests; it can't overwrite what another attests."""
        who = data.draw(st.sampled_from(OWNERS), label="account")
        issuer = data.draw(st.sampled_from([*sorted(self.books.issuers) * 2, *ISSUERS]))
        level = data.draw(st.sampled_from([2, 2, 1]), label="level")
        seconds = data.draw(st.one_of(st.just(FOREVER), st.integers(1, 50_000)), label="seconds")
        expires_at = min(self.now + seconds, FOREVER - 1)
        reason = self.books.attest_reason(who, issuer, self.now)
        self.attempt(
            "attest",
            reason,
            lambda: self.system.trust.attest(who, level, expires_at, EVIDENCE, sender=issuer),
        )
        if reason is None:
            self.books.attestations[who] = (issuer, level, expires_at)

    def revoke(self, data: st.DataObject) -> None:
        """L24: the governor revokes."""
        who = data.draw(st.sampled_from(OWNERS), label="account")
        reason = None if who in self.books.attestations else "trust: not attested"
        self.attempt(
            "revoke", reason, lambda: self.system.trust.revoke(who, sender=self.system.governor)
        )
        self.books.attestations.pop(who, None)

    def change_issuer(self, data: st.DataObject) -> None:
        """L24: dropping an issuer voids all of its attestations, naming it again restores them."""
        issuer = data.draw(st.sampled_from(ISSUERS), label="issuer")
        active = issuer not in self.books.issuers
        self.attempt(
            "change_issuer",
            None,
            lambda: self.system.trust.set_issuer(issuer, active, sender=self.system.governor),
        )
        (self.books.issuers.add if active else self.books.issuers.discard)(issuer)

    # Seats.

    def add_seat(self, data: st.DataObject) -> None:
        """Seat the node of an oracle license, whose bond is then held until its seat ends."""
        license_id = self.license(
            data, lambda one, deed: self.books.seat_reason(one, deed.node, self.now) is None
        )
        node = self.books.deeds[license_id].node
        signer = data.draw(st.sampled_from([*[node] * 6, *KEY_OF] if node else [*KEY_OF]))
        reason = self.books.seat_reason(license_id, signer, self.now)
        committee, governor = self.system.committee, self.system.governor
        seat = self.attempt(
            "add_seat", reason, lambda: committee.add_seat(license_id, signer, sender=governor)
        )
        if reason is None:
            assert seat == self.books.add_seat(license_id, signer)

    def remove_seat(self, data: st.DataObject) -> None:
        """End the seat of an oracle; its bond stays for the whole delay."""
        seat = data.draw(st.sampled_from(sorted(self.books.seats)), label="seat")
        reason = "committee: last seat" if len(self.books.seats) == 1 else None
        self.attempt(
            "remove_seat",
            reason,
            lambda: self.system.committee.remove_seat(seat, sender=self.system.governor),
        )
        if reason is None:
            self.books.end_seat(self.books.seats[seat][0], self.now)

    # The vault, and the world outside.

    def pull(self, data: st.DataObject) -> None:
        """A pot leaves for its receiver, and only what was booked."""
        pot = data.draw(st.sampled_from(["burn", "treasury"]), label="pot")
        receiver = self.system.auction if pot == "burn" else self.system.treasury
        due, before = self.books.pots[pot], self.balance(receiver)
        TRIED["pull"] += 1
        amount = getattr(self.system.vault, f"pull_{pot}")()
        EFFECTIVE["pull"] += amount > 0
        assert amount == due == self.balance(receiver) - before
        self.books.pots[pot] = 0

    def donate(self, data: st.DataObject) -> None:
        """A donation changes no entitlement."""
        amount = data.draw(AMOUNT, label="amount")
        to_vault = data.draw(st.booleans(), label="to the vault")
        receiver = self.system.vault if to_vault else self.system.licenses
        self.attempt("donate", None, lambda: self.system.token.mint(receiver.address, amount))
        if to_vault:
            self.donated_to_vault += amount
        else:
            self.donated += amount

    def pass_time(self, data: st.DataObject) -> None:
        """Let time pass."""
        seconds = data.draw(st.one_of(st.integers(1, 3_600), st.integers(1, 50_000)))
        self.attempt("pass_time", None, lambda: self.system.wait(seconds))

    # What Hypothesis draws.

    @rule(data=st.data(), count=st.integers(1, 4))
    def go_on(self, data: st.DataObject, count: int) -> None:
        """Make the next calls."""
        for call in islice(self.calls, count):
            getattr(self, call)(data)

    def flee(self, data: st.DataObject) -> None:
        """L25: an offender asks for its bond; what follows decides who is first."""
        pursuit = data.draw(st.lists(st.sampled_from(PURSUIT), max_size=2), label="pursuit")
        self.focus = self.license(data, lambda _, deed: deed.kind == NODE)
        for call in ["post", "request_unbond", *pursuit, "withdraw_bond"]:
            getattr(self, call)(data)
        self.focus = 0

    # What must always hold.

    @invariant()
    def bonds_are_as_modelled(self) -> None:
        """L25: each bond, their sum, and that they are all here."""
        if not hasattr(self, "books"):
            return
        licenses = self.system.licenses
        for license_id, deed in self.books.deeds.items():
            bond = tuple(licenses.bond_of(license_id))
            assert bond == (deed.bond, deed.unbonding, deed.requested_at)
            assert licenses.is_bonded(license_id) == self.books.is_bonded(license_id)
            seated = self.system.committee.is_seated(license_id)
            assert seated == self.books.is_seated(license_id)
        held = licenses.bonds_held()
        assert held == self.books.bonds_held()
        assert self.balance(licenses.address) == held + self.donated
        CHECKED["bonds"] += 1

    @invariant()
    def pots_are_as_modelled(self) -> None:
        """L25: what was slashed is in the pots until it is pulled."""
        if not hasattr(self, "books"):
            return
        vault, pots = self.system.vault, self.books.pots
        assert tuple(vault.pots()) == (0, pots["burn"], pots["treasury"])
        assert self.balance(vault.address) == vault.owed() + self.donated_to_vault
        CHECKED["pots"] += 1

    @invariant()
    def links_are_a_bijection(self) -> None:
        """L21: a node has at most one license, a license at most one node, and they agree."""
        if not hasattr(self, "books"):
            return
        licenses = self.system.licenses
        for license_id, deed in self.books.deeds.items():
            assert licenses.node_of(license_id) == (deed.node or ZERO_ADDRESS)
        for node in KEY_OF:
            license_id = licenses.license_of(node)
            assert license_id == self.books.license_of(node)
            assert license_id == 0 or licenses.node_of(license_id) == node
            assert licenses.link_nonce(node) == self.books.nonces[node]
        CHECKED["L21"] += 1

    @invariant()
    def eligibility_is_as_modelled(self) -> None:
        """L22: who can be placed."""
        if not hasattr(self, "books"):
            return
        licenses, now = self.system.licenses, self.now
        fit = []
        for license_id in self.books.deeds:
            eligible = self.books.eligible(license_id, now)
            assert licenses.eligible(license_id) == eligible
            fit += [license_id] if eligible else []
            CHECKED["eligible"] += eligible
        assert licenses.all_eligible(fit)

    @invariant()
    def licenses_are_as_modelled(self) -> None:
        """L21, L22: owner, profile, payee and standing of each license."""
        if not hasattr(self, "books"):
            return
        licenses = self.system.licenses
        for license_id, deed in self.books.deeds.items():
            assert licenses.ownerOf(license_id) == deed.owner
            assert licenses.relink_at(license_id) == deed.relink_at
            assert licenses.endpoint_of(license_id) == deed.endpoint
            payee, standing = licenses.payee_of(license_id)
            assert payee == (deed.payout or deed.owner)
            assert standing == self.books.standing(license_id, self.now)
        CHECKED["L22"] += 1

    @invariant()
    def accounts_are_as_modelled(self) -> None:
        """L24: attestations, and the oracle licenses that an account owns."""
        if not hasattr(self, "books"):
            return
        for who in OWNERS:
            assert self.system.trust.attested_level(who) == self.books.level(who, self.now)
            counted = self.system.licenses.oracle_licenses_of(who)
            assert counted == self.books.oracle_licenses_of(who)
        CHECKED["L24"] += 1

    @invariant()
    def freezes_end(self) -> None:
        """L23: a freeze ends by itself, and the next one is a cooldown away."""
        if not hasattr(self, "books"):
            return
        for target, (standing, until) in self.books.standings.items():
            chain, ends, _, cooldown = self.system.trust.standing_of(subject(target))
            assert chain == self.books.standing_of(target, self.now)
            assert ends == 0 if chain == GOOD else standing == BLACKLISTED or ends == until
            assert cooldown == self.books.cooldowns.get(target, 0)
        CHECKED["L23"] += 1
