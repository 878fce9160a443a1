"""Attacks on the whole system, each named after what somebody would try."""
