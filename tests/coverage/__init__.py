"""Which statements and branches of the Vyper sources the contract tests reach, by instruction.

titanoboa says which instructions ran. Its own report for coverage.py looks at each instruction's
first visit only, and so takes an `if` for half seen where both of its ways were taken, and it reads
a constructor's instructions by the map of the deployed code. Here the same trace is kept whole:

- `recorder`: a pytest plugin that keeps the instructions that ran and the way each jump took,
- `codes`: what the instructions of a compiled contract are in its sources,
- `report`: both together, by statement and by branch.
"""
