"""Tests of TrustRegistry, one file a function."""
