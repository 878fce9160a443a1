"""Proofs that the contracts' pure arithmetic holds for all values; `python -m scripts.prove`."""
