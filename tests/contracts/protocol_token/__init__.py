"""Tests of ProtocolToken, a file for each thing that it does."""
