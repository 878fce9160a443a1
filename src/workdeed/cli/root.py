"""The command `workdeed` and the table of its commands."""

import click

from workdeed.cli.lazy import LazyGroup

COMMANDS = {
    "keeper": ("workdeed.cli.keeper:keeper", "Run the keeper of an oracle or an operator."),
    "node": ("workdeed.cli.node:node", "Run the agent of a node."),
    "quote": ("workdeed.cli.jobs:quote", "Say what a job would cost."),
    "deploy": ("workdeed.cli.jobs:deploy", "Open a job from a spec file."),
    "status": ("workdeed.cli.jobs:status", "Show jobs."),
    "logs": ("workdeed.cli.workloads:logs", "Show what the replicas of a job print."),
    "inspect": ("workdeed.cli.workloads:inspect", "Show what nodes see of a job's replicas."),
    "restart": ("workdeed.cli.workloads:restart", "Restart a job's replicas."),
    "stop": ("workdeed.cli.workloads:stop", "Stop a job's replicas for a while."),
    "resume": ("workdeed.cli.workloads:resume", "Start a job's stopped replicas."),
    "command": ("workdeed.cli.plugins:command", "Have a native plugin do a command."),
    "configure": ("workdeed.cli.plugins:configure", "Configure a running native plugin anew."),
    "rollout": ("workdeed.cli.rollouts:rollout", "Show how far a job's revision is."),
    "gateway": ("workdeed.cli.rollouts:gateway", "Pass requests on to a job's replicas."),
    "update": ("workdeed.cli.jobs:update", "Replace the spec of a job."),
    "extend": ("workdeed.cli.jobs:extend", "Buy more windows for a job."),
    "scale": ("workdeed.cli.jobs:scale", "Change the replicas of a job."),
    "cancel": ("workdeed.cli.jobs:cancel", "End a job and get back what it has not used."),
    "close": ("workdeed.cli.jobs:close", "Close a job that is over and get the rest back."),
    "delegate": ("workdeed.cli.delegates:delegate", "Let others open and change jobs."),
    "license": ("workdeed.cli.licenses:license_", "Issue, buy, link, bond and show licenses."),
    "claim": ("workdeed.cli.claims:claim", "Collect what a license has earned."),
    "forfeit": ("workdeed.cli.claims:forfeit", "Take what a blacklisted license has earned."),
    "evidence": ("workdeed.cli.evidence:evidence", "Fetch what a license was measured by."),
    "fees": ("workdeed.cli.fees:fees", "Show fees and hand them on."),
    "trust": ("workdeed.cli.trust:trust", "Attest accounts, change and show standings."),
    "governance": ("workdeed.cli.governance:governance", "Propose and execute decisions."),
    "auction": ("workdeed.cli.auction:auction", "Buy what is sold for protocol tokens."),
    "faucet": ("workdeed.cli.tokens:faucet", "Take test dollars on a test chain."),
    "check": ("workdeed.cli.check:check", "Check the surroundings and say what to mend."),
}


@click.command(
    "workdeed",
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="workdeed", message="%(version)s")
def root() -> None:
    """Workloads on licensed edge nodes, paid from an escrow for verified service."""
