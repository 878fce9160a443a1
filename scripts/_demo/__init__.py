"""The parts of `make demo`; see `scripts/demo.py`."""
