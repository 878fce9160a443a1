"""Tests of LicenseSale, a file for each thing that it does."""
