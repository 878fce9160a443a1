"""Tests of TestUSD, one file a function."""
