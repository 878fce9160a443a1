"""Tests of JobEscrow, one file a function."""
