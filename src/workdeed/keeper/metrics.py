"""What a keeper counts, in a registry of its own so that several keepers fit one process."""

from collections.abc import Iterable, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from workdeed.keeper.storage import StorageKind
from workdeed.oracle.meter import Outcome
from workdeed.oracle.tallies import Verdict
from workdeed.protocol.noderequest import ROLLOUT
from workdeed.protocol.rollouts import Phase

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

ANSWER_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds that tell a quick answer over a network from a slow one."""


class Metrics:
    """The metrics of one keeper; `docs/keeper.md` lists them with the alerts that use them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._add_chain()
        self._add_rounds()
        self._add_jobs()
        self._add_effects()
        self._add_probes()
        self._add_reports()
        self._add_rollouts()
        self._add_storage()
        self._add_leases()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _add_chain(self) -> None:
        self.head_block = self._gauge("workdeed_head_block", "Latest block of the RPC.")
        self.head_time = self._gauge(
            "workdeed_head_timestamp_seconds", "Time of the latest block of the RPC, Unix seconds."
        )
        self.read_block = self._gauge("workdeed_read_block", "Last block that is read.")
        self.reorgs = self._counter("workdeed_reorgs", "Reorgs that were undone.")
        self.rpc_up = self._gauge(
            "workdeed_rpc_up", "Whether an RPC answers and agrees with the others.", ["rpc"]
        )
        self.rpc_seconds = self._histogram(
            "workdeed_rpc_seconds", "Time of a request to an RPC.", ANSWER_BUCKETS, ["rpc"]
        )
        self.rpc_errors = self._counter(
            "workdeed_rpc_errors",
            "Requests that an RPC did not answer as it should.",
            ["rpc", "kind"],
        )

    def _add_rounds(self) -> None:
        self.rounds = self._histogram(
            "workdeed_round_seconds",
            "Time of one reconcile round.",
            (0.01, 0.05, 0.1, 0.5, 1, 5, 30),
        )
        self.duty_failures = self._counter(
            "workdeed_duty_failures", "Rounds in which a duty failed.", ["duty"]
        )
        self.ready = self._gauge(
            "workdeed_ready", "Whether a part of the readiness is in order.", ["part"]
        )

    def _add_jobs(self) -> None:
        self.window = self._gauge("workdeed_window", "Current window.")
        self.reported_window = self._gauge(
            "workdeed_reported_window", "Window of the final report."
        )
        self.unreported_windows = self._gauge(
            "workdeed_unreported_windows",
            "Windows in which open jobs ran, and which no final report covers.",
        )
        self.open_jobs = self._gauge("workdeed_open_jobs", "Jobs that are not closed.")
        self.money = self._gauge(
            "workdeed_job_base_units", "Base units of the token over all jobs, by use.", ["use"]
        )
        self.dispatches = self._counter("workdeed_dispatches", "Specs that nodes accepted.")
        self.dispatch_failures = self._counter(
            "workdeed_dispatch_failures", "Dispatches that failed."
        )
        self.undelivered = self._gauge(
            "workdeed_undelivered", "Placed revisions that no node has yet."
        )
        self.specs = self._gauge("workdeed_specs", "Specs that are kept.")
        self.missing_specs = self._gauge(
            "workdeed_missing_specs", "Specs on chain that nobody gave us."
        )
        self.short_of_spares = self._gauge(
            "workdeed_jobs_short_of_spares",
            "Jobs whose secrets are sealed for too few licenses beside those in place.",
        )
        self.placements_signed = self._counter(
            "workdeed_placements_signed", "Placements that were signed."
        )

    def _add_effects(self) -> None:
        self.effects = self._gauge("workdeed_effects", "Transactions by state.", ["state"])
        self.effects_settled = self._counter(
            "workdeed_effects_settled", "Transactions that came to an end.", ["kind", "state"]
        )
        self.sender_balance = self._gauge(
            "workdeed_sender_balance_wei", "What the sender has for gas.", ["sender"]
        )

    def _add_probes(self) -> None:
        self.probed_nodes = self._gauge("workdeed_probed_nodes", "Nodes that are probed.")
        self.silent_nodes = self._gauge(
            "workdeed_silent_nodes", "Nodes without a valid answer to their last probe."
        )
        self.probes = self._counter(
            "workdeed_probes", "Probes by what came back.", ["answer"], ("valid", "none")
        )
        self.probe_seconds = self._histogram(
            "workdeed_probe_seconds", "Time until a node's valid answer.", ANSWER_BUCKETS
        )
        self.verdicts = self._counter(
            "workdeed_probe_verdicts",
            "What probes said of pairs of job and license.",
            ["verdict"],
            get_args(Verdict),
        )
        self.evidence = self._counter("workdeed_evidence", "Answers that were kept as evidence.")
        self.observations = self._counter(
            "workdeed_observations",
            "Windows that were measured, or are unknown here.",
            ["outcome"],
            ("measured", "unknown"),
        )
        self.observed_window = self._gauge(
            "workdeed_observed_window", "Last window that was observed."
        )

    def _add_reports(self) -> None:
        self.turns = self._counter(
            "workdeed_turns",
            "Turns that were led, by what came of them.",
            ["outcome"],
            get_args(Outcome),
        )
        self.reports_signed = self._counter(
            "workdeed_reports_signed", "Signatures under reports, own proposals included."
        )
        self.proposals_refused = self._counter(
            "workdeed_proposals_refused", "Reports of other leaders that were refused.", ["field"]
        )

    def _add_rollouts(self) -> None:
        self.rollout_phases = get_args(Phase)
        self.rollouts = self._gauge(
            "workdeed_rollouts", "Jobs that were revised, by how far they are.", ["phase"]
        )
        self.rollout_steps = self._counter(
            "workdeed_rollout_steps", "Steps that nodes were asked for.", ["action"], ROLLOUT
        )

    def _add_storage(self) -> None:
        self.storage_errors = self._counter(
            "workdeed_storage_errors",
            "Errors of the database or the disk.",
            ["kind"],
            get_args(StorageKind),
        )
        self.state_free = self._gauge(
            "workdeed_state_free_bytes", "Bytes that are free where the state is kept."
        )

    def _add_leases(self) -> None:
        self.lease_held = self._gauge(
            "workdeed_lease_held", "Whether this keeper has a lease.", ["lease"]
        )
        self.lease_takeovers = self._counter(
            "workdeed_lease_takeovers",
            "Leases taken from a keeper that renewed them no more.",
            ["lease"],
            ("sender", "follower", "member"),
        )

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counter(
        self, name: str, text: str, labels: Sequence[str] = (), values: Iterable[str] = ()
    ) -> Counter:
        """Add a counter that shows these values of its label from the start.

        To Prometheus the first sample of a series is no increase: an alert would miss it.
        """
        counter = Counter(name, text, labels, registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
