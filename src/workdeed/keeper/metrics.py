"""What a keeper counts, in a registry of its own so that several keepers fit one process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one keeper; `docs/keeper.md` lists them with the alerts that use them."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.head_block = Gauge(
            "workdeed_head_block", "Latest block of the RPC.", registry=registry
        )
        self.read_block = Gauge(
            "workdeed_read_block", "Last block that is read.", registry=registry
        )
        self.rpc_up = Gauge(
            "workdeed_rpc_up",
            "Whether an RPC answers and agrees with the others.",
            ["rpc"],
            registry=registry,
        )
        self.window = Gauge("workdeed_window", "Current window.", registry=registry)
        self.reported_window = Gauge(
            "workdeed_reported_window", "Window of the final report.", registry=registry
        )
        self.open_jobs = Gauge("workdeed_open_jobs", "Jobs that are not closed.", registry=registry)
        self.reorgs = Counter("workdeed_reorgs", "Reorgs that were undone.", registry=registry)
        self.rounds = Histogram(
            "workdeed_round_seconds",
            "Time of one reconcile round.",
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30),
            registry=registry,
        )
        self.duty_failures = Counter(
            "workdeed_duty_failures", "Rounds in which a duty failed.", ["duty"], registry=registry
        )
        self.dispatches = Counter(
            "workdeed_dispatches", "Specs that nodes accepted.", registry=registry
        )
        self.dispatch_failures = Counter(
            "workdeed_dispatch_failures", "Dispatches that failed.", registry=registry
        )
        self.undelivered = Gauge(
            "workdeed_undelivered", "Placed revisions that no node has yet.", registry=registry
        )
        self.specs = Gauge("workdeed_specs", "Specs that are kept.", registry=registry)
        self.missing_specs = Gauge(
            "workdeed_missing_specs", "Specs on chain that nobody gave us.", registry=registry
        )
        self.placements_signed = Counter(
            "workdeed_placements_signed", "Placements that were signed.", registry=registry
        )
        self.effects = Gauge(
            "workdeed_effects", "Transactions by state.", ["state"], registry=registry
        )
        self.sender_balance = Gauge(
            "workdeed_sender_balance_wei", "What the sender has for gas.", registry=registry
        )

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
