"""The leases of a keeper that shares its database with others, and who is told of them."""

from typing import Literal

from workdeed.chain.leases import Lease, follower_lease, member_lease, new_holder, sender_lease
from workdeed.chain.store import Store
from workdeed.keeper.app import Readiness
from workdeed.keeper.logs import Log
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.settings import LeaseSettings

LeaseKind = Literal["sender", "follower", "member"]
"""What a lease is on: a sender's nonces, reading the chain, or acting for a committee member."""


class Leases:
    """Makes the leases that a keeper needs: none where its database is a file of its own.

    Args:
        store: the database.
        settings: how long a lease lasts, and whether standing by is in order.
        chain_id: the chain's id.
        log: told when a lease is taken or lost.
        metrics: show which leases are held.

    """

    def __init__(
        self, store: Store, settings: LeaseSettings, chain_id: int, log: Log, metrics: Metrics
    ) -> None:
        self._store = store
        self._settings = settings
        self._chain_id = chain_id
        self._log = log
        self._metrics = metrics
        self._holder = new_holder()
        self._readiness: list[Readiness] = []
        self._sender: Lease | None = None

    @property
    def readiness(self) -> tuple[Readiness, ...]:
        """What `/readyz` tells of the leases that were made."""
        return tuple(self._readiness)

    def follower(self) -> Lease | None:
        """Return the lease on reading the chain; any keeper may have it, so none must."""
        lease = self._make("follower", follower_lease(self._chain_id))
        if lease is not None:
            self._readiness.append(
                Readiness(
                    "follower", lambda: lease.trouble, lambda: _note(lease, "reads the chain")
                )
            )
        return lease

    def sender(self, account: str) -> Lease | None:
        """Return the lease on an account's nonces."""
        lease = self._make("sender", sender_lease(self._chain_id, account))
        if lease is not None:
            self._readiness.append(
                Readiness(
                    "sender",
                    lambda: self._trouble(lease, "sends with this key"),
                    lambda: _note(lease, "sends"),
                )
            )
        self._sender = lease
        return lease

    def member(self, member: str) -> Lease | None:
        """Return the lease on acting for a committee member.

        It goes along with that on the sender, which has to be made first: whoever signs a report
        sends it.
        """
        lease = self._make("member", member_lease(self._chain_id, member), self._sender)
        if lease is not None:
            self._readiness.append(
                Readiness(
                    "member",
                    lambda: self._trouble(lease, "acts for this member"),
                    lambda: _note(lease, "acts for this member"),
                )
            )
        return lease

    def _make(self, kind: LeaseKind, name: str, along: Lease | None = None) -> Lease | None:
        if not self._store.is_shared:
            return None
        self._metrics.lease_held.labels(lease=kind).set(0)
        return Lease(
            self._store,
            name,
            holder=self._holder,
            ttl=self._settings.ttl_seconds,
            observer=lambda lease: self._on_change(kind, lease),
            along=along,
        )

    def _on_change(self, kind: LeaseKind, lease: Lease) -> None:
        self._metrics.lease_held.labels(lease=kind).set(lease.held)
        if lease.held:
            if lease.taken_from is not None:
                self._metrics.lease_takeovers.labels(lease=kind).inc()
            self._log.info(
                "lease_taken", lease=lease.name, token=lease.token, taken_from=lease.taken_from
            )
        elif lease.entered:
            self._log.warning("lease_lost", lease=lease.name, holder=lease.holder)
        else:
            self._log.info("lease_released", lease=lease.name)

    def _trouble(self, lease: Lease, what: str) -> str:
        if lease.trouble or lease.held or self._settings.standby:
            return lease.trouble
        return f"{_other(lease)} {what}; stop one of the two, or set lease.standby = true"


def _note(lease: Lease, what: str) -> str:
    return "" if lease.held else f"standby: {_other(lease)} {what}"


def _other(lease: Lease) -> str:
    return lease.holder or "another keeper"
