"""Tests of the Vyper contracts, run in process; see `tests.contracts.evm`."""
