"""Tests of the Vyper contracts, run in process on titanoboa."""
