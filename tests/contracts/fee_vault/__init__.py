"""Tests of FeeVault, a file for each thing that it does."""
