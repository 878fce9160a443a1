"""Tests of OracleCommittee, one file a function."""
