"""Tests of Timelock, and of the governor's role in its hands."""
