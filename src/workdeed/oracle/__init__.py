"""The oracle: probes nodes, settles windows with the other members, keeps and serves reports.

`service.OracleService` is what a keeper runs, `http.create_router` what it serves. Pure rules are
in `judge`, `ledger`, `round`, `settlement`, `strikes`, `tallies` and `targets`. Import from the
modules: this one stays empty so that the rules can be had without a web framework.
"""
