"""Tests of BurnAuction, a file for each thing that it does, and a machine over all of it."""
