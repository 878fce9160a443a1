"""Tests of NodeLicense, one file a function."""
