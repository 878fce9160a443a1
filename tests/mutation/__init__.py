"""Mutation testing of the contracts: small faults, one at a time, that some test must notice."""
