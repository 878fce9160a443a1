"""An EVM behind the contract tests: fast by default, with coverage on demand.

Two backends answer to the same names. `revm` runs contracts in Rust and makes thousands of calls a
second; it is taken where `pyrevm` is installed. `titanoboa` runs them in Python, a hundred times
slower, but knows which line of Vyper each instruction comes from: `WORKDEED_EVM=titanoboa` measures
coverage. Tests import this package and none of the backends:

    from tests.contracts import evm

    token = evm.load("testing/PlainToken").deploy(6)      # contracts/testing/PlainToken.vy
    token.mint(payer, 10, sender=owner)                   # a transaction, undone if it reverts
    assert token.balanceOf(payer) == 10                   # a view
    with evm.reverts("erc20: insufficient balance"):      # the exact reason; none: any revert
        token.transfer(owner, 11, sender=payer)
    with evm.env.anchor():                                # undone at the end; may be nested
        evm.env.time_travel(seconds=60)

`Contract` has `address`, `get_logs()` (events of its latest call, callees' included, as named
tuples) and the functions of its ABI; structs come back as named tuples, several results as a tuple.
`env` has `timestamp`, `time_travel`, `anchor`, `sender`, `chain_id`, `other_chain`, `set_balance`,
`get_balance`, `set_storage`, `generate_address`, `call` and `probe`; in revm also `gas_used`
of the latest call and the number of `calls`.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

from tests.contracts.evm.errors import Reverted, reverts

BACKEND = os.environ.get("WORKDEED_EVM") or ("revm" if find_spec("pyrevm") else "titanoboa")

if BACKEND == "revm":
    from tests.contracts.evm.revm import Contract, Deployer, env, load
elif BACKEND == "titanoboa":
    from tests.contracts.evm.titanoboa import Contract, Deployer, env, load  # type: ignore[assignment]
else:
    raise ValueError(f"WORKDEED_EVM: {BACKEND!r} is neither revm nor titanoboa")

__all__ = ["BACKEND", "Contract", "Deployer", "Reverted", "env", "load", "reverts"]
